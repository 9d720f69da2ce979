package source

import (
	"reflect"
	"slices"
	"testing"
	"time"

	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/internal/history"
	"etcd-rolling-backup/internal/storetest"
	"etcd-rolling-backup/snapshot"
)

// ranges are those of the bed with these snapshots.
func (b *momentBed) ranges(bases map[snapshot.Name]history.Snapshot) []Range {
	b.Helper()
	var of []history.Snapshot
	for n, x := range bases {
		x.Name, x.Time = n, n.Time
		of = append(of, x)
	}
	slices.SortFunc(of, func(a, b history.Snapshot) int { return b.Time.Compare(a.Time) })
	all, failed := Places{Dir: b.dir}.List(b.Context())
	if len(failed) > 0 {
		b.Fatal(failed[0])
	}
	defer all[0].Close()
	return JournalOf(all, snapshot.NewDir(b.TempDir())).Ranges(b.Context(), of)
}

// The first and the last moment of each row can be restored, also where the journal began before its snapshot, after a gap and within the same second.
func TestEndsOfARowCanBeRestored(t *testing.T) {
	for name, x := range map[string]struct {
		begun time.Duration
		first int64
		from  time.Duration // the row's
	}{
		"the snapshot is within a segment":     {-23400 * time.Millisecond, 781, 600 * time.Millisecond},
		"the snapshot is before the segment":   {400 * time.Millisecond, 806, 0},
		"the snapshot is of its last revision": {-38400 * time.Millisecond, 766, 600 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			b := newMomentBed(t)
			before := storetest.Name(t, snapshot.RollingSet, "n1", -1)
			b.write(before.String(), storetest.ArchiveAt(t, before, newCluster, 700))
			b.segment("n1", newCluster, -time.Hour+400*time.Millisecond, 701, 750)
			last := int64(820)
			if x.first == 766 {
				last = baseRevision
			}
			b.segment("n1", newCluster, x.begun, x.first, last)
			rows := b.ranges(map[snapshot.Name]history.Snapshot{before: {Cluster: newCluster, Revision: 700}, b.base: {Cluster: newCluster, Revision: baseRevision}})
			if len(rows) != 2 || !rows[1].From.Equal(b.base.Time.Add(x.from)) {
				t.Fatalf("%+v", rows)
			}
			for i, r := range rows {
				for _, moment := range []time.Time{r.From, r.To, r.From.Add(time.Second - 1).Truncate(time.Second)} {
					if moment.After(r.To) {
						continue
					}
					o, _, err := b.opened(snapshot.Latest, moment.Format(time.RFC3339Nano))
					if err != nil || o.Journal.Revision < r.First || o.Journal.Revision > r.Last {
						t.Errorf("row %d, %s: %+v, %v", i, moment, o, err)
					}
				}
			}
		})
	}
}

// What the bucket has of a row ends with its segments, or with a later snapshot.
func TestBucketHasARowUpToItsNewestSnapshotOrSegment(t *testing.T) {
	b := newMomentBed(t)
	later := storetest.Name(t, snapshot.RollingSet, "n1", 1)
	b.write(later.String(), storetest.ArchiveAt(t, later, newCluster, 820))
	b.segment("n1", newCluster, time.Minute, 806, 810)
	b.segment("n1", newCluster, 10*time.Minute, 811, 820)
	b.segment("n1", newCluster, 61*time.Minute, 821, 830)
	all, failed := Places{Dir: b.dir}.List(t.Context())
	if len(failed) > 0 {
		t.Fatal(failed[0])
	}
	defer all[0].Close()
	bases := []history.Snapshot{{Name: later, Time: later.Time, Cluster: newCluster, Revision: 820}, {Name: b.base, Time: b.base.Time, Cluster: newCluster, Revision: baseRevision}}
	segments := all[0].Segments
	for name, x := range map[string]struct {
		snapshots []snapshot.Name
		segments  []snapshot.SegmentEntry
		want      *Mirrored
	}{
		"nothing":                             {nil, nil, nil},
		"the first snapshot":                  {[]snapshot.Name{b.base}, nil, &Mirrored{baseRevision, b.base.Time}},
		"a segment":                           {[]snapshot.Name{b.base}, segments[:1], &Mirrored{810, b.base.Time.Add(64 * time.Second)}},
		"a segment and the later snapshot":    {[]snapshot.Name{b.base, later}, segments[:1], &Mirrored{820, later.Time}},
		"two segments and the later snapshot": {[]snapshot.Name{b.base, later}, segments[:2], &Mirrored{820, later.Time}},
		"what continues the later snapshot":   {[]snapshot.Name{later}, segments[2:], &Mirrored{830, b.base.Time.Add(61*time.Minute + 9*time.Second)}},
	} {
		bucket := Listing{Place: config.S3, Listing: snapshot.Listing{Segments: x.segments}}
		for _, n := range x.snapshots {
			bucket.Snapshots = append(bucket.Snapshots, snapshot.Entry{Name: n})
		}
		rows := JournalOf([]Listing{all[0], bucket}, snapshot.NewDir(t.TempDir())).Ranges(t.Context(), bases)
		if len(rows) != 1 || !reflect.DeepEqual(rows[0].Mirrored, x.want) {
			t.Errorf("%s: %+v, want %+v", name, rows[0].Mirrored, x.want)
		}
	}
}
