package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/protobuf/proto"

	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/journal"
)

// SegmentOf says what is in a segment of the journal: an event for each revision, the revisions a second apart.
type SegmentOf struct {
	Node        string
	Cluster     snapshot.ID
	Begun       time.Time // the first revision is received then
	First, Last int64
	Value       string // of each event
	Before      string // the digest of the revision before
	Late        bool   // all of it
	Restored    bool   // etcd was restored before
}

// Segment makes a complete segment.
func Segment(t testing.TB, of SegmentOf) (snapshot.SegmentName, []byte) {
	t.Helper()
	var out bytes.Buffer
	w, err := journal.NewWriter(&out, journal.Header{
		Node: of.Node, ClusterID: of.Cluster, CreatedAt: of.Begun, First: of.First, Before: of.Before, EtcdVersion: "3.6.4", Restored: of.Restored,
	})
	if err != nil {
		t.Fatal(err)
	}
	for r := of.First; r <= of.Last; r++ {
		kv := &mvccpb.KeyValue{Key: fmt.Append(nil, "key-", r), Value: []byte(of.Value), ModRevision: r, CreateRevision: r, Version: 1}
		data, err := proto.Marshal(kv)
		if err == nil {
			err = w.Write(journal.Record{Kind: journal.KindPut, Revision: r, Data: data})
		}
		if err == nil {
			err = w.Checkpoint(of.Begun.Add(time.Duration(r-of.First)*time.Second), of.Late)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	m, err := w.Finish()
	if err != nil {
		t.Fatal(err)
	}
	n, err := snapshot.ParseSegmentName(m.Name)
	if err != nil {
		t.Fatal(err)
	}
	return n, out.Bytes()
}

// segments: they are listed by node and in the order of their revisions, are no snapshots, and a snapshot of the set journal is none of them.
func segments(b bed) {
	begun := Name(b, snapshot.RollingSet, "a", 0).Time
	labeled := Name(b, "journal", "a", 0)
	snapshotData := b.put(labeled)
	var names []snapshot.SegmentName
	var datas [][]byte
	for _, of := range []SegmentOf{
		{Node: "a", Begun: begun.Add(time.Hour), First: 8, Last: 12},
		{Node: "a", Begun: begun, First: 101, Last: 104},
		{Node: "a-b", Begun: begun, First: 105, Last: 105},
	} {
		n, data := Segment(b, of)
		names, datas = append(names, n), append(datas, data)
	}
	for _, i := range []int{2, 0, 1} {
		b.must(b.PutSegment(b.Context(), names[i], datas[i]))
	}
	b.wantSegments(nil, names...)
	b.wantSegments([]string{"a"}, names[:2]...)
	b.wantSegments([]string{"a-b", "none"}, names[2])
	b.wantSegments([]string{})
	b.wantList(labeled)
	b.wantWhole(labeled, snapshotData)
	for i, n := range names {
		r, size, err := b.GetSegment(b.Context(), n)
		b.must(err)
		got, err := io.ReadAll(r)
		b.must(errors.Join(err, r.Close()))
		if size != int64(len(datas[i])) || !bytes.Equal(got, datas[i]) {
			b.Errorf("get %s: %d bytes of %d announced, not the %d that were put", n, len(got), size, len(datas[i]))
		}
	}
	b.must(b.RemoveSegment(b.Context(), names[0]))
	if err := b.RemoveSegment(b.Context(), names[0]); !errors.Is(err, snapshot.ErrNotFound) {
		b.Errorf("remove again: %v", err)
	}
	if _, _, err := b.GetSegment(b.Context(), names[0]); !errors.Is(err, snapshot.ErrNotFound) {
		b.Errorf("get a removed one: %v", err)
	}
	b.wantSegments(nil, names[1:]...)
	b.must(b.Remove(b.Context(), labeled))
	b.wantSegments(nil, names[1:]...)
}

// wantSegments checks that Segments returns these in this order.
func (b bed) wantSegments(nodes []string, want ...snapshot.SegmentName) {
	b.Helper()
	entries, err := b.Segments(b.Context(), nodes)
	b.must(err)
	if !slices.EqualFunc(entries, want, func(e snapshot.SegmentEntry, n snapshot.SegmentName) bool { return e.Name == n }) {
		b.Errorf("segments of %q: %v, not %v", nodes, entries, want)
	}
	for _, e := range entries {
		if e.Size == 0 || e.Modified.IsZero() {
			b.Errorf("listed as %+v", e)
		}
	}
}
