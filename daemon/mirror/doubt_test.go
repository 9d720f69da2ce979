package mirror_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"etcd-rolling-backup/daemon/mirror"
	"etcd-rolling-backup/snapshot"
)

// forgetful lists only some snapshots, for so many listings.
type forgetful struct {
	*memBucket
	wrong   int
	listed  int
	listing []snapshot.Entry
}

func (b *forgetful) List(ctx context.Context, prefixes ...string) ([]snapshot.Entry, error) {
	b.listed++
	if b.listed <= b.wrong {
		return b.listing, nil
	}
	return b.memBucket.List(ctx, prefixes...)
}

// Tail implements mirror.Bucket: a missing object is an error here.
func (b *forgetful) Tail(ctx context.Context, n snapshot.Name) ([]byte, int64, error) {
	if b.objects[n.String()] == nil {
		b.tails = append(b.tails, n.String())
		return nil, 0, fmt.Errorf("tail: %w", snapshot.ErrNotFound)
	}
	return b.memBucket.Tail(ctx, n)
}

// A listing without what was there a moment ago is not believed, unless a second one and a look at an object agree.
func TestMirrorDoubtsAListingThatLostMost(t *testing.T) {
	all := hourly(t, node, 1, 2, 3, 4)
	for what, tc := range map[string]struct {
		wrong        int
		listing      []snapshot.Entry
		really       bool // the objects are gone
		fails        bool
		puts, listed int
	}{
		"right":              {0, nil, false, false, 0, 1},
		"wrong once":         {1, nil, false, false, 0, 2},
		"wrong for long":     {9, nil, false, true, 0, 2},
		"wrong about most":   {9, []snapshot.Entry{{Name: all[0], Size: int64(len(usual(t)))}}, false, true, 0, 2},
		"everything is gone": {0, nil, true, false, 4, 2},
	} {
		t.Run(what, func(t *testing.T) {
			dir, b, o := directory(t, all...), &forgetful{memBucket: newBucket(), listing: tc.listing}, options(4)
			o.Status = tracker()
			for range 2 {
				if _, err := mirror.Pass(t.Context(), dir, b, o, today); err != nil {
					t.Fatal(err)
				}
			}
			b.puts, b.listed, b.wrong = nil, 0, tc.wrong
			if tc.really {
				clear(b.objects)
			}
			_, err := mirror.Pass(t.Context(), dir, b, o, today)
			if (err != nil) != tc.fails || len(b.puts) != tc.puts || b.listed != tc.listed {
				t.Errorf("%v; %d listings, uploaded %q", err, b.listed, b.puts)
			}
			b.wantHolds(t, all...)
		})
	}
}

// One snapshot that somebody has removed raises no doubt: it is uploaded again.
func TestMirrorBelievesThatOneOfManyIsGone(t *testing.T) {
	all := hourly(t, node, 1, 2, 3, 4)
	dir, b, o := directory(t, all...), &forgetful{memBucket: newBucket()}, options(4)
	o.Status = tracker()
	for range 2 {
		if _, err := mirror.Pass(t.Context(), dir, b, o, today); err != nil {
			t.Fatal(err)
		}
	}
	delete(b.objects, all[1].String())
	b.listed = 0
	if done, err := mirror.Pass(t.Context(), dir, b, o, today); err != nil || len(done.Uploaded) != 1 || b.listed != 1 {
		t.Errorf("%+v, %v after %d listings", done, err, b.listed)
	}
}

// What an upload finds in the bucket, and the listing lacks also the second time, shows that the listing is wrong, without any memory of
// an earlier pass. Nothing is pruned on its word.
func TestMirrorFailsIfTheBucketHasWhatItsListingLacks(t *testing.T) {
	all := hourly(t, node, 1, 2, 3, 4)
	old := []snapshot.Entry{{Name: all[1], Size: int64(len(usual(t)))}, {Name: all[0], Size: int64(len(usual(t)))}}
	for what, tc := range map[string]struct {
		wrong   int
		listing []snapshot.Entry
		spoil   func(*memBucket) // what is in the bucket
		fails   bool
	}{
		"empty for long":        {9, nil, nil, true},
		"only old ones":         {9, old, nil, true},
		"empty once":            {1, nil, nil, false},
		"other bytes are there": {9, nil, func(b *memBucket) { b.objects[all[3].String()] = archiveOf(t, cluster) }, true},
	} {
		t.Run(what, func(t *testing.T) {
			dir, b := directory(t), &forgetful{memBucket: newBucket(), wrong: tc.wrong, listing: tc.listing}
			for _, n := range all {
				b.objects[n.String()] = usual(t)
			}
			for _, n := range all[2:] {
				put(t, dir, n, usual(t))
			}
			if tc.spoil != nil {
				tc.spoil(b.memBucket)
			}
			done, err := mirror.Pass(t.Context(), dir, b, options(2), today)
			if (err != nil) != tc.fails || len(done.Uploaded)+len(done.Removed) > 0 || err != nil && !strings.Contains(err.Error(), "listing is wrong: "+all[3].String()) {
				t.Errorf("%+v, %v", done, err)
			}
			if err == nil && done.Pending != 0 {
				t.Errorf("%d are waiting", done.Pending)
			}
			b.wantHolds(t, all...)
		})
	}
}

// sizeless lists other sizes than the objects have.
type sizeless struct {
	*memBucket
	size func(int64) int64
}

func (b *sizeless) List(ctx context.Context, prefixes ...string) ([]snapshot.Entry, error) {
	listed, err := b.memBucket.List(ctx, prefixes...)
	for i := range listed {
		listed[i].Size = b.size(listed[i].Size)
	}
	return listed, err
}

// A listed size that is not the file's is no reason to upload it again: the object is looked at.
func TestMirrorLooksAtAnObjectBeforeItUploadsItAgain(t *testing.T) {
	all := hourly(t, node, 1, 2, 3)
	for what, size := range map[string]func(int64) int64{
		"no size": func(int64) int64 { return 0 }, "size of the encrypted object": func(n int64) int64 { return n + 32 },
	} {
		t.Run(what, func(t *testing.T) {
			dir, b, o := directory(t, all...), &sizeless{newBucket(), size}, options(4)
			o.Status = tracker()
			for i := range 3 {
				want := map[bool]int{true: len(all)}[i == 0]
				done, err := mirror.Pass(t.Context(), dir, b, o, today)
				if err != nil || len(done.Uploaded) != want || done.Pending != 0 {
					t.Errorf("pass %d: %+v, %v", i, done, err)
				}
			}
			b.puts = nil
			b.objects[all[1].String()] = usual(t)[1:]
			if done, err := mirror.Pass(t.Context(), dir, b, o, today); err != nil || !slices.Equal(done.Uploaded, all[1:2]) {
				t.Errorf("after a loss: %+v, %v", done, err)
			}
			b.untold[all[2].String()] = errBucketDown
			if done, err := mirror.Pass(t.Context(), dir, b, o, today); err == nil || len(done.Uploaded)+len(done.Removed) > 0 {
				t.Errorf("without an answer: %+v, %v", done, err)
			}
		})
	}
}
