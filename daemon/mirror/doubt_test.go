package mirror_test

import (
	"context"
	"fmt"
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

func (b *forgetful) List(ctx context.Context) ([]snapshot.Entry, error) {
	b.listed++
	if b.listed <= b.wrong {
		return b.listing, nil
	}
	return b.memBucket.List(ctx)
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
