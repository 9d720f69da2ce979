package e2e_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"etcd-rolling-backup/internal/etcdtest"
	"etcd-rolling-backup/internal/journaltest"
	"etcd-rolling-backup/snapshot"
	etcd "etcd-rolling-backup/snapshot/member"
)

// recorded is a moment that can be restored.
type recorded struct {
	state
	before time.Time // before it was written
	at     time.Time // after it was in the journal, and before the next change
}

// change does something, and returns the state when the journal has it.
func change(t testing.TB, dir string, client *clientv3.Client, do func() error) recorded {
	t.Helper()
	before := time.Now()
	must(t, do())
	s := stateOf(t, client)
	eventually(t, fmt.Sprintf("the journal has revision %d", s.revision), func() bool { return journaltest.Revision(t, dir) >= s.revision })
	return recorded{s, before, time.Now()}
}

// journalFlags are those of a daemon with a journal that takes one snapshot only.
func journalFlags(dir string, c *etcdtest.Cluster) []string {
	return words("daemon", store(dir), flags(c, c.Members[0].Endpoint), []string{"--journal", "--journal-segment=1s", "--schedule=@every 1h", "--drill-schedule=off"})
}

// changes are some of each kind, each with the state after it.
func changes(t testing.TB, dir string, client *clientv3.Client) (all []recorded) {
	t.Helper()
	put := func(key, value string) func() error {
		return func() error {
			_, err := client.Put(t.Context(), key, value)
			return err
		}
	}
	for i := range 4 {
		all = append(all, change(t, dir, client, put(fmt.Sprint("/registry/", i), "first")))
	}
	all = append(all, change(t, dir, client, put("/registry/0", "second")))
	all = append(all, change(t, dir, client, func() error {
		_, err := client.Delete(t.Context(), "/registry/", clientv3.WithPrefix())
		return err
	}))
	all = append(all, change(t, dir, client, func() error {
		_, err := client.Txn(t.Context()).Then(clientv3.OpPut("/registry/a", "x"), clientv3.OpDelete("a"), clientv3.OpPut("/registry/b", "y")).Commit()
		return err
	}))
	return append(all, change(t, dir, client, put("/registry/last", "last")))
}

// Everything that was acknowledged can be restored: each revision, and the state at each moment, also after the daemon and etcd were killed.
func TestRestoreAtEachMomentOfTheJournal(t *testing.T) {
	parallel(t)
	for _, version := range []string{"3.4", etcdtest.Default} {
		t.Run(version, func(t *testing.T) {
			c := etcdtest.Run(t, etcdtest.Options{Version: version, UnsafeNoFsync: true})
			client, dir := etcdtest.Dial(t, c), newStore(t)
			p := start(t, journalFlags(dir, c)...)
			p.says(t, "snapshot saved")
			base := stateOf(t, client)
			all := changes(t, dir, client)
			p.kill()
			must(t, c.Members[0].Kill())
			last := all[len(all)-1]

			at := func(moment string, want state, says ...string) {
				t.Helper()
				data := target(t)
				run(t, 0, says, words("restore", []string{"--dir=" + dir, "--data-dir=" + data, "--at=" + moment})...)
				wantState(t, version, "node1", data, want).kill()
			}
			for i, m := range all {
				if i%3 != 0 {
					continue
				}
				at(strconv.FormatInt(m.revision, 10), m.state, fmt.Sprintf("continued by the journal in %s to revision %d, received ", dir, m.revision))
				at(m.at.Format(time.RFC3339Nano), m.state, "not restored: ")
			}
			at(all[0].before.Format(time.RFC3339Nano), base, "its own revision") // nothing had changed since the snapshot
			at("base", base)
			at("latest", last.state, "the journal ends there")
			data := target(t)
			run(t, 0, []string{fmt.Sprintf("to revision %d", last.revision)}, words("restore", []string{"--dir=" + dir, "--data-dir=" + data})...)
			wantState(t, version, "node1", data, last.state)
		})
	}
}

// etcd goes on while a snapshot is taken: its database has later changes than its manifest says. All of these revisions can be restored from it, and the
// journal continues what it has.
func TestRestoreAtEachRevisionOfASnapshotTakenDuringChanges(t *testing.T) {
	parallel(t)
	for _, version := range []string{"3.4", etcdtest.Default} {
		t.Run(version, func(t *testing.T) {
			c := etcdtest.Run(t, etcdtest.Options{Version: version, UnsafeNoFsync: true})
			client, dir := etcdtest.Dial(t, c), newStore(t)
			p := start(t, journalFlags(dir, c)...)
			p.says(t, "snapshot saved")
			first := only(t, dir)
			put := func(value string) recorded {
				return change(t, dir, client, func() error {
					_, err := client.Put(t.Context(), "/registry/key", value)
					return err
				})
			}
			all := []recorded{put("before")}
			m, err := etcd.Connect(t.Context(), etcd.Config{Endpoints: []string{c.Members[0].Endpoint}, Timeout: endLimit})
			must(t, err)
			defer func() { must(t, m.Close()) }()
			all = append(all, changes(t, dir, client)...)
			taken, err := snapshot.Take(t.Context(), m, snapshot.NewDir(dir), snapshot.TakeOptions{Set: "during", Node: node, Stall: endLimit})
			must(t, err)
			if taken.Manifest.Revision != all[0].revision {
				t.Fatalf("the manifest says revision %d, not %d", taken.Manifest.Revision, all[0].revision)
			}
			all = append(all, put("after"))
			p.stop(t, syscall.SIGTERM, 0)
			must(t, os.Remove(first))

			run(t, 0, []string{fmt.Sprintf("%d", all[0].revision), fmt.Sprintf("%d", all[len(all)-1].revision)}, "list", "--dir="+dir)
			for _, m := range all {
				data := target(t)
				run(t, 0, nil, words("restore", []string{"--dir=" + dir, "--data-dir=" + data, "--at=" + strconv.FormatInt(m.revision, 10)})...)
				wantState(t, version, "node1", data, m.state).kill()
			}
			data := target(t)
			run(t, 1, []string{"is of revision"}, words("restore", []string{"--dir=" + dir, "--data-dir=" + data, "--at=" + strconv.FormatInt(all[0].revision-1, 10)})...)
		})
	}
}

// What cannot be restored is refused, with the nearest that can.
func TestRestoreAtAMomentThatTheJournalLacksIsRefused(t *testing.T) {
	parallel(t)
	c := small(t, etcdtest.Options{})
	client, dir := etcdtest.Dial(t, c), newStore(t)
	before := time.Now()
	p := start(t, journalFlags(dir, c)...)
	p.says(t, "snapshot saved")
	base := filepath.Base(only(t, dir))
	all := changes(t, dir, client)
	p.stop(t, syscall.SIGTERM, 0)
	last := all[len(all)-1]
	data := target(t)
	refused := func(moment string, says ...string) {
		t.Helper()
		p := run(t, 1, append(says, "this moment cannot be restored: --at "+moment), words("restore", []string{"--dir=" + dir, "--data-dir=" + data, "--at=" + moment})...)
		p.wantOneErrorLine(t)
	}
	refused(strconv.FormatInt(last.revision+1, 10), fmt.Sprintf("the journal has no revision %d: --at %d restores the last revision before it, with %s", last.revision+1, last.revision, base))
	refused("1", "no snapshot has revision 1 or an earlier one: the snapshot "+base+" is of revision ")
	refused(before.Format(time.RFC3339Nano), "the journal has no change before it: the snapshot "+base+" with --at base restores the first state after it, revision ")
	eventually(t, "a second after the end of the journal", func() bool { return time.Since(last.at) > time.Second })
	refused(time.Now().Format(time.RFC3339Nano), fmt.Sprintf("the journal ends at revision %d, received ", last.revision), fmt.Sprintf("--at %d restores that revision", last.revision))
	for text, why := range map[string]string{
		"tomorrow": "is not a moment", "0": "is no revision", "2999-01-01T00:00:00Z": "is in the future", "": "--at is empty",
	} {
		run(t, 2, []string{why}, words("restore", []string{"--dir=" + dir, "--data-dir=" + data, "--at=" + text})...).wantOneErrorLine(t)
	}
	if left := files(t, filepath.Dir(data)); len(left) != 0 {
		t.Errorf("left behind: %s", left)
	}
	// Nothing is changed without need either.
	out := run(t, 0, []string{"nothing is changed (--dry-run)"}, words("restore", []string{"--dir=" + dir, "--dry-run", "--data-dir=" + data, "--at=" + strconv.FormatInt(all[0].revision, 10)})...)
	if s := out.stdout.String(); !strings.Contains(s, fmt.Sprintf("revision         %d\n", all[0].revision)) {
		t.Errorf("it printed\n%s", s)
	}
}

// What etcd compacted while the daemon was away is a gap: moments in it are refused, and those before and after it are restored.
func TestRestoreAtAMomentInAGapIsRefused(t *testing.T) {
	parallel(t)
	c := etcdtest.Run(t, etcdtest.Options{UnsafeNoFsync: true})
	client, dir := etcdtest.Dial(t, c), newStore(t)
	p := start(t, journalFlags(dir, c)...)
	p.says(t, "snapshot saved")
	before := changes(t, dir, client)
	p.stop(t, syscall.SIGTERM, 0)
	last := before[len(before)-1]
	for i := range 3 {
		_, err := client.Put(t.Context(), "/registry/unseen", strconv.Itoa(i))
		must(t, err)
	}
	gone := stateOf(t, client)
	moment := time.Now()
	_, err := client.Compact(t.Context(), gone.revision)
	must(t, err)
	p = start(t, journalFlags(dir, c)...)
	p.says(t, "journal begins again, after a gap")
	p.says(t, "snapshot saved")
	after := changes(t, dir, client)
	p.stop(t, syscall.SIGTERM, 0)
	refused := func(at string, says ...string) {
		t.Helper()
		run(t, 1, append(says, "this moment cannot be restored: --at "+at, "the snapshot "), "restore", "--dir="+dir, "--data-dir="+target(t), "--at="+at).wantOneErrorLine(t)
	}
	refused(moment.Format(time.RFC3339Nano), "it is in a gap of the journal, after revision "+strconv.FormatInt(last.revision, 10),
		fmt.Sprintf("--at %d restores that revision", last.revision))
	refused(strconv.FormatInt(gone.revision-1, 10), fmt.Sprintf("revision %d is in a gap of the journal, after revision %d", gone.revision-1, last.revision),
		fmt.Sprintf("--at %d restores the last revision before it", last.revision))
	for _, m := range []recorded{last, after[0], after[len(after)-1]} {
		data := target(t)
		run(t, 0, nil, "restore", "--dir="+dir, "--data-dir="+data, "--at="+strconv.FormatInt(m.revision, 10))
		wantState(t, etcdtest.Default, "node1", data, m.state).kill()
	}
	run(t, 0, []string{"gap"}, "list", "--dir="+dir)
}

// All members of a cluster are restored to the same moment from one node's disk, with the commands that the first restore prints.
func TestPrintedCommandsRestoreAllMembersToTheMoment(t *testing.T) {
	parallel(t)
	c := etcdtest.Run(t, etcdtest.Options{Members: 3, UnsafeNoFsync: true})
	client, dir := etcdtest.Dial(t, c), newStore(t)
	p := start(t, journalFlags(dir, c)...)
	p.says(t, "snapshot saved")
	all := changes(t, dir, client)
	p.kill()
	for _, m := range c.Members {
		must(t, m.Kill())
	}
	want, home := all[4], t.TempDir()
	eventually(t, "the moment is long ago", func() bool { return time.Since(want.at) > 2*time.Second })
	data := func(name string) string { return filepath.Join(home, name) }
	p = run(t, 0, nil, "restore", "--dir="+dir, "--name=node1", "--data-dir="+data("node1"), "--kubernetes", "--at="+want.at.Format(time.RFC3339Nano))
	out := p.stdout.String()
	saved := fmt.Sprintf("at-%d_", want.revision)
	commands := printed(out, "etcd-rolling-backup restore")
	if len(commands) != 2 || strings.Count(out, "./"+saved) != 2 {
		t.Fatalf("it printed\n%s\n%s", p.stderr.String(), out)
	}
	for i, command := range commands {
		paste(t, dir, strings.ReplaceAll(command, data("node1"), data(c.Members[i+1].Name)))
	}
	l := &lost{Cluster: c}
	var members []*revived
	for i, m := range c.Members {
		members = append(members, l.revive(t, i, data(m.Name)))
	}
	revision := want.revision + all[len(all)-1].revision - want.revision + 1_000_000_000
	for i, m := range members {
		if got := stateOf(t, m.client); got.keys != want.keys || got.sum != want.sum || got.revision != revision {
			t.Errorf("member %d has %+v, want %+v at revision %d", i, got, want.state, revision)
		}
	}
	// The snapshot of the moment is not the newest one: a later restore does not take it for that.
	run(t, 0, []string{"to revision " + strconv.FormatInt(all[len(all)-1].revision, 10)}, "restore", "--dir="+dir, "--name=node1", "--data-dir="+target(t), "--dry-run")
}

// A damaged segment ends what can be restored, with a warning, and is never a reason to restore nothing, or something else.
func TestRestoreGoesUpToADamagedSegment(t *testing.T) {
	parallel(t)
	c := small(t, etcdtest.Options{})
	client, dir := etcdtest.Dial(t, c), newStore(t)
	p := start(t, journalFlags(dir, c)...)
	p.says(t, "snapshot saved")
	var all []recorded
	for i := range 3 { // each in a segment of its own
		all = append(all, change(t, dir, client, func() error {
			_, err := client.Put(t.Context(), "/registry/changing", strconv.Itoa(i))
			return err
		}))
		eventually(t, "the segment is complete", func() bool {
			return slices.ContainsFunc(segments(t, dir), func(n snapshot.SegmentName) bool { return n.Last == all[i].revision })
		})
	}
	p.stop(t, syscall.SIGTERM, 0)
	of := func(revision int64) string {
		names := segments(t, dir)
		return filepath.Join(dir, names[slices.IndexFunc(names, func(n snapshot.SegmentName) bool { return n.First <= revision && n.Last >= revision })].String())
	}
	exchange(t, of(all[1].revision), of(all[2].revision))
	run(t, 0, []string{"warning: ", "not those of its name", fmt.Sprintf("to revision %d", all[0].revision)}, "restore", "--dir="+dir, "--data-dir="+target(t))
	run(t, 3, []string{"not those of its name"}, "verify", "--dir="+dir)
	exchange(t, of(all[1].revision), of(all[2].revision))
	flip(t, of(all[1].revision))
	run(t, 0, []string{"is restored as it is; the journal continues it: --at latest"}, "restore", filepath.Base(only(t, dir)), "--dir="+dir, "--data-dir="+target(t))
	out := run(t, 0, []string{
		"warning: ", "damaged", "trying without it", fmt.Sprintf("to revision %d", all[0].revision),
		fmt.Sprintf("the journal has a gap or damage behind revision %d: later revisions, up to %d, are recorded and can't be restored", all[0].revision, all[2].revision),
	}, "restore", "--dir="+dir, "--data-dir="+target(t))
	if n := strings.Count(out.stdout.String(), "restored "); n != 1 {
		t.Errorf("it printed\n%s", out.stdout.String())
	}
	run(t, 1, []string{"this moment cannot be restored", fmt.Sprintf("--at %d restores the last revision before it", all[0].revision)},
		"restore", "--dir="+dir, "--data-dir="+target(t), "--at="+strconv.FormatInt(all[2].revision, 10))
}

// exchange gives each of two files the other's name.
func exchange(t testing.TB, a, b string) {
	t.Helper()
	must(t, os.Rename(a, a+".x"))
	must(t, os.Rename(b, a))
	must(t, os.Rename(a+".x", b))
}

// flip changes one bit in the middle of a file.
func flip(t testing.TB, path string) {
	t.Helper()
	data, err := os.ReadFile(path)
	must(t, err)
	data[len(data)/4] ^= 1
	must(t, os.WriteFile(path, data, 0o600))
}
