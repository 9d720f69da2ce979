package journal_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/journal"
)

// tailOf records two segments, the second one up to revision 9, and reads their tail behind a revision.
func tailOf(t *testing.T, from int64, value string) (tail journal.Tail, last journal.Manifest) {
	t.Helper()
	dir := snapshot.NewDir(t.TempDir())
	first, err := play(t, dir, 0, "", response(false, value, 5, 6))
	if !errors.Is(err, errCut) {
		t.Fatal(err)
	}
	second, err := play(t, dir, 6, first[0].LastDigest, response(false, value, 6, 7, 8, 9))
	if !errors.Is(err, errCut) {
		t.Fatal(err)
	}
	for _, m := range []journal.Manifest{first[0], second[0]} {
		n, err := snapshot.ParseSegmentName(m.Name)
		must(t, err)
		must(t, tail.Add(t.Context(), open(t, dir, []snapshot.SegmentName{n})[0], from))
	}
	return tail, second[0]
}

func TestWatchMustShowTheTailOfTheJournalAgain(t *testing.T) {
	tail, last := tailOf(t, 4, "v")
	if tail.From() != 4 {
		t.Fatalf("the tail begins behind %d", tail.From())
	}
	for name, c := range map[string]struct {
		values string // of the revisions from 4 on
		err    error
	}{
		"as recorded":                 {"vvvvvvv", errCut},
		"another before the tail":     {"wvvvvvv", errCut},
		"another first one":           {"vwvvvvv", journal.ErrHistory},
		"another end of a segment":    {"vvwvvvv", journal.ErrHistory},
		"another one before the last": {"vvvvwvv", journal.ErrHistory},
		"another last one":            {"vvvvvwv", journal.ErrHistory},
		"another one behind it":       {"vvvvvvw", errCut},
	} {
		watch := response(false, "")
		for i, v := range c.values {
			watch.Events = append(watch.Events, response(false, string(v), int64(4+i)).Events...)
		}
		o := journal.Options{Header: header(0), Sync: time.Hour, Seal: time.Hour, SealSize: 1 << 30, Timeout: time.Second, Tail: tail}
		s := &script{responses: []*pb.WatchResponse{watch}}
		err := journal.NewRecorder(snapshot.NewDir(t.TempDir()), o, last.Last, last.LastDigest).Run(t.Context(), s, s, 0)
		if !errors.Is(err, c.err) {
			t.Errorf("%s: %v, want %v", name, err, c.err)
		}
	}
}

// Each connection transfers it again.
func TestTailOfLargeRevisionsIsShort(t *testing.T) {
	for size, want := range map[int]int64{1: 5, 300 << 10: 6, 2 << 20: 9} {
		if tail, _ := tailOf(t, 5, strings.Repeat("v", size)); tail.From() != want {
			t.Errorf("values of %d bytes: the tail begins behind %d, want %d", size, tail.From(), want)
		}
	}
}
