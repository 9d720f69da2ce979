package daemon_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"etcd-rolling-backup/daemon"
	"etcd-rolling-backup/retention"
	"etcd-rolling-backup/snapshot"
)

func TestPruneAfterEachRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, "@hourly")
		b.runFor(24*time.Hour - time.Second)
		want := []string{
			"rolling_node-a_20000101T230000Z.db.zst", "rolling_node-a_20000101T220000Z.db.zst", "rolling_node-a_20000101T210000Z.db.zst",
		}
		if l, _ := b.store.List(); len(l.Snapshots) != 3 || !slices.Equal(b.store.names(), want) {
			t.Errorf("kept %q, want %q", b.store.names(), want)
		}
	})
}

// Taken by hand, of another node, of the future, and one that another process has just removed.
func TestPruneTouchesOnlyTheNodesRolling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, "@hourly")
		b.opts.Policy = retention.Policy{Last: 1}
		old := b.origin.Add(-100 * time.Hour)
		var others []string
		for _, n := range []snapshot.Name{
			name(t, snapshot.ManualSet, node, old), name(t, "before-upgrade", node, old), name(t, "Rolling", node, old),
			name(t, snapshot.RollingSet, "node-b", old), name(t, snapshot.RollingSet, "node-a-b", old),
			name(t, snapshot.RollingSet, "node", old), name(t, snapshot.RollingSet, "Node-A", old),
			name(t, snapshot.RollingSet, node, b.origin.Add(1000*time.Hour)),
		} {
			b.store.add(snapshot.Entry{Name: n})
			others = append(others, n.String())
		}
		mine, gone := name(t, snapshot.RollingSet, node, old), name(t, snapshot.RollingSet, node, old.Add(time.Hour))
		b.store.add(snapshot.Entry{Name: mine}, snapshot.Entry{Name: gone})
		b.store.removeErr = map[string]error{gone.String(): snapshot.ErrNotFound}
		b.runFor(time.Minute)

		if !slices.Equal(b.store.removed, []string{mine.String()}) {
			t.Errorf("removed %q, want %q alone", b.store.removed, mine)
		}
		for _, n := range others {
			if !slices.Contains(b.store.names(), n) {
				t.Errorf("%s is gone", n)
			}
		}
		b.wantLines(atError)
		if e := b.closing(1)[0]; e.Data["pruned"] != 2 || e.Data["kept"] != 2 {
			t.Errorf("kept=%v pruned=%v, want 2 and 2", e.Data["kept"], e.Data["pruned"])
		}
	})
}

// A snapshot that can't be removed doesn't fail the run, and the others go all the same.
func TestPruneFailureIsLoggedAndHarmless(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, "@hourly")
		for h := range 6 {
			b.store.add(snapshot.Entry{Name: name(t, snapshot.RollingSet, node, b.origin.Add(-time.Duration(h+2)*time.Hour))})
		}
		stuck := name(t, snapshot.RollingSet, node, b.origin.Add(-5*time.Hour)).String()
		b.store.removeErr = map[string]error{stuck: errors.New("read-only file system")}
		e := listen(b)
		b.runFor(2*time.Hour + time.Minute)

		if n := len(slices.DeleteFunc(e.heard, func(s string) bool { return !strings.HasPrefix(s, "pruning failed ") })); n != 3 {
			t.Errorf("told %d times that pruning failed, want 3", n)
		}
		b.wantRuns(hours(0, 2)...)
		const failed = "pruning failed; the new snapshot is safe"
		b.wantLines(atError, failed, failed, failed)
		if n := len(b.store.names()); n != 4 || !slices.Contains(b.store.names(), stuck) {
			t.Errorf("left %q, want the newest three and %s", b.store.names(), stuck)
		}
		// The line tells what is true of the disk: what could not be removed is kept.
		for i, want := range [][2]int{{4, 3}, {4, 1}, {4, 1}} {
			e := b.closing(3)[i]
			if got := [2]any{e.Data["kept"], e.Data["pruned"]}; got != [2]any{want[0], want[1]} {
				t.Errorf("cycle %d: kept, pruned: %v, want %v", i, got, want)
			}
		}
	})
}

func TestPruneFailsWhenTheStoreCanNotBeListed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, "@hourly")
		b.always.change = func(*snapshot.Taken) { b.store.listErr = errors.New("input/output error") }
		b.runFor(time.Hour + time.Minute)
		b.wantRuns(hours(0, 1)...)
		b.closing(2)
		const failed = "pruning failed; the new snapshot is safe"
		b.wantLines(atError, failed, failed)
		if len(b.store.removed) > 0 {
			t.Errorf("removed %q without knowing what is there", b.store.removed)
		}
	})
}

// The same on a real directory: what does not parse stays too.
func TestPruneInADirectory(t *testing.T) {
	path := t.TempDir()
	dir := snapshot.NewDir(path)
	foreign := []string{
		"notes.txt", "rolling_node-a_20000101T000000Z.db", "rolling_node-a_20000101T000000Z.db.zst.bak",
		"rolling_node-a_2000-01-01.db.zst", "rolling_node-b_20000101T000000Z.db.zst", "manual_node-a_20000101T000000Z.db.zst",
		"rolling_node-a_20000101T000001Z.db.zst.part",
	}
	start := time.Date(2000, time.January, 1, 0, 0, 0, 0, time.UTC)
	var want []string
	files := slices.Clone(foreign)
	for h := range 10 {
		files = append(files, name(t, snapshot.RollingSet, node, start.Add(time.Duration(h)*time.Hour)).String())
	}
	want = append(slices.Clone(foreign), files[len(files)-4:]...)
	for _, f := range files {
		if err := os.WriteFile(filepath.Join(path, f), []byte(f), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 { // pruning again changes nothing
		decisions, err := daemon.Prune(t.Context(), dir, node, retention.Policy{Last: 4}, start.Add(24*time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range decisions {
			if n, err := snapshot.ParseName(d.ID); err != nil || !n.Rolling(node) {
				t.Errorf("decided on %s", d.ID)
			}
		}
		if got := ls(t, path); !slices.Equal(got, slices.Sorted(slices.Values(want))) {
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
