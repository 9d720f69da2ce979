package e2e_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"etcd-rolling-backup/internal/etcdtest"
	"etcd-rolling-backup/snapshot"
)

// Several saves beside a daemon with a run every second: each gets its own snapshot, and the daemon goes on.
func TestSavesAndDaemonShareADirectory(t *testing.T) {
	parallel(t)
	c := small(t, etcdtest.Options{})
	dir := newStore(t)
	reach := flags(c, c.Members[0].Endpoint)
	d := startChecked(t, words("daemon", store(dir), reach, []string{"--schedule=@every 1s", "--keep-last=2"})...)
	d.says(t, "snapshot saved")
	var saves []*process
	for round := range 3 {
		for label := range 4 {
			saves = append(saves, start(t, words("save", store(dir), reach, []string{fmt.Sprintf("--label=round%d-%d", round, label)})...))
		}
		for _, p := range saves {
			p.demand(t, 0, "saved ")
		}
	}
	eventually(t, "the daemon had kept some more", func() bool { return strings.Count(d.stderr.String(), "snapshot saved") >= 4 })
	if strings.Contains(d.stderr.String(), "level=error") {
		t.Errorf("the daemon met an error:\n%s", d.stderr.String())
	}
	d.rests(t, c.Members[0])
	d.stop(t, syscall.SIGTERM, 0)
	wantWhole(t, dir, len(saves)+2)
}

// Of saves that want the same name at once, one gets it and the others fail.
func TestOnlyOneOfManySavesGetsAName(t *testing.T) {
	parallel(t)
	c := small(t, etcdtest.Options{})
	dir := newStore(t)
	args := words("save", store(dir), flags(c, c.Members[0].Endpoint), []string{"--label=same"})
	winners, losers := 0, 0
	for round := 0; losers == 0; round++ {
		if round == 50 {
			t.Fatal("never were two of six saves in the same second")
		}
		var all []*process
		for range 6 {
			all = append(all, launch(t, exec.Command(lean, args...)))
		}
		for _, p := range all {
			if p.ended(t) == 0 {
				winners++
			} else {
				losers++
				p.demand(t, 1, "exists", "same_node-a_")
			}
		}
		wantTaken(t, dir, all)
	}
	t.Logf("%d saves got the name of their second, %d found it taken", winners, losers)
	wantWhole(t, dir, winners)
}

// A save whose name is taken fails, and what has the name stays. The names of the next quarter of an hour are all taken, for which
// one the save wants depends on the machine.
func TestSaveDoesNotOverwriteASnapshot(t *testing.T) {
	parallel(t)
	c := etcdtest.Run(t, etcdtest.Options{UnsafeNoFsync: true})
	dir := newStore(t)
	args := words("save", store(dir), flags(c, c.Members[0].Endpoint), []string{"--label=same"})
	run(t, 0, nil, args...)
	taken, err := snapshot.ParseName(find(files(t, dir), "same_", ".db.zst"))
	must(t, err)
	whole, err := os.ReadFile(filepath.Join(dir, taken.String()))
	must(t, err)
	const names = 900
	for range names {
		taken, err = snapshot.NewName(taken.Set, taken.Node, taken.Time.Add(time.Second))
		must(t, err)
		must(t, os.WriteFile(filepath.Join(dir, taken.String()), whole, 0o600))
	}

	lost := run(t, 1, []string{"exists"}, args...)
	wantTaken(t, dir, []*process{lost})
	snapshots := slices.DeleteFunc(files(t, dir), func(name string) bool { return !strings.HasSuffix(name, ".db.zst") })
	if len(snapshots) != names+1 {
		t.Errorf("there are %d snapshots, want the %d from before", len(snapshots), names+1)
	}
	for _, name := range snapshots {
		if now, err := os.ReadFile(filepath.Join(dir, name)); err != nil || !bytes.Equal(now, whole) {
			t.Errorf("%s changed (%v)", name, err)
		}
	}
}

// wantTaken demands that who lost a name lost it to a snapshot that is there.
func wantTaken(t *testing.T, dir string, saves []*process) {
	t.Helper()
	for _, p := range saves {
		_, rest, _ := strings.Cut(p.stderr.String(), "same_node-a_")
		if when, _, lost := strings.Cut(rest, ".db.zst"); lost && !slices.Contains(files(t, dir), "same_node-a_"+when+".db.zst") {
			t.Errorf("lost to a snapshot that does not exist: %s; there are %s", p.stderr.String(), files(t, dir))
		}
	}
}

// The partial of a save that lives is not taken for that of a dead one by a daemon or save that starts meanwhile; the partial of
// a dead one, beside it, goes.
func TestPartialOfARunningSaveStays(t *testing.T) {
	parallel(t)
	c := solid(t)
	dir := newStore(t)
	v := newValve(t, c.Members[0].Endpoint, middle)
	reach := flags(c, c.Members[0].Endpoint)

	dead := start(t, words("save", store(dir), flags(c, v.Endpoint()), unhurried, []string{"--label=dead"})...)
	v.holds(t)
	left := partial(t, dir)
	dead.kill()
	if !slices.Contains(files(t, dir), left) {
		t.Fatalf("a killed save left no partial: %s", files(t, dir))
	}

	living := newValve(t, c.Members[0].Endpoint, middle)
	save := start(t, words("save", store(dir), flags(c, living.Endpoint()), unhurried, []string{"--label=living"})...)
	living.holds(t)
	var own string
	eventually(t, "the living save had its partial", func() bool {
		own = find(files(t, dir), "living_", ".part")
		return own != ""
	})
	if slices.Contains(files(t, dir), left) {
		t.Errorf("%s of a dead save outlives the start of the next", left)
	}

	d := startChecked(t, words("daemon", store(dir), reach, []string{"--schedule=@every 1h"})...)
	d.says(t, "snapshot saved")
	run(t, 0, nil, words("save", store(dir), reach)...)
	if !slices.Contains(files(t, dir), own) {
		t.Errorf("%s of a living save was removed; there are %s", own, files(t, dir))
	}
	living.open()
	save.demand(t, 0)
	d.stop(t, syscall.SIGTERM, 0)
	wantWhole(t, dir, 3)
}

func find(names []string, prefix, suffix string) string {
	for _, n := range names {
		if strings.HasPrefix(n, prefix) && strings.HasSuffix(n, suffix) {
			return n
		}
	}
	return ""
}

// What is written is for its owner alone, whatever the umask.
func TestSnapshotsAreForTheirOwnerOnly(t *testing.T) {
	parallel(t)
	c := small(t, etcdtest.Options{})
	dir := newStore(t)
	save := words("save", store(dir), flags(c, c.Members[0].Endpoint))
	launch(t, exec.Command("sh", words("-c", []string{`umask 0 && exec "$0" "$@"`, lean}, save)...)).demand(t, 0)
	wantMode(t, dir, 0o700)
	for _, n := range files(t, dir) {
		wantMode(t, filepath.Join(dir, n), 0o600)
	}
}

// A save in a second process takes the place of nobody: two daemons on one directory both go on.
func TestTwoDaemonsShareADirectory(t *testing.T) {
	parallel(t)
	c := small(t, etcdtest.Options{})
	dir := newStore(t)
	var all []*process
	for _, n := range []string{"node-a", "node-b"} {
		all = append(all, startChecked(t, words("daemon", store(dir), flags(c, c.Members[0].Endpoint),
			[]string{"--node=" + n, "--schedule=@every 1s", "--keep-last=2"})...))
	}
	for _, p := range all {
		eventually(t, "the daemon had pruned", func() bool { return strings.Count(p.stderr.String(), "pruned=1") >= 2 })
	}
	for _, p := range all {
		p.rests(t, c.Members[0])
		p.stop(t, syscall.SIGTERM, 0)
	}
	counts := map[string]int{}
	for _, e := range listed(t, dir) {
		counts[e.Name.Node]++
	}
	if counts["node-a"] != 2 || counts["node-b"] != 2 {
		t.Errorf("kept %v, want two of each node", counts)
	}
	wantWhole(t, dir, 4)
}
