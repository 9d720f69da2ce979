package prune_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"pgregory.net/rapid"

	"etcd-rolling-backup/daemon/prune"
	"etcd-rolling-backup/snapshot"
)

// What does not parse, what is another node's or taken manually, and what is being written stays.
func TestPruneInADirectoryRemovesOnlyTheNodesRollingSnapshots(t *testing.T) {
	path := t.TempDir()
	dir := snapshot.NewDir(path)
	want := []string{
		"notes.txt", "rolling_node-a_20261121T000000Z.db", "rolling_node-a_20261121T000000Z.db.zst.bak",
		"rolling_node-a_2026-11-21.db.zst", "rolling_node-b_20261121T000000Z.db.zst", "manual_node-a_20261121T000000Z.db.zst",
		"rolling_node-a_20261121T000001Z.db.zst.part",
		"rolling_node-b_20261121T000001Z.db.zst.broken", "manual_node-a_20261121T000001Z.db.zst.broken",
		"rolling_node-a_20261121T090500Z.db.zst.broken", // newer than the last that the policy keeps
	}
	files := append(slices.Clone(want), "rolling_node-a_20261121T000500Z.db.zst.broken", "rolling_node-a_20261121T090000Z.db.zst.broken")
	for _, n := range hourly(t, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9) {
		files = append(files, n.String())
	}
	want = append(want, files[len(files)-4:]...)
	for _, f := range files {
		if err := os.WriteFile(filepath.Join(path, f), []byte(f), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, dryRun := range []bool{true, false, false} { // pruning again changes nothing
		decisions, err := prune.Local(t.Context(), dir, scope(4), time.Now().Add(24*time.Hour), prune.StoreDetails(dir), dryRun)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range decisions {
			if !d.Name.Rolling(node) {
				t.Errorf("decided on %s", d.Name)
			}
		}
		if dryRun {
			if n := len(decisions); !decisions[n-1].Broken || decisions[n-1].Keep {
				t.Errorf("a damaged file is not named: %v", decisions)
			}
			if wantNames(t, "to be removed", prune.Removed(decisions), hourly(t, 0, 1, 2, 3, 4, 5)...); len(ls(t, path)) != len(files) {
				t.Errorf("a dry run left %q", ls(t, path))
			}
		} else if got := ls(t, path); !slices.Equal(got, slices.Sorted(slices.Values(want))) {
			t.Errorf("left %q, want %q", got, want)
		}
	}
}

func ls(t *testing.T, path string) []string {
	t.Helper()
	entries, err := os.ReadDir(path)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), ".") { // the lock's file
			out = append(out, e.Name())
		}
	}
	return out
}

// A dry run names what the guard keeps, and pruning does what the dry run said.
func TestPruneKeepsWhatCameBeforeALoss(t *testing.T) {
	names := hourly(t, 18, 19, 20, 21, 22, 23)
	s := newStore(names...).small(names[3:]...)
	for _, dryRun := range []bool{true, false} {
		decisions, err := s.local(t, 1, dryRun)
		if err != nil || len(decisions) != 6 || prune.Guarded(decisions) != 2 {
			t.Fatal(decisions, err)
		}
		wantNames(t, "removes", prune.Removed(decisions), names[0], names[1], names[4])
		for n, reason := range map[snapshot.Name]string{names[2]: "from before the database shrank to less than half", names[3]: "the first after the loss"} {
			i := slices.IndexFunc(decisions, func(d prune.Decision) bool { return d.Name == n })
			if d := decisions[i]; !d.Keep || !d.Guarded || len(d.Reasons) != 1 || !strings.HasPrefix(d.Reasons[0], reason) {
				t.Errorf("dry run %t: %+v", dryRun, d)
			}
		}
		if left := map[bool]int{true: 6, false: 3}[dryRun]; len(s.snapshots) != left {
			t.Errorf("dry run %t: left %v", dryRun, s.snapshots)
		}
	}
}

// A snapshot that would be removed is kept while its manifest can't be read, for it might be from before a loss, and the error says so.
func TestPruneKeepsWhatItCannotCompare(t *testing.T) {
	names := hourly(t, 20, 21, 22, 23)
	s := newStore(names...)
	s.manifestErr[names[1]] = syscall.EIO
	decisions, err := s.local(t, 1, false)
	if !errors.Is(err, syscall.EIO) || !strings.Contains(err.Error(), names[1].String()) {
		t.Errorf("error %v", err)
	}
	wantNames(t, "left", s.snapshots, names[1], names[3])
	i := slices.IndexFunc(decisions, func(d prune.Decision) bool { return d.Name == names[1] })
	if got := strings.Join(decisions[i].Reasons, "; "); !strings.Contains(got, "its manifest can't be read") {
		t.Errorf("kept because of %q", got)
	}
}

// Manifests that are damaged, newer than this version or gone protect nothing and are no error. Nor is another damage hidden by them.
func TestPruneRemovesWhatHasNoValidManifest(t *testing.T) {
	names := hourly(t, 19, 20, 21, 22, 23)
	for _, why := range []error{snapshot.ErrDamaged, snapshot.ErrFormat, snapshot.ErrNotFound} {
		s := newStore(names...).small(names[2:]...)
		s.manifestErr[names[0]], s.manifestErr[names[3]] = fmt.Errorf("read: %w", why), fmt.Errorf("read: %w", why)
		if _, err := s.local(t, 1, false); err != nil {
			t.Errorf("%v: %v", why, err)
		}
		wantNames(t, why.Error(), s.snapshots, names[1], names[2], names[4])
	}
}

// Where nothing is to be removed no manifest is read; where something is, each one is read once, because its cluster must be known.
func TestPruneReadsEachManifestOnceAndOnlyToRemove(t *testing.T) {
	names := append(hourly(t, -100, -99, -98), hourly(t, 22, 23)...)
	s := newStore(names...)
	if _, err := s.local(t, 5, false); err != nil || len(s.read) > 0 {
		t.Errorf("%v; read %v", err, s.read)
	}
	if _, err := s.local(t, 2, true); err != nil {
		t.Error(err)
	}
	wantNames(t, "read", s.read, names...)
}

// After three failures the others are not tried, and none that was not read is removed.
func TestPruneStopsReadingAfterThreeFailures(t *testing.T) {
	names := hourly(t, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23)
	s := newStore(names...)
	for _, n := range names[:8] {
		s.manifestErr[n] = syscall.EIO
	}
	if _, err := s.local(t, 1, false); !errors.Is(err, syscall.EIO) || len(s.read) != 5 {
		t.Errorf("%v; read %v", err, s.read)
	}
	wantNames(t, "left", s.snapshots, append(names[:8:8], names[9])...)
}

// A stop in the midst of comparing decides on no removal of what was not compared.
func TestPruneThatIsStoppedRemovesNothingUncompared(t *testing.T) {
	names := hourly(t, 20, 21, 22, 23)
	s := newStore(names...)
	ctx, stop := context.WithCancel(t.Context())
	details := func(_ context.Context, e snapshot.Entry) (snapshot.Facts, error) {
		if e.Name == names[2] {
			stop()
		}
		return snapshot.Facts{RawSize: 5000, Revision: 42, Cluster: cluster}, nil
	}
	decisions, err := prune.Local(ctx, s, scope(1), midnight.Add(24*time.Hour), details, true)
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	wantNames(t, "removes", prune.Removed(decisions), names[2])
}

// What could not be removed counts as kept and is in the error; the others are removed all the same. One that another process has just
// removed counts as removed.
func TestPruneReportsWhatCouldNotBeRemoved(t *testing.T) {
	names := hourly(t, 20, 21, 22, 23)
	s := newStore(names...)
	s.broken = hourly(t, 1, 2)
	s.removeErr[names[0]], s.removeErr[names[1]] = syscall.EROFS, snapshot.ErrNotFound
	s.removeErr[s.broken[0]] = syscall.EROFS
	decisions, err := s.local(t, 1, false)
	if !errors.Is(err, syscall.EROFS) || strings.Count(err.Error(), syscall.EROFS.Error()) != 2 {
		t.Errorf("error %v", err)
	}
	wantNames(t, "removed", prune.Removed(decisions), names[1], names[2])
	wantNames(t, "left", s.snapshots, names[0], names[1], names[3])
	wantNames(t, "broken ones left", s.broken, hourly(t, 1)...)
}

// However many snapshots there are and of whatever sizes: only the node's rolling ones are decided on, the newest stays, what the policy
// keeps stays, and pruning again with nothing new removes nothing.
func TestPruneKeepsThePolicysChoiceAndTheNewest(t *testing.T) {
	all := hourly(t, 0, 3, 6, 9, 12, 15, 18, 21)
	foreign := []snapshot.Name{name(t, snapshot.ManualSet, node, midnight), name(t, snapshot.RollingSet, "node-b", midnight)}
	rapid.Check(t, func(rt *rapid.T) {
		s := newStore(append(slices.Clone(foreign), all...)...)
		s.small(rapid.SliceOf(rapid.SampledFrom(all)).Draw(rt, "small")...)
		for _, n := range rapid.SliceOf(rapid.SampledFrom(all)).Draw(rt, "unreadable") {
			s.manifestErr[n] = rapid.SampledFrom([]error{syscall.EIO, snapshot.ErrDamaged}).Draw(rt, "why")
		}
		last := rapid.IntRange(1, 8).Draw(rt, "last")
		if _, err := s.local(t, last, false); err != nil && !errors.Is(err, syscall.EIO) {
			rt.Fatal(err)
		}
		for _, n := range append(slices.Clone(foreign), all[len(all)-last:]...) {
			if !slices.Contains(s.snapshots, n) {
				rt.Fatalf("%s is gone", n)
			}
		}
		left := len(s.snapshots)
		if _, err := s.local(t, last, false); err != nil && !errors.Is(err, syscall.EIO) || len(s.snapshots) != left {
			rt.Fatalf("pruning again: %v, left %v", err, s.snapshots)
		}
	})
}
