package source

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"etcd-rolling-backup/internal/storetest"
	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/journal"
)

// manifest is that of the segment of this node with these revisions.
func (b *momentBed) manifest(revisions string) journal.Manifest {
	b.Helper()
	found, err := filepath.Glob(filepath.Join(b.dir, "journal_n1_*_"+revisions+".jnl.zst"))
	if err != nil || len(found) != 1 {
		b.Fatalf("%q, %v", found, err)
	}
	f, err := os.Open(found[0])
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	n, err := snapshot.ParseSegmentName(filepath.Base(found[0]))
	if err != nil {
		b.Fatal(err)
	}
	s, err := journal.OpenFile(context.Background(), f, n)
	if err != nil {
		b.Fatal(err)
	}
	return s.Manifest
}

// Where nothing follows the newest snapshot, the daemon's note says until when it was the newest state.
func TestNewestSnapshotOfAnIdleClusterIsKnownToBeTheNewestState(t *testing.T) {
	b := newMomentBed(t)
	until := b.base.Time.Add(time.Hour)
	for name, x := range map[string]struct {
		note  journal.Quiet
		known bool
	}{
		"of this revision":         {journal.Quiet{Cluster: newCluster, Revision: 805, Until: until}, true},
		"of another cluster":       {journal.Quiet{Cluster: oldCluster, Revision: 805, Until: until}, false},
		"of a later revision":      {journal.Quiet{Cluster: newCluster, Revision: 806, Until: until}, false},
		"from before the snapshot": {journal.Quiet{Cluster: newCluster, Revision: 805, Until: b.base.Time}, false},
	} {
		if err := snapshot.NewDir(b.dir).KeepNote(snapshot.QuietNote("n1"), journal.QuietNote{{Revision: 3}, x.note}); err != nil {
			t.Fatal(err)
		}
		o, err := b.ask(snapshot.Latest, "latest")
		if err != nil {
			t.Fatal(err)
		}
		if o.Journal != nil || o.Unchanged.IsZero() == x.known || x.known && !o.Unchanged.Equal(until) {
			t.Errorf("%s: unchanged until %s, %+v", name, o.Unchanged, o.Journal)
		}
	}
}

// The daemon's note counts for the very revision that it is about, and for no other with its number.
func TestMomentAfterTheEndIsKnownFromTheDaemonsNote(t *testing.T) {
	b := newMomentBed(t)
	b.segment("n1", newCluster, time.Minute, 806, 810)
	m := b.manifest("806-810")
	good := journal.Quiet{Cluster: newCluster, Revision: 810, Digest: m.LastDigest, Until: b.base.Time.Add(time.Hour)}
	for name, c := range map[string]struct {
		change func(*journal.Quiet)
		known  bool
	}{
		"of this revision":         {func(*journal.Quiet) {}, true},
		"of another history":       {func(q *journal.Quiet) { q.Digest = strings.Repeat("0", 64) }, false},
		"of another cluster":       {func(q *journal.Quiet) { q.Cluster = oldCluster }, false},
		"of a revision before":     {func(q *journal.Quiet) { q.Revision = 809 }, false},
		"from before the moment":   {func(q *journal.Quiet) { q.Until = b.base.Time.Add(time.Minute + 20*time.Second) }, false},
		"from before the revision": {func(q *journal.Quiet) { q.Until = b.base.Time }, false},
	} {
		q := good
		c.change(&q)
		if err := snapshot.NewDir(b.dir).KeepNote(snapshot.QuietNote("n1"), journal.QuietNote{{Revision: 3}, q, {Revision: 900}}); err != nil {
			t.Fatal(err)
		}
		o, _, err := b.open(30 * time.Minute)
		if c.known && (err != nil || o.Journal.Revision != 810 || !o.Journal.Unchanged.Equal(good.Until)) || !c.known && !errors.Is(err, ErrMoment) {
			t.Errorf("%s: %+v, %v", name, o, err)
		}
		says := err != nil && strings.Contains(err.Error(), ", and nothing had changed until 2026-11-21 00:01:20 UTC")
		if says != (name == "from before the moment") {
			t.Errorf("%s: %v", name, err)
		}
	}
	b.write(snapshot.QuietNote("n1"), []byte("no JSON"))
	if _, _, err := b.open(30 * time.Minute); !errors.Is(err, ErrMoment) {
		t.Errorf("damaged: %v", err)
	}
}

// A later snapshot of the same revision shows that nothing had changed before it, unless something was written in between.
func TestMomentAfterTheEndIsKnownFromALaterSnapshot(t *testing.T) {
	for name, c := range map[string]struct {
		revision int64
		cluster  snapshot.ID
		between  func(b *momentBed)
		known    bool
	}{
		"of that revision":                           {810, newCluster, nil, true},
		"of a later one":                             {811, newCluster, nil, false},
		"of another cluster":                         {810, oldCluster, nil, false},
		"after a restore that kept the cluster's ID": {810, newCluster, func(b *momentBed) { b.segment("n1", newCluster, 90*time.Minute, 700, 710) }, false},
		"after a snapshot of less": {810, newCluster, func(b *momentBed) {
			n := storetest.Name(b, snapshot.RollingSet, "n1", 1)
			b.write(n.String(), storetest.ArchiveAt(b, n, newCluster, 700))
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			b := newMomentBed(t)
			b.segment("n1", newCluster, time.Minute, 806, 810)
			later := storetest.Name(t, snapshot.RollingSet, "n1", 2)
			b.write(later.String(), storetest.ArchiveAt(t, later, c.cluster, c.revision))
			if c.between != nil {
				c.between(b)
			}
			o, _, err := b.openFrom(b.base.String(), 30*time.Minute)
			if c.known && (err != nil || o.Journal.Revision != 810) || !c.known && !errors.Is(err, ErrMoment) {
				t.Errorf("%+v, %v", o, err)
			}
			if _, _, err := b.openFrom(b.base.String(), 3*time.Hour); !errors.Is(err, ErrMoment) {
				t.Errorf("after that snapshot: %v", err)
			}
		})
	}
}

// The journal from before the snapshot is gone, and nothing has changed since.
func TestMomentOfAnIdleClusterNeedsNoSegment(t *testing.T) {
	for name, c := range map[string]struct {
		note   journal.QuietNote
		later  int64 // revision of a snapshot two hours later; 0: none
		within bool
	}{
		"a note":                   {journal.QuietNote{{Cluster: newCluster, Revision: 700}, {Cluster: newCluster, Revision: baseRevision}}, 0, true},
		"a later snapshot":         {nil, baseRevision, true},
		"neither":                  {nil, 0, false},
		"a note of another number": {journal.QuietNote{{Cluster: newCluster, Revision: baseRevision + 1}}, 0, false},
		"a note of another range":  {journal.QuietNote{{Cluster: newCluster, Revision: baseRevision}, {Cluster: newCluster, Revision: 900}}, 0, false},
		"a snapshot with more":     {nil, baseRevision + 1, false},
	} {
		t.Run(name, func(t *testing.T) {
			b := newMomentBed(t)
			for i := range c.note {
				c.note[i].Until = b.base.Time.Add(time.Hour)
			}
			if err := snapshot.NewDir(b.dir).KeepNote(snapshot.QuietNote("n1"), c.note); err != nil {
				t.Fatal(err)
			}
			if c.later > 0 {
				n := storetest.Name(t, snapshot.RollingSet, "n1", 2)
				b.write(n.String(), storetest.ArchiveAt(t, n, newCluster, c.later))
			}
			o, _, err := b.open(30 * time.Minute)
			if c.within && (err != nil || o.Journal.Revision != baseRevision) || !c.within && !errors.Is(err, ErrMoment) {
				t.Errorf("%+v, %v", o, err)
			}
			if _, _, err := b.open(3 * time.Hour); !errors.Is(err, ErrMoment) {
				t.Errorf("after what is known: %v", err)
			}
		})
	}
}
