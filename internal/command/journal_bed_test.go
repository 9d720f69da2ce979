package command

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/journal"
	"etcd-rolling-backup/snapshot/member"
)

// journalBed is a lookBed whose directory gets a journal.
type journalBed struct {
	*lookBed
	member *member.Member
	sealed chan int64
}

func newJournalBed(t *testing.T) *journalBed {
	t.Helper()
	b := &journalBed{lookBed: newLookBed(t), sealed: make(chan int64, 1000)}
	m, err := member.Connect(t.Context(), member.Config{Endpoints: []string{b.endpoint}, Timeout: 20 * time.Second})
	must(t, err)
	t.Cleanup(func() { must(t, m.Close()) })
	b.member = m
	return b
}

// record begins a journal with the newest revision. stop completes its segment.
func (b *journalBed) record(t *testing.T) (stop func()) {
	t.Helper()
	r, err := b.client.Get(t.Context(), "x")
	must(t, err)
	return b.recordFrom(t, r.Header.Revision)
}

func (b *journalBed) recordFrom(t *testing.T, revision int64) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	w, err := b.member.Watch(ctx, revision)
	must(t, err)
	src := b.member.Source()
	o := journal.Options{
		Header: journal.Header{Node: "n1", ClusterID: src.ClusterID, MemberID: src.MemberID, EtcdVersion: src.EtcdVersion},
		Sync:   10 * time.Millisecond, Seal: time.Hour, SealSize: 64 << 10, Timeout: 10 * time.Second, Sealed: func(m journal.Manifest) { b.sealed <- m.Last },
	}
	ended := make(chan error, 1)
	go func() { ended <- journal.NewRecorder(snapshot.NewDir(b.dir), o, 0, "").Run(ctx, w, b.member, w.Head) }()
	return func() {
		t.Helper()
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Fatalf("the recorder ended: %v", err)
		}
	}
}

// written waits until the segment that is being written, or a complete one, has the revision.
func (b *journalBed) written(t *testing.T, revision int64) {
	t.Helper()
	dir := snapshot.NewDir(b.dir)
	for limit := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		for _, n := range b.segments(t) {
			f, err := dir.OpenSegment(n)
			if err != nil {
				continue // completed meanwhile
			}
			info, err := f.Stat()
			must(t, err)
			last := n.Last
			if !n.Complete() {
				if s, err := journal.OpenPart(t.Context(), f, info.Size()); err == nil {
					last = s.Last
				}
			}
			must(t, f.Close())
			if last >= revision {
				return
			}
		}
		if time.Now().After(limit) {
			t.Fatalf("the journal does not reach revision %d", revision)
		}
	}
}

func (b *journalBed) segments(t *testing.T) (names []snapshot.SegmentName) {
	t.Helper()
	files, err := os.ReadDir(b.dir)
	must(t, err)
	for _, f := range files {
		if n, err := snapshot.ParseSegmentName(f.Name()); err == nil {
			names = append(names, n)
		}
	}
	return names
}

// complete returns the names of the complete segments.
func (b *journalBed) complete(t *testing.T) (names []string) {
	t.Helper()
	for _, n := range b.segments(t) {
		if n.Complete() {
			names = append(names, n.String())
		}
	}
	return names
}

// flip changes one bit in the middle of a file of the directory.
func (b *journalBed) flip(t *testing.T, name string) {
	t.Helper()
	path := b.dir + "/" + name
	data, err := os.ReadFile(path)
	must(t, err)
	data[len(data)/2] ^= 1
	must(t, os.WriteFile(path, data, 0o600))
}

// cut cuts off the last bytes of a file of the directory.
func (b *journalBed) cut(t *testing.T, name string, bytes int64) {
	t.Helper()
	path := b.dir + "/" + name
	info, err := os.Stat(path)
	must(t, err)
	must(t, os.Truncate(path, info.Size()-bytes))
}

// wantText demands texts in this order.
func wantText(t *testing.T, got string, wanted ...string) {
	t.Helper()
	rest := got
	for _, text := range wanted {
		_, after, found := strings.Cut(rest, text)
		if !found {
			t.Errorf("%q is missing, or not in this order, in:\n%s", text, got)
			return
		}
		rest = after
	}
}
