package source

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/internal/history"
	"etcd-rolling-backup/internal/storetest"
	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/journal"
)

// undoneBed is that of a restore to a new cluster ID which was undone an hour later: the first cluster has a snapshot of its last revision again.
type undoneBed struct {
	*restoredBed
	back snapshot.Name
}

// eachUndone runs a test for a cluster that nobody has written to since it was put back, and for one that went on an hour after that.
func eachUndone(t *testing.T, test func(*testing.T, *undoneBed, bool)) {
	t.Helper()
	for name, goesOn := range map[string]bool{"nobody writes": false, "it goes on": true} {
		t.Run(name, func(t *testing.T) {
			b := &undoneBed{&restoredBed{newMomentBed(t), storetest.Name(t, snapshot.RollingSet, "n1", -2)}, storetest.Name(t, snapshot.RollingSet, "n1", 1)}
			b.write(b.before.String(), storetest.ArchiveAt(t, b.before, oldCluster, 780))
			b.segment("n1", oldCluster, -time.Hour, 781, 840)
			b.segment("n1", oldCluster, -time.Hour+time.Minute, 841, 900)
			b.segment("n1", newCluster, time.Minute, 806, 910)
			b.write(b.back.String(), storetest.ArchiveAt(t, b.back, oldCluster, 900))
			until := 90 * time.Minute
			if goesOn {
				b.segment("n1", oldCluster, 2*time.Hour, 901, 950)
			}
			m := b.manifest("841-900")
			note := journal.QuietNote{{Cluster: oldCluster, Revision: 900, Digest: m.LastDigest, Until: b.base.Time.Add(until)}}
			if err := snapshot.NewDir(b.dir).KeepNote(snapshot.QuietNote("n1"), note); err != nil {
				t.Fatal(err)
			}
			test(t, b, goesOn)
		})
	}
}

// opened opens a moment of one of several clusters.
func (b *momentBed) opened(reference, at string) (o *Opened, notices string, err error) {
	b.Helper()
	x, err := config.ParseAt(at, b.base.Time.Add(24*time.Hour))
	if err != nil {
		b.Fatal(err)
	}
	var out bytes.Buffer
	o, err = Open(b.Context(), Request{Reference: reference, Dir: b.dir, At: &x, Notice: func(text string) { fmt.Fprintln(&out, text) }})
	if err == nil {
		b.Cleanup(func() { _ = errors.Join(o.File.Close(), o.Journal.Close()) }) // they were only read
	}
	return o, out.String(), err
}

// A restore was undone. Each moment is of the cluster that was there.
func TestMomentOfAnUndoneRestore(t *testing.T) {
	eachUndone(t, func(t *testing.T, b *undoneBed, goesOn bool) {
		for _, x := range []struct {
			at       string
			revision int64
			from     snapshot.Name
			cluster  snapshot.ID
			written  bool // since
		}{
			{b.after(-time.Hour + 40*time.Second), 821, b.before, oldCluster, false},
			{b.after(30 * time.Second), 805, b.base, newCluster, false},
			{b.after(time.Minute + 2*time.Second), 808, b.base, newCluster, false},
			{b.after(80 * time.Minute), 900, b.back, oldCluster, false},
			{b.after(100 * time.Minute), 900, b.back, oldCluster, true},
			{b.after(2*time.Hour + 9*time.Second), 910, b.back, oldCluster, true},
			{"850", 0, snapshot.Name{}, 0, false},
			{"780", 780, b.before, oldCluster, false},
			{"940", 940, b.back, oldCluster, true},
		} {
			if x.written && !goesOn {
				continue
			}
			o, notices, err := b.opened(snapshot.Latest, x.at)
			if x.revision == 0 {
				if !errors.Is(err, config.ErrUsage) || !strings.Contains(err.Error(), "more than once") {
					t.Errorf("at %s: %v", x.at, err)
				}
				continue
			}
			if err != nil {
				t.Errorf("at %s: %v", x.at, err)
				continue
			}
			if o.Journal.Revision != x.revision || o.Journal.Cluster != x.cluster || o.Snapshot != x.from {
				t.Errorf("at %s: revision %d of %s from %s", x.at, o.Journal.Revision, o.Journal.Cluster, o.Snapshot)
			}
			if !strings.Contains(notices, "snapshots of 2 clusters: this moment is of cluster "+x.cluster.String()) {
				t.Errorf("at %s it said %q", x.at, notices)
			}
		}
		// The first cluster was not there, though it has had no other revision since.
		at := b.after(time.Minute + 2*time.Second)
		_, _, err := b.opened(b.before.String(), at)
		if want := "the snapshot " + b.base.String() + ` with --at "` + at + `" restores it`; !errors.Is(err, ErrMoment) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v\nwant %s", err, want)
		}
		if o, _, err := b.opened(b.base.String(), at); err != nil || o.Journal.Revision != 808 {
			t.Errorf("what was proposed: %+v, %v", o, err)
		}
		if _, _, err := b.opened(snapshot.Latest, b.after(30*time.Minute)); !errors.Is(err, ErrMoment) {
			t.Errorf("when the second cluster had ended: %v", err)
		}
	})
}

// Without its snapshot, the segments still show that the second cluster was there.
func TestMomentOfAClusterWithoutASnapshotIsRefused(t *testing.T) {
	eachUndone(t, func(t *testing.T, b *undoneBed, _ bool) {
		if err := snapshot.NewDir(b.dir).Remove(t.Context(), b.base); err != nil {
			t.Fatal(err)
		}
		if o, _, err := b.opened(snapshot.Latest, b.after(time.Minute+2*time.Second)); !errors.Is(err, ErrMoment) {
			t.Errorf("%+v, %v", o, err)
		}
	})
}

// The rows of a node are in the order of time, and none reaches into another.
func TestRowsOfAnUndoneRestoreDoNotOverlap(t *testing.T) {
	eachUndone(t, func(t *testing.T, b *undoneBed, goesOn bool) {
		rows := b.ranges(map[snapshot.Name]history.Snapshot{
			b.before: {Cluster: oldCluster, Revision: 780}, b.base: {Cluster: newCluster, Revision: 805}, b.back: {Cluster: oldCluster, Revision: 900},
		})
		want := []snapshot.ID{oldCluster, newCluster}
		if goesOn {
			want = append(want, oldCluster)
		}
		if len(rows) != len(want) {
			t.Fatalf("%+v", rows)
		}
		for i, r := range rows {
			if r.Cluster != want[i] || r.Base == nil || r.To.Before(r.From) || r.Restored != (i > 0) || i > 0 && r.From.Before(rows[i-1].To) {
				t.Errorf("row %d: %+v, from %s", i, r, r.Base.Name)
			}
			for _, moment := range []time.Time{r.From, r.To} {
				if o, _, err := b.opened(snapshot.Latest, moment.Format(time.RFC3339Nano)); err != nil || o.Journal.Cluster != r.Cluster {
					t.Errorf("row %d, %s: %+v, %v", i, moment, o, err)
				}
			}
		}
	})
}

// Two clusters that share a directory, at the same time: no moment says which one is meant, and the snapshots that are named lead to it.
func TestMomentOfTwoLivingClustersIsRefused(t *testing.T) {
	for name, node := range map[string]string{"of two nodes": "n2", "of one node name": "n1"} {
		t.Run(name, func(t *testing.T) {
			b := newMomentBed(t)
			other := storetest.Name(t, snapshot.RollingSet, node, -1)
			b.write(other.String(), storetest.ArchiveAt(t, other, oldCluster, 300))
			for i := range time.Duration(4) {
				b.segment("n1", newCluster, (i+1)*10*time.Minute, 806+int64(i)*10, 815+int64(i)*10)
				b.segment(node, oldCluster, (i+1)*10*time.Minute+5*time.Minute, 301+int64(i)*10, 310+int64(i)*10)
			}
			for n, cluster := range map[int]snapshot.ID{3: newCluster, 4: oldCluster} { // newer ones that do not lead to the moment
				x := storetest.Name(t, snapshot.RollingSet, map[snapshot.ID]string{newCluster: "n1", oldCluster: node}[cluster], n)
				b.write(x.String(), storetest.ArchiveAt(t, x, cluster, 5000))
			}
			at := b.after(20*time.Minute + 4*time.Second)
			_, _, err := b.opened(snapshot.Latest, at)
			several, ok := errors.AsType[*SeveralError](err)
			if !ok || !several.Moment || len(several.Choices) != 2 {
				t.Fatalf("%v", err)
			}
			for _, c := range several.Choices {
				want := map[snapshot.ID]int64{newCluster: 820, oldCluster: 310}[c.Cluster]
				o, _, err := b.opened(c.Name.String(), at)
				if err != nil || o.Journal.Revision != want || o.Journal.Cluster != c.Cluster {
					t.Errorf("%s: %+v, %v", c.Name, o, err)
				}
			}
			if _, _, err := b.opened(snapshot.Latest, "840"); !errors.As(err, &several) || len(several.Choices) != 1 || several.Choices[0].Name != b.base {
				t.Errorf("a revision that one of them has: %v", err)
			}
		})
	}
}
