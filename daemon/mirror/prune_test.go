package mirror_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"etcd-rolling-backup/daemon/mirror"
	"etcd-rolling-backup/daemon/prune"
	"etcd-rolling-backup/snapshot"
)

// wantDecision demands what becomes of one and a part of its reasons.
func wantDecision(t *testing.T, decisions []prune.Decision, n snapshot.Name, keep bool, reason string) {
	t.Helper()
	for _, d := range decisions {
		if d.Name == n {
			if got := strings.Join(d.Reasons, "; "); d.Keep != keep || !strings.Contains(got, reason) {
				t.Errorf("%s: keep %t because of %q, want %t because of %q", n, d.Keep, got, keep, reason)
			}
			return
		}
	}
	t.Errorf("nothing is decided on %s", n)
}

// While the newest is on the disk alone, nothing of this node is removed. Orphans of other nodes are.
func TestManualPruneWaitsForTheNewest(t *testing.T) {
	names, gone := hourly(t, node, 0, 1, 2), hourly(t, "gone", 0, 1)
	dir := directory(t, names[2])
	b := newBucket().fill(t, append(names[:2:2], gone...)...)
	o := options(1)
	o.OrphanAfter = time.Hour
	local, err := dir.List()
	if err != nil {
		t.Fatal(err)
	}
	for _, dryRun := range []bool{true, false} {
		done, err := mirror.Prune(t.Context(), dir, local, b, o, today, dryRun)
		decisions := done.Decisions
		if err != nil || len(decisions) != 3 {
			t.Fatal(decisions, err)
		}
		wantDecision(t, decisions, names[0], true, "but the newest is not in the bucket yet: run mirror first")
		wantDecision(t, decisions, gone[0], false, "node gone has had no new snapshot since 2026-11-21T01:00:00Z")
	}
	b.wantHolds(t, names[0], names[1], gone[1])
}

// What could not be removed is kept, and says why.
func TestManualPruneReportsWhatStays(t *testing.T) {
	names := hourly(t, node, 0, 1, 2)
	for reason, tc := range map[string]struct {
		spoil func(b *memBucket)
		err   error
	}{
		"but Object Lock holds it":   {func(b *memBucket) { b.locked[names[0].String()] = true }, nil},
		"it could not be removed":    {func(b *memBucket) { b.budget = 5 }, errBucketDown}, // the list, three manifests and one removal
		"its manifest can't be read": {func(b *memBucket) { b.untold[names[0].String()] = errBucketDown }, errBucketDown},
	} {
		t.Run(reason, func(t *testing.T) {
			b := newBucket().fill(t, names...)
			tc.spoil(b)
			done, err := mirror.Prune(t.Context(), directory(t), snapshot.Listing{}, b, options(1), today, false)
			decisions := done.Decisions
			if !errors.Is(err, tc.err) || tc.err == nil && err != nil {
				t.Errorf("error %v, want %v", err, tc.err)
			}
			wantDecision(t, decisions, names[0], true, reason)
			wantDecision(t, decisions, names[1], false, "")
			b.wantHolds(t, names[0], names[2])
		})
	}
}
