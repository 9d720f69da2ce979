package mirror_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"etcd-rolling-backup/daemon/mirror"
	"etcd-rolling-backup/daemon/status"
	"etcd-rolling-backup/retention"
	"etcd-rolling-backup/snapshot"
)

const reasonShrank = "from before the database shrank to less than half"

// shrunk is a directory and a bucket of an etcd that shrank with the snapshot of 3:00. The bucket has those of 0:00 and 1:00, the disk the
// later ones.
func shrunk(t *testing.T) (*snapshot.Dir, *memBucket, []snapshot.Name) {
	t.Helper()
	names := hourly(t, node, 0, 1, 2, 3, 4, 5)
	dir := directory(t, names[2])
	small := archive(t, 1, 7, false)
	for _, n := range names[3:] {
		put(t, dir, n, small)
	}
	return dir, newBucket().fill(t, names[0], names[1]), names
}

// What came before a loss is neither removed from the bucket nor kept from it, in the first pass as in each, whatever is remembered.
func TestMirrorKeepsWhatCameBeforeALoss(t *testing.T) {
	for _, s := range []*status.Tracker{nil, tracker()} {
		dir, b, names := shrunk(t)
		o := options(1)
		o.Status = s
		want := []snapshot.Name{names[2], names[3], names[5]}
		for range 3 {
			if _, err := mirror.Pass(t.Context(), dir, b, o, today); err != nil {
				t.Error(err)
			}
			b.wantHolds(t, want...)
		}
		// 23.5 hours after the first small one it is over.
		put(t, dir, hourly(t, node, 27)[0], archive(t, 1, 7, false))
		if _, err := mirror.Pass(t.Context(), dir, b, o, today.Add(24*time.Hour)); err != nil {
			t.Error(err)
		}
		b.wantHolds(t, hourly(t, node, 27)...)
	}
}

// The file of the last snapshot with the data is damaged, and the daemon has not yet renamed it: the object is then the only one.
func TestObjectFromBeforeALossStaysWhenItsFileIsDamaged(t *testing.T) {
	names := hourly(t, node, 0, 1, 2)
	for what, file := range map[string][]byte{"cut off": usual(t)[:500], "empty": nil, "zeros": make([]byte, len(usual(t)))} {
		for _, s := range []*status.Tracker{nil, tracker()} {
			dir := directory(t)
			put(t, dir, names[0], file)
			small := archive(t, 1, 7, false)
			put(t, dir, names[1], small)
			put(t, dir, names[2], small)
			b := newBucket().fill(t, names[0])
			o := options(1)
			o.Status = s
			if _, err := mirror.Pass(t.Context(), dir, b, o, today); err != nil {
				t.Errorf("%s: %v", what, err)
			}
			b.wantHolds(t, names...)
		}
	}
}

// A fallen revision is a loss too.
func TestMirrorKeepsWhatCameBeforeAFallenRevision(t *testing.T) {
	names := hourly(t, node, 0, 1, 2)
	dir := directory(t)
	put(t, dir, names[2], archive(t, 4, 6, false))
	b := newBucket().fill(t, names[:2]...)
	if _, err := mirror.Pass(t.Context(), dir, b, options(1), today); err != nil {
		t.Error(err)
	}
	b.wantHolds(t, names[1:]...)
}

// A new disk learns from the bucket what to compare with: of a damaged object nothing, which protects nothing. As long as one can't be read
// it is not removed, and the pass has failed.
func TestNewDiskIsComparedWithTheBucket(t *testing.T) {
	names := hourly(t, node, 0, 1, 2, 3)
	dir := directory(t)
	small := archive(t, 1, 7, false)
	put(t, dir, names[3], small)
	b := newBucket().fill(t, names[:3]...)
	b.objects[names[2].String()] = make([]byte, 1000)
	b.untold[names[1].String()], b.untold[names[0].String()] = errBucketDown, errBucketDown
	o := options(1)
	o.Status = tracker()
	o.Status.SetInventory(status.Local, []status.Copy{{Name: names[3], Size: int64(len(small)), Facts: snapshot.Facts{RawSize: 544, Revision: 7}}}, nil)
	done, err := mirror.Pass(t.Context(), dir, b, o, today)
	if !errors.Is(err, errBucketDown) || !slices.Equal(done.Uploaded, names[3:]) || !slices.Equal(done.Removed, names[2:3]) {
		t.Errorf("what is there can't be read: %+v, %v", done, err)
	}
	clear(b.untold)
	b.tails = nil
	done, err = mirror.Pass(t.Context(), dir, b, o, today)
	if err != nil || !slices.Equal(done.Removed, names[:1]) {
		t.Errorf("it can be read: %+v, %v", done, err)
	}
	if c, ok := o.Status.State().Compare(retention.GuardWindow, today); !ok || !c.Shrank() || c.RawSize != 4*512+32 {
		t.Errorf("compared: %+v", c)
	}
	b.wantHolds(t, names[1], names[3])
	b.tails = nil
	if _, err := mirror.Pass(t.Context(), dir, b, o, today); err != nil || len(b.tails) > 0 {
		t.Errorf("%v; read again %q", err, b.tails)
	}
}

// A bucket from which nothing may be read gets new snapshots and costs a few tries only.
func TestBucketThatCannotBeReadIsNotAskedForEachObject(t *testing.T) {
	names := hourly(t, node, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9)
	dir := directory(t, names[9])
	b := newBucket().fill(t, names[:9]...)
	for _, n := range names {
		b.untold[n.String()] = errBucketDown
	}
	done, err := mirror.Pass(t.Context(), dir, b, options(2), today)
	if !errors.Is(err, errBucketDown) || !slices.Equal(done.Uploaded, names[9:]) || len(done.Removed) > 0 || len(b.tails) > 4 {
		t.Errorf("%+v, %v; asked for %q", done, err, b.tails)
	}
}

// By hand it is the same as in the daemon, and a dry run names the reasons.
func TestManualPruneKeepsWhatCameBeforeALoss(t *testing.T) {
	dir, b, names := shrunk(t)
	if _, err := mirror.Pass(t.Context(), dir, b, options(10), today); err != nil {
		t.Fatal(err)
	}
	l, err := dir.List()
	if err != nil {
		t.Fatal(err)
	}
	for _, dryRun := range []bool{true, false} {
		done, err := mirror.Prune(t.Context(), dir, l, b, options(1), today, dryRun)
		decisions := done.Decisions
		if err != nil || len(decisions) != 6 {
			t.Fatal(decisions, err)
		}
		var kept, guarded []snapshot.Name
		for _, d := range decisions {
			if d.Keep {
				kept = append(kept, d.Name)
			}
			if d.Guarded {
				guarded = append(guarded, d.Name)
			}
			if d.Name == names[2] && !strings.Contains(strings.Join(d.Reasons, "; "), reasonShrank) {
				t.Errorf("dry run %t: %+v", dryRun, d)
			}
		}
		if !slices.Equal(kept, []snapshot.Name{names[5], names[3], names[2]}) || !slices.Equal(guarded, kept[1:]) {
			t.Errorf("dry run %t: keeps %q, guards %q", dryRun, kept, guarded)
		}
		if dryRun {
			b.wantHolds(t, names...)
		} else {
			b.wantHolds(t, names[2], names[3], names[5])
		}
	}
}
