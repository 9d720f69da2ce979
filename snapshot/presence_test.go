package snapshot_test

import (
	"os"
	"path/filepath"
	"testing"

	"etcd-rolling-backup/snapshot"
)

// Both of two daemons see each other, and the one that stays sees that the other has gone. Another node's daemon does not matter.
func TestDaemonsOfOneNodeSeeEachOther(t *testing.T) {
	dir := snapshot.NewDir(t.TempDir())
	enter := func(node string) *snapshot.Presence {
		t.Helper()
		p, err := dir.Enter(node)
		must(t, err)
		t.Cleanup(func() { _ = p.Close() })
		return p
	}
	alone := func(what string, p *snapshot.Presence, want bool) {
		t.Helper()
		for range 2 {
			if got, err := p.Alone(); err != nil || got != want {
				t.Errorf("%s: alone %t, %v", what, got, err)
			}
		}
	}
	first, other := enter("n1"), enter("n2")
	alone("the first", first, true)
	alone("of another node", other, true)
	second := enter("n1")
	alone("the first of two", first, false)
	alone("the second of two", second, false)
	must(t, first.Close())
	alone("the one that is left", second, true)
	if _, err := first.Alone(); err == nil {
		t.Error("one that has gone still looks")
	}
	l, err := dir.List()
	must(t, err)
	if len(l.Foreign) > 0 {
		t.Errorf("the lock files are listed as foreign: %q", l.Foreign)
	}
}

func TestPresenceFollowsNoLink(t *testing.T) {
	dir := snapshot.NewDir(t.TempDir())
	target := filepath.Join(t.TempDir(), "target")
	must(t, os.Symlink(target, filepath.Join(dir.Path(), snapshot.PresenceFile("n1"))))
	if _, err := dir.Enter("n1"); err == nil {
		t.Error("a link was followed")
	}
	if _, err := os.Lstat(target); err == nil {
		t.Error("its target was made")
	}
}
