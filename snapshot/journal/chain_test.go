package journal_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.etcd.io/bbolt"

	"etcd-rolling-backup/internal/etcdtest"
	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/journal"
)

// named parses "7-9 10-12" as the names of segments.
func named(t testing.TB, ranges string) (names []snapshot.SegmentName) {
	t.Helper()
	for _, r := range strings.Fields(ranges) {
		var first, last int64
		_, err := fmt.Sscanf(r, "%d-%d", &first, &last)
		must(t, err)
		n, err := snapshot.NewSegmentName("node-a", noon, first, last)
		must(t, err)
		names = append(names, n)
	}
	return names
}

func TestFollowChoosesFewSegmentsUpToTheGap(t *testing.T) {
	for segments, want := range map[string]string{
		"":                              "",
		"7-9 10-12 13-14":               "7-9 10-12 13-14",
		"13-14 10-12 7-9":               "7-9 10-12 13-14",
		"7-9 7-9 8-8 10-12 10-12":       "7-9 10-12",
		"7-9 13-14":                     "7-9",
		"8-9 10-12":                     "", // the snapshot has revision 6
		"1-5 1-7 7-9 9-12":              "7-9 9-12",
		"5-20 7-9 10-12 21-22":          "5-20 21-22",
		"3-6 1-2":                       "",
		"7-8 7-9 8-13 9-10 10-12 13-14": "7-9 8-13 13-14",
	} {
		if got := journal.Follow(named(t, segments), 6); !slices.Equal(got, named(t, want)) {
			t.Errorf("%s: %v, want %s", segments, got, want)
		}
	}
}

// database is one of an etcd with these entries.
func database(t testing.TB, entries map[string][]byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "base")
	db, err := bbolt.Open(path, 0o600, nil)
	must(t, err)
	must(t, db.Update(func(tx *bbolt.Tx) error {
		for _, name := range []string{"key", "meta", "lease"} {
			if _, err := tx.CreateBucket([]byte(name)); err != nil {
				return err
			}
		}
		for k, v := range entries {
			if err := tx.Bucket([]byte("key")).Put([]byte(k), v); err != nil {
				return err
			}
		}
		return nil
	}))
	must(t, db.Close())
	return path
}

// six is a database whose newest revision is 6, with the events that write makes.
func six(t testing.TB) string {
	t.Helper()
	r := put(t, 6, "key-6", "value-36")
	return database(t, map[string][]byte{
		string(etcdtest.Revision(6, 0)):       r.Data,
		string(etcdtest.Revision(6, 1)) + "t": []byte("\n\x04gone"),
	})
}

// follows is the header of a segment that continues another one.
func follows(s *journal.Segment) journal.Header {
	h := header(s.Last + 1)
	h.Before = s.LastDigest
	return h
}

func TestMergeDemandsEveryRevisionOfOneHistory(t *testing.T) {
	five := segment(t, header(5), 9) // knows revision 6
	ten := segment(t, follows(five), 12)
	thirteen := segment(t, follows(ten), 14)
	eleven := segment(t, header(11), 14)
	other := header(10)
	other.Before = ten.LastDigest
	foreign := follows(five)
	foreign.ClusterID = 2
	unknown := header(10)
	for name, c := range map[string]struct {
		chain []*journal.Segment
		err   error
	}{
		"in order":                     {[]*journal.Segment{five, ten, thirteen}, nil},
		"repeated":                     {[]*journal.Segment{five, five, ten, ten, thirteen}, nil},
		"overlapping":                  {[]*journal.Segment{five, ten, eleven}, nil},
		"dropped":                      {[]*journal.Segment{five, thirteen}, journal.ErrGap},
		"reordered":                    {[]*journal.Segment{ten, five}, journal.ErrGap},
		"of another cluster":           {[]*journal.Segment{five, segment(t, foreign, 12)}, journal.ErrHistory},
		"continuing another revision":  {[]*journal.Segment{five, segment(t, other, 12)}, journal.ErrHistory},
		"not knowing what came before": {[]*journal.Segment{five, segment(t, unknown, 12)}, journal.ErrHistory},
		"not knowing the snapshot":     {[]*journal.Segment{segment(t, header(7), 12)}, journal.ErrHistory},
	} {
		_, m, err := merge(t, six(t), c.chain, 0)
		if !errors.Is(err, c.err) {
			t.Errorf("%s: %v, want %v", name, err, c.err)
		}
		var foreign *journal.SegmentError
		if last := c.chain[len(c.chain)-1]; errors.As(err, &foreign) != errors.Is(c.err, journal.ErrHistory) || foreign != nil && foreign.Segment.String() != last.Name {
			t.Errorf("%s: the error names %+v, want %s", name, foreign, last.Name)
		}
		if err == nil && (m.Base != 6 || m.Revision != 14 || m.Events != 16) {
			t.Errorf("%s: %+v", name, m)
		}
	}
}

// A cluster that was restored and written to again has the same revisions with other events.
func TestSegmentOfAnotherHistoryIsRefusedWhereItOverlaps(t *testing.T) {
	five := segment(t, header(5), 9)
	h := header(8)
	h.ClusterID = 1
	path := filepath.Join(t.TempDir(), "other")
	f, err := os.Create(path)
	must(t, err)
	defer f.Close()
	w, err := journal.NewWriter(f, h)
	must(t, err)
	for r := int64(8); r < 12; r++ {
		must(t, w.Write(put(t, r, "other", "history")))
		must(t, w.Checkpoint(noon, false))
	}
	_, err = w.Finish()
	must(t, err)
	info, err := f.Stat()
	must(t, err)
	s, err := journal.Open(f, info.Size())
	must(t, err)
	if _, _, err := merge(t, six(t), []*journal.Segment{five, s}, 0); !errors.Is(err, journal.ErrHistory) {
		t.Errorf("merged: %v", err)
	}
	if _, _, err := merge(t, database(t, map[string][]byte{string(etcdtest.Revision(6, 0)): put(t, 6, "a", "b").Data}), []*journal.Segment{five}, 0); !errors.Is(err, journal.ErrHistory) {
		t.Errorf("merged with another snapshot: %v", err)
	}
}

func TestRevisionOutOfTheJournalIsRefused(t *testing.T) {
	five := segment(t, header(5), 9)
	for _, revision := range []int64{-1, 10, 1 << 40} {
		if _, _, err := merge(t, six(t), []*journal.Segment{five}, revision); !errors.Is(err, journal.ErrRevision) {
			t.Errorf("%d: %v", revision, err)
		}
	}
	for _, revision := range []int64{6, 7, 9} {
		_, m, err := merge(t, six(t), []*journal.Segment{five}, revision)
		if must(t, err); m.Revision != revision || m.Events != 2*(revision-6) {
			t.Errorf("%d: %+v", revision, m)
		}
	}
	if _, m, err := merge(t, six(t), nil, 0); err != nil || m.Revision != 6 {
		t.Errorf("without a journal: %+v, %v", m, err)
	}
}

// A snapshot still has the revisions back to its compaction.
func TestRevisionThatTheSnapshotNoLongerHasIsRefused(t *testing.T) {
	path := database(t, map[string][]byte{
		string(etcdtest.Revision(3, 0)): put(t, 3, "a", "x").Data,
		string(etcdtest.Revision(5, 0)): put(t, 5, "b", "y").Data,
		string(etcdtest.Revision(6, 0)): put(t, 6, "c", "z").Data,
	})
	db, err := bbolt.Open(path, 0o600, nil)
	must(t, err)
	must(t, db.Update(func(tx *bbolt.Tx) error {
		return tx.Bucket([]byte("meta")).Put([]byte("scheduledCompactRev"), etcdtest.Revision(4, 0))
	}))
	must(t, db.Close())
	for revision, want := range map[int64]int{4: 1, 5: 2, 6: 3} {
		merged, m, err := merge(t, path, nil, revision)
		must(t, err)
		f, err := os.Open(merged)
		must(t, err)
		var keys int
		must(t, snapshot.ViewDatabase(f, func(tx *bbolt.Tx) error { keys = tx.Bucket([]byte("key")).Stats().KeyN; return nil }))
		if m.Revision != revision || m.Base != 6 || keys != want {
			t.Errorf("%d: %+v with %d keys, want %d", revision, m, keys, want)
		}
	}
	if _, _, err := merge(t, path, nil, 3); !errors.Is(err, journal.ErrRevision) {
		t.Errorf("3: %v", err)
	}
}
