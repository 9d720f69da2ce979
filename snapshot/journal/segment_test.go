package journal_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/protobuf/proto"

	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/journal"
)

// noon is when the segments of tests begin; each checkpoint is a second later.
var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func put(t testing.TB, revision int64, key, value string) journal.Record {
	t.Helper()
	data, err := proto.Marshal(&mvccpb.KeyValue{Key: []byte(key), Value: []byte(value), ModRevision: revision, CreateRevision: revision, Version: 1})
	must(t, err)
	return journal.Record{Kind: journal.KindPut, Revision: revision, Data: data}
}

func header(first int64) journal.Header {
	return journal.Header{Node: "node-a", ClusterID: 1, First: first, CreatedAt: noon}
}

// write makes a segment of the revisions first to last with two events each and a checkpoint after each.
func write(t testing.TB, h journal.Header, last int64, finish bool) ([]byte, journal.Manifest) {
	t.Helper()
	var b bytes.Buffer
	w, err := journal.NewWriter(&b, h)
	must(t, err)
	for r := h.First; r <= last; r++ {
		must(t, w.Write(put(t, r, fmt.Sprintf("key-%d", r), fmt.Sprintf("value-%d", r*r))))
		must(t, w.Write(journal.Record{Kind: journal.KindDelete, Revision: r, Data: []byte("gone")}))
		must(t, w.Checkpoint(noon.Add(time.Duration(r)*time.Second), false))
	}
	if !finish {
		return b.Bytes(), journal.Manifest{}
	}
	m, err := w.Finish()
	must(t, err)
	return b.Bytes(), m
}

// segment is one in memory.
func segment(t testing.TB, h journal.Header, last int64) *journal.Segment {
	t.Helper()
	b, _ := write(t, h, last, true)
	s, err := journal.Open(bytes.NewReader(b), int64(len(b)))
	must(t, err)
	return s
}

// events reads all of a segment.
func events(t testing.TB, s *journal.Segment) (text string, err error) {
	t.Helper()
	err = s.Each(t.Context(), func(r journal.Record) error {
		if r.Kind == journal.KindPut || r.Kind == journal.KindDelete {
			text += fmt.Sprintf("%c %d %q\n", r.Kind, r.Revision, r.Data)
		}
		return nil
	})
	return text, err
}

func TestSegmentIsReadAsItWasWritten(t *testing.T) {
	b, m := write(t, header(7), 9, true)
	s, err := journal.Open(bytes.NewReader(b), int64(len(b)))
	must(t, err)
	if s.Name != "journal_node-a_20261122T120000Z_7-9.jnl.zst" || s.Manifest != m || m.Events != 6 ||
		!s.From.Equal(noon.Add(7*time.Second)) || !s.To.Equal(noon.Add(9*time.Second)) {
		t.Errorf("the manifest is %+v, and was %+v", s.Manifest, m)
	}
	text, err := events(t, s)
	must(t, err)
	want := ""
	for r := int64(7); r <= 9; r++ {
		want += fmt.Sprintf("p %d %q\nd %d \"gone\"\n", r, put(t, r, fmt.Sprintf("key-%d", r), fmt.Sprintf("value-%d", r*r)).Data, r)
	}
	if text != want {
		t.Errorf("it has\n%swant\n%s", text, want)
	}
}

// A writer that dies at any byte leaves whole revisions, and never fewer than it had when it wrote the last checkpoint before.
func TestSegmentTornAtAnyByteHasWholeRevisions(t *testing.T) {
	whole, _ := write(t, header(7), 12, false)
	complete := map[int]int64{} // by the length of the file
	for r := int64(6); r <= 12; r++ {
		b, _ := write(t, header(7), r, false)
		complete[len(b)] = r
	}
	last := int64(0)
	for n := range len(whole) + 1 {
		if r, ok := complete[n]; ok {
			last = r
		}
		s, err := journal.OpenPart(t.Context(), bytes.NewReader(whole[:n]), int64(n))
		if last < 7 {
			if !errors.Is(err, journal.ErrEmpty) {
				t.Fatalf("%d bytes: %v", n, err)
			}
			continue
		}
		must(t, err)
		text, err := events(t, s)
		must(t, err)
		if s.Last != last || s.Events != 2*(last-6) || bytes.Count([]byte(text), []byte("\n")) != int(s.Events) {
			t.Fatalf("%d bytes: to revision %d with %d events, want %d:\n%s", n, s.Last, s.Events, last, text)
		}
	}
	if last != 12 {
		t.Errorf("all of it has revision %d", last)
	}
}

func TestFlippedBitInASegmentIsDamage(t *testing.T) {
	b, _ := write(t, header(7), 12, true)
	for at := range b {
		damaged := bytes.Clone(b)
		damaged[at] ^= 1 << (at % 8)
		s, err := journal.Open(bytes.NewReader(damaged), int64(len(b)))
		if err == nil {
			_, err = events(t, s)
		}
		if !errors.Is(err, snapshot.ErrDamaged) || strings.Count(err.Error(), "damaged") != 1 {
			t.Fatalf("byte %d: %v", at, err)
		}
	}
}

// In a segment that was not completed, a flipped bit costs at most what follows, and never gives other events.
func TestFlippedBitInAPartialSegmentEndsIt(t *testing.T) {
	b, _ := write(t, header(7), 12, false)
	s, err := journal.OpenPart(t.Context(), bytes.NewReader(b), int64(len(b)))
	must(t, err)
	all, err := events(t, s)
	must(t, err)
	for at := range b {
		damaged := bytes.Clone(b)
		damaged[at] ^= 1 << (at % 8)
		s, err := journal.OpenPart(t.Context(), bytes.NewReader(damaged), int64(len(b)))
		if errors.Is(err, journal.ErrEmpty) || errors.Is(err, snapshot.ErrFormat) {
			continue
		}
		must(t, err)
		text, err := events(t, s)
		must(t, err)
		if !bytes.HasPrefix([]byte(all), []byte(text)) {
			t.Fatalf("byte %d: it has\n%s", at, text)
		}
	}
}

func TestTruncatedSegmentIsDamage(t *testing.T) {
	b, _ := write(t, header(7), 9, true)
	for n := range b {
		if _, err := journal.Open(bytes.NewReader(b[:n]), int64(n)); !errors.Is(err, snapshot.ErrDamaged) {
			t.Fatalf("%d bytes: %v", n, err)
		}
	}
}

func TestWriterRefusesAGap(t *testing.T) {
	w, err := journal.NewWriter(&bytes.Buffer{}, header(7))
	must(t, err)
	for _, r := range []int64{6, 8} {
		if err := w.Write(put(t, r, "k", "v")); !errors.Is(err, journal.ErrGap) {
			t.Errorf("revision %d first: %v", r, err)
		}
	}
	must(t, w.Write(put(t, 7, "k", "v")))
	for _, r := range []int64{6, 9} {
		if err := w.Write(put(t, r, "k", "v")); !errors.Is(err, journal.ErrGap) {
			t.Errorf("revision %d after 7: %v", r, err)
		}
	}
	if _, err := w.Finish(); err == nil {
		t.Error("a segment without a checkpoint was completed")
	}
}

func TestSegmentNames(t *testing.T) {
	for _, name := range []string{"journal_node-a_20261122T120000Z_7-9.jnl.zst", "journal_n_20261122T120000Z_7.jnl.zst.part"} {
		n, err := snapshot.ParseSegmentName(name)
		if err != nil || n.String() != name {
			t.Errorf("%s: %v, %v", name, n, err)
		}
		if _, err := snapshot.ParseName(name); err == nil {
			t.Errorf("%s is the name of a snapshot", name)
		}
	}
	for _, name := range []string{
		"", "journal_n_20261122T120000Z_7.jnl.zst", "journal_n_20261122T120000Z_7-9.jnl.zst.part", "journal_n_20261122T120000Z_07-9.jnl.zst",
		"journal_n_20261122T120000Z_9-7.jnl.zst", "journal_n_20261122T120000Z_0-7.jnl.zst", "journal_n_20261122T120000Z_-1-7.jnl.zst",
		"journal_n_20261122T120000.5Z_7-9.jnl.zst", "journal__20261122T120000Z_7-9.jnl.zst", "rolling_n_20261122T120000Z_7-9.jnl.zst",
		"journal_n_20261122T120000Z.db.zst", "journal_n_20261122T120000Z_7-99999999999999999999.jnl.zst", "journal_n_x_7-9.jnl.zst",
		"journal_n_20261122T120000Z_7-0.jnl.zst", "journal_n_20261122T120000Z_7-9-11.jnl.zst",
	} {
		if n, err := snapshot.ParseSegmentName(name); !errors.Is(err, snapshot.ErrName) {
			t.Errorf("%q: %v, %v", name, n, err)
		}
	}
}
