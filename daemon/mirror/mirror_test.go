package mirror_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"etcd-rolling-backup/daemon/mirror"
	"etcd-rolling-backup/daemon/status"
	"etcd-rolling-backup/snapshot"
)

func TestMirrorUploadsNewestFirstAndPrunesTheRest(t *testing.T) {
	manual := name(t, "before-upgrade", node, midnight)
	dir := directory(t, append(hourly(t, node, 1, 2, 3, 4, 5), manual)...)
	b := newBucket()
	others := append(hourly(t, "node-a-b", 1, 2, 3, 4, 5), name(t, "manual", node, midnight.Add(-time.Hour)))
	b.fill(t, append(others, hourly(t, node, 0)...)...)
	done, err := mirror.Pass(t.Context(), dir, b, options(3), today)
	if err != nil {
		t.Fatal(err)
	}
	want := append(hourly(t, node, 5, 4, 3), manual)
	b.wantHolds(t, append(others, want...)...)
	if !slices.Equal(done.Uploaded, want) || len(done.Removed) != 1 || done.Pending != 0 {
		t.Errorf("done: %+v", done)
	}
	b.puts = nil
	if again, err := mirror.Pass(t.Context(), dir, b, options(3), today); err != nil || len(b.puts)+len(again.Removed) != 0 {
		t.Errorf("a second pass did %+v, %v", again, err)
	}
}

func TestMirrorPrunesNothingBeforeTheNewestHasArrived(t *testing.T) {
	dir := directory(t, hourly(t, node, 5)...)
	b := newBucket()
	b.fill(t, hourly(t, node, 1, 2, 3)...)
	b.budget = 1 // the list
	done, err := mirror.Pass(t.Context(), dir, b, options(1), today)
	if !errors.Is(err, errBucketDown) || done.Pending != 1 || !done.Listed {
		t.Errorf("%+v, %v", done, err)
	}
	b.budget = 0
	if done, err := mirror.Pass(t.Context(), dir, b, options(1), today); !errors.Is(err, errBucketDown) || done.Listed {
		t.Errorf("%+v, %v", done, err)
	}
	b.wantHolds(t, hourly(t, node, 1, 2, 3)...)
}

// A damaged file is sent once and keeps no other from being uploaded. While the newest is not there, nothing is removed.
func TestMirrorSkipsADamagedFile(t *testing.T) {
	names := hourly(t, node, 1, 2, 3)
	dir := directory(t, names...)
	put(t, dir, names[2], damaged(usual(t)))
	b := newBucket().fill(t, hourly(t, node, 0)...)
	o := options(3)
	o.Status = tracker()
	o.Status.SetInventory(status.Local, []status.Copy{{Name: names[2], Size: int64(len(usual(t)))}}, nil)
	done, err := mirror.Pass(t.Context(), dir, b, o, today)
	if !errors.Is(err, snapshot.ErrDamaged) || done.Pending != 1 {
		t.Errorf("%+v, %v", done, err)
	}
	if got := o.Status.State().Damages(); len(got) != 1 || got[0].Name != names[2] || got[0].Place != status.Local || !got[0].Found.Equal(today) {
		t.Errorf("damage is known of %+v", got)
	}
	b.wantHolds(t, hourly(t, node, 0, 1, 2)...)
	b.puts = nil
	if done, err := mirror.Pass(t.Context(), dir, b, o, today); !errors.Is(err, snapshot.ErrDamaged) || done.Pending != 1 || len(b.puts) > 0 {
		t.Errorf("the next pass: %+v, %v; put %q", done, err, b.puts)
	}

	// Once it is set aside, the pass is in sync and prunes.
	if broken, err := dir.Quarantine(t.Context(), names[2]); err != nil || !broken {
		t.Fatal(broken, err)
	}
	b.puts = nil
	o.Policy.Last = 2
	if done, err := mirror.Pass(t.Context(), dir, b, o, today); err != nil || done.Pending != 0 || len(b.puts) > 0 {
		t.Errorf("%+v, %v; put %q", done, err, b.puts)
	}
	b.wantHolds(t, hourly(t, node, 1, 2)...)
}

func TestMirrorUploadsAgainOverAnObjectOfAnotherSize(t *testing.T) {
	dir := directory(t, hourly(t, node, 1)...)
	b := newBucket()
	b.objects[hourly(t, node, 1)[0].String()] = usual(t)[1:]
	if done, err := mirror.Pass(t.Context(), dir, b, options(1), today); err != nil || len(done.Uploaded) != 1 {
		t.Errorf("%+v, %v", done, err)
	}
}

func TestMirrorRespectsLocksAndCountsThem(t *testing.T) {
	dir := directory(t, hourly(t, node, 5)...)
	b := newBucket()
	b.fill(t, hourly(t, node, 1, 2)...)
	b.locked[hourly(t, node, 1)[0].String()] = true
	done, err := mirror.Pass(t.Context(), dir, b, options(1), today)
	if err != nil || done.Locked != 1 || len(done.Removed) != 1 {
		t.Errorf("%+v, %v", done, err)
	}
	b.wantHolds(t, hourly(t, node, 1, 5)...)
}

func TestMirrorRemovesOrphansExceptTheNewestOfEachNode(t *testing.T) {
	for _, after := range []time.Duration{0, 15 * time.Hour, 19 * time.Hour} {
		t.Run(fmt.Sprint(after), func(t *testing.T) {
			b := newBucket()
			gone, living := hourly(t, "gone", 1, 2, 5), hourly(t, "living", 1, 20)
			manual := name(t, "manual", "gone", midnight)
			b.fill(t, slices.Concat(gone, living, []snapshot.Name{manual})...)
			o := options(1)
			o.OrphanAfter = after
			if _, err := mirror.Pass(t.Context(), directory(t), b, o, today); err != nil {
				t.Fatal(err)
			}
			if after == 15*time.Hour { // the newest is 18 hours old
				gone = gone[2:]
			}
			b.wantHolds(t, slices.Concat(gone, living, []snapshot.Name{manual})...)
		})
	}
}

// However often the bucket fails and wherever, the mirror converges once it works, never without the newest of what was
// there, and never touches another node's snapshots.
func TestMirrorConvergesAfterFailuresAnywhere(t *testing.T) {
	all := hourly(t, node, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9)
	foreign := hourly(t, "other", 0, 1, 2)
	rapid.Check(t, func(rt *rapid.T) {
		keep := rapid.IntRange(1, 6).Draw(rt, "keep")
		b := newBucket()
		b.fill(t, foreign...)
		count := 0
		for i := range rapid.IntRange(1, 5).Draw(rt, "cycles") {
			count = min(len(all), count+rapid.IntRange(1, 3).Draw(rt, "new"))
			dir := directory(t, all[:count]...)
			before := newestOf(b)
			b.budget = rapid.IntRange(0, 8).Draw(rt, fmt.Sprint("budget", i))
			if _, err := mirror.Pass(t.Context(), dir, b, options(keep), today); err != nil && !errors.Is(err, errBucketDown) {
				rt.Fatal(err)
			}
			if after := newestOf(b); after.Before(before) {
				rt.Fatalf("the newest in the bucket went from %s to %s", before, after)
			}
		}
		b.budget = -1
		if _, err := mirror.Pass(t.Context(), directory(t, all[:count]...), b, options(keep), today); err != nil {
			rt.Fatal(err)
		}
		b.wantHolds(t, append(slices.Clone(foreign), all[max(0, count-keep):count]...)...)
	})
}

func newestOf(b *memBucket) time.Time {
	var newest time.Time
	for key := range b.objects {
		if n, err := snapshot.ParseName(key); err == nil && n.Rolling(node) && n.Time.After(newest) {
			newest = n.Time
		}
	}
	return newest
}

// stubborn is a bucket in which some objects can't be removed.
type stubborn struct {
	*memBucket
	stays map[string]bool
	tried int
}

func (b *stubborn) Remove(ctx context.Context, n snapshot.Name) error {
	b.tried++
	if b.stays[n.String()] {
		return fmt.Errorf("remove %s: %w", n, errBucketDown)
	}
	return b.memBucket.Remove(ctx, n)
}

func TestMirrorReportsRefusedRemovalsOnce(t *testing.T) {
	names := hourly(t, node, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0)
	for name, tc := range map[string]struct{ stay, tried, left int }{
		"one":  {1, 9, 2},
		"two":  {2, 9, 3},
		"all":  {9, 3, 10},
		"none": {0, 9, 1},
	} {
		t.Run(name, func(t *testing.T) {
			b := &stubborn{memBucket: newBucket(), stays: map[string]bool{}}
			b.fill(t, names...)
			for _, n := range names[1:][:tc.stay] {
				b.stays[n.String()] = true
			}
			_, err := mirror.Pass(t.Context(), directory(t), b, options(1), today)
			if (err != nil) != (tc.stay > 0) || err != nil && strings.Count(err.Error(), "remove") != 1 {
				t.Errorf("error: %v", err)
			}
			if b.tried != tc.tried || len(b.objects) != tc.left {
				t.Errorf("%d removals tried and %d objects left, want %d and %d", b.tried, len(b.objects), tc.tried, tc.left)
			}
		})
	}
}
