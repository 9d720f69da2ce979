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

	"etcd-rolling-backup/internal/etcdtest"
	"etcd-rolling-backup/internal/journaltest"
	"etcd-rolling-backup/internal/s3test"
	"etcd-rolling-backup/snapshot"
)

// wrongMoment is a cluster that was restored to a moment of the past, and then written to: the daemon has recorded the time before and after it.
type wrongMoment struct {
	*etcdtest.Cluster
	dir           string
	daemon        *process
	base          string     // the name of the snapshot from before the restore
	before, after []recorded // of before[2] was the restore
}

// restoreWrongly records changes, lets restore put the data of before[2] in the place of etcd's, and records others.
func restoreWrongly(t *testing.T, restore func(w *wrongMoment, old string)) *wrongMoment {
	t.Helper()
	w := &wrongMoment{Cluster: etcdtest.Run(t, etcdtest.Options{UnsafeNoFsync: true}), dir: newStore(t)}
	client := etcdtest.Dial(t, w.Cluster)
	w.daemon = start(t, journalFlags(w.dir, w.Cluster)...)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("%s\n%s", w.daemon.stderr.String(), strings.Join(files(t, w.dir), "\n"))
		}
	})
	w.daemon.says(t, "snapshot saved")
	w.base = filepath.Base(only(t, w.dir))
	var old string
	put := func(since time.Time, key, value string) recorded {
		begun := time.Now()
		_, err := client.Put(t.Context(), key, value)
		must(t, err)
		s := stateOf(t, client)
		eventually(t, fmt.Sprintf("the journal has revision %d", s.revision), func() bool {
			newest, err := journaltest.NewestSince(t.Context(), w.dir, since)
			must(t, err)
			return newest >= s.revision
		})
		return recorded{s, begun, time.Now()}
	}
	for i := range 9 {
		w.before = append(w.before, put(time.Time{}, fmt.Sprint("/registry/", i%4), fmt.Sprint("before ", i)))
		if i == 2 {
			old = saved(t, w.Cluster)
		}
	}
	must(t, w.Members[0].Stop())
	eventually(t, "the second of the last segment is over", func() bool { return time.Since(w.before[8].at) > time.Second })
	again := time.Now().Truncate(time.Second)
	restore(w, old)
	must(t, w.Members[0].Restart(t.Context()))
	w.daemon.says(t, "journal begins again, after a gap")
	eventually(t, "there is a snapshot of after", func() bool { return len(listed(t, w.dir)) == 2 })
	for i := range 5 {
		w.after = append(w.after, put(again, fmt.Sprint("/registry/", i%3), fmt.Sprint("after ", i)))
	}
	return w
}

// restoredTo restores a moment, and demands its state.
func (w *wrongMoment) restoredTo(t *testing.T, want state, at []string, says ...string) {
	t.Helper()
	data := target(t)
	run(t, 0, says, words("restore", at, []string{"--dir=" + w.dir, "--data-dir=" + data})...)
	wantState(t, etcdtest.Default, "node1", data, want).kill()
}

func atTime(t time.Time) []string { return []string{"--at=" + t.Format(time.RFC3339Nano)} }

// Somebody restored a wrong moment at night, and the cluster went on. Every other moment is still there: of before and of after the restore, by time in
// one command; by revision where only one of both has it, and otherwise with the name of the snapshot.
func TestRestoreAtAnotherMomentAfterARestoreToAWrongOne(t *testing.T) {
	parallel(t)
	for name, restore := range map[string]func(*testing.T, *wrongMoment, string){
		"by restore, with a new cluster ID": func(t *testing.T, w *wrongMoment, _ string) {
			run(t, 0, nil, "restore", "--dir="+w.dir, "--data-dir="+w.Members[0].DataDir, "--replace", "--at="+strconv.FormatInt(w.before[2].revision, 10))
		},
		"by etcdutl, with the same cluster ID": func(t *testing.T, w *wrongMoment, old string) {
			m := w.Members[0]
			must(t, os.RemoveAll(m.DataDir))
			_, err := etcdtest.Etcdutl(t.Context(), w.Version, "snapshot", "restore", unpack(t, old), "--data-dir="+m.DataDir, "--name="+m.Name,
				"--initial-cluster="+m.Name+"="+m.PeerURL, "--initial-advertise-peer-urls="+m.PeerURL)
			must(t, err)
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := restoreWrongly(t, func(w *wrongMoment, old string) { restore(t, w, old) })
			w.daemon.stop(t, syscall.SIGTERM, 0)
			names := listed(t, w.dir)
			cluster := func(n snapshot.Name) snapshot.ID {
				m, err := snapshot.NewDir(w.dir).Manifest(n)
				must(t, err)
				return m.ClusterID
			}
			old, now := cluster(names[1].Name), cluster(names[0].Name)
			if kept := strings.Contains(name, "same"); (old == now) != kept {
				t.Fatalf("clusters %s and %s", old, now)
			}
			earlier := fmt.Sprintf("of the cluster %s, before it was restored (not later than ", old)
			for _, i := range []int{0, 1, 3, 6} { // also what came after the moment of the restore
				w.restoredTo(t, w.before[i].state, atTime(w.before[i].at), earlier, w.base)
			}
			w.restoredTo(t, w.after[1].state, atTime(w.after[1].at), names[0].Name.String())
			w.restoredTo(t, w.after[4].state, nil, names[0].Name.String(), "the journal ends there")
			w.restoredTo(t, w.before[1].state, []string{"--at=" + strconv.FormatInt(w.before[1].revision, 10)}, earlier)
			w.restoredTo(t, w.before[8].state, []string{w.base, "--at=latest"}, earlier)

			both := w.after[3].revision
			i := slices.IndexFunc(w.before, func(r recorded) bool { return r.revision == both })
			refused := run(t, 2, []string{
				fmt.Sprintf("--at %d: the cluster was restored, so it had this revision more than once: at ", both), fmt.Sprintf(" (cluster %s, snapshot %s) and at ", old, w.base),
				fmt.Sprintf(" (cluster %s, snapshot %s): give a time, or add the name of the snapshot", now, names[0].Name),
			}, "restore", "--dir="+w.dir, "--data-dir="+target(t), "--at="+strconv.FormatInt(both, 10))
			refused.wantOneErrorLine(t)
			w.restoredTo(t, w.before[i].state, []string{w.base, "--at=" + strconv.FormatInt(both, 10)})
			w.restoredTo(t, w.after[3].state, []string{names[0].Name.String(), "--at=" + strconv.FormatInt(both, 10)})
			for key, x := range map[string]struct {
				moment time.Time
				value  string
			}{
				fmt.Sprint("/registry/", i%4): {w.before[i].at, fmt.Sprint("before ", i)}, "/registry/0": {w.after[3].at, "after 3"},
			} {
				p := run(t, 0, nil, words("get", []string{key, "--dir=" + w.dir}, atTime(x.moment))...)
				if got := p.stdout.String(); !strings.Contains(got, x.value) {
					t.Errorf("get %s at %s printed %q, not %q\n%s", key, x.moment, got, x.value, p.stderr.String())
				}
			}
			// A fresh machine has the bucket alone.
			server := plainServer.get(t)
			b := newBucket(t, server.Target, s3test.BucketOptions{})
			run(t, 0, nil, slices.Concat(words("mirror", []string{"--dir=" + w.dir, "--node=" + node}), b.flags(server.Target))...)
			there := *w
			there.dir = newStore(t)
			there.restoredTo(t, w.before[6].state, append(atTime(w.before[6].at), b.flags(server.Target)...), "journal in s3://", earlier)
			there.restoredTo(t, w.after[4].state, b.flags(server.Target), "journal in s3://", "the journal ends there")

			list := run(t, 0, []string{"journal of " + node}, "list", "--dir="+w.dir)
			if text := list.stdout.String(); strings.Count(text, "  any moment from ") != 2 || strings.Count(text, "  the cluster was restored here") != 1 || strings.Contains(text, "gap:") {
				t.Errorf("it listed\n%s", text)
			}
		})
	}
}

// The right moment, with --kubernetes, in place of the wrong one: the daemon goes on again, and no revision that somebody has seen comes back.
func TestRestoreOfTheRightMomentReplacesTheWrongOne(t *testing.T) {
	parallel(t)
	m := "--replace"
	w := restoreWrongly(t, func(w *wrongMoment, _ string) {
		run(t, 0, nil, "restore", "--dir="+w.dir, "--data-dir="+w.Members[0].DataDir, m, "--kubernetes", "--at="+strconv.FormatInt(w.before[2].revision, 10))
	})
	must(t, w.Members[0].Stop())
	want := w.before[5]
	run(t, 0, []string{"before it was restored"}, words("restore", []string{"--dir=" + w.dir, "--data-dir=" + w.Members[0].DataDir, m, "--kubernetes"}, atTime(want.at))...)
	must(t, w.Members[0].Restart(t.Context()))
	client := etcdtest.Dial(t, w.Cluster)
	got, seen := stateOf(t, client), w.after[4].revision
	if got.keys != want.keys || got.sum != want.sum || got.revision <= seen {
		t.Errorf("restored %+v, want %+v at a revision after %d", got, want.state, seen)
	}
	eventually(t, "there is a snapshot of the third cluster", func() bool { return len(listed(t, w.dir)) == 3 })
	_, err := client.Put(t.Context(), "/registry/last", "x")
	must(t, err)
	end := stateOf(t, client)
	eventually(t, "the journal has the last change", func() bool { return journaltest.Revision(t, w.dir) >= end.revision })
	w.restoredTo(t, end, nil, "the journal ends there")
	w.restoredTo(t, w.before[7].state, atTime(w.before[7].at), "before it was restored")
	w.restoredTo(t, w.after[2].state, atTime(w.after[2].at), "before it was restored")
	list := run(t, 0, nil, "list", "--dir="+w.dir)
	if text := list.stdout.String(); strings.Count(text, "  the cluster was restored here") != 2 {
		t.Errorf("it listed\n%s", text)
	}
}
