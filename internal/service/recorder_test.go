package service

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"etcd-rolling-backup/daemon/status"
	"etcd-rolling-backup/internal/etcdtest"
)

// The first daemon opens the watch, then takes a snapshot that the journal continues. The next one continues both.
func TestJournalContinuesAfterARestartWithoutAGap(t *testing.T) {
	for _, version := range etcdtest.Versions() {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			b := newJournalBed(t, etcdtest.Options{Version: version, UnsafeNoFsync: true})
			client := etcdtest.Dial(t, b.cluster)
			puts(t, client, 5)
			b.start()
			b.waitForBases(1)
			puts(t, client, 50)
			b.reaches(client)
			b.stop()
			puts(t, client, 30)
			b.start()
			puts(t, client, 20)
			head := b.reaches(client)
			b.stop()
			if bases := b.bases(); len(bases) != 1 || len(b.ranges()) != 1 {
				t.Fatalf("snapshots at %v, ranges %v", bases, b.ranges())
			}
			b.wantAll(client, b.bases()[0], head)
			if b.lines("journal begins") != 1 || b.lines("journal continues") != 1 || b.lines("journal stopped") != 2 || b.lines("snapshot saved") != 1 {
				t.Error("other lines in the log")
			}
		})
	}
}

func TestJournalBeginsAgainAfterACompactionWhileItWasAway(t *testing.T) {
	oldestAndNewest(t, func(t *testing.T, version string) {
		b := newJournalBed(t, etcdtest.Options{Version: version, UnsafeNoFsync: true})
		client := etcdtest.Dial(t, b.cluster)
		b.start()
		b.waitForBases(1)
		puts(t, client, 20)
		head := b.reaches(client)
		b.stop()
		puts(t, client, 20)
		_, err := client.Compact(t.Context(), head+10)
		must(t, err)
		b.start()
		b.wantNewRange(client)
		var reasons []any
		for _, e := range b.log.AllEntries() {
			if strings.Contains(fmt.Sprint(e.Data["error"]), "etcd has compacted") {
				reasons = append(reasons, e.Data["reason"])
			}
		}
		if !slices.Equal(reasons, []any{string(status.Compacted)}) {
			t.Errorf("the log has the reasons %v", reasons)
		}
	})
}

func TestJournalBeginsAgainWhenItIsTooFarBehind(t *testing.T) {
	b := newJournalBed(t, etcdtest.Options{UnsafeNoFsync: true})
	client := etcdtest.Dial(t, b.cluster)
	b.cfg.Journal.MaxBehind = 30
	b.start()
	b.waitForBases(1)
	puts(t, client, 20)
	b.reaches(client)
	b.stop()
	puts(t, client, 30)
	b.start()
	b.reaches(client)
	if bases := b.bases(); len(bases) != 1 {
		t.Errorf("30 revisions behind: snapshots at %v", bases)
	}
	b.stop()
	puts(t, client, 31)
	b.start()
	b.wantNewRange(client)
}

// A data directory that was put back has the same cluster ID, and other events at the same revisions.
func TestJournalBeginsAgainAfterTheDataWasPutBack(t *testing.T) {
	for name, later := range map[string]int{"behind the journal": 0, "beyond the journal": 40} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newJournalBed(t, etcdtest.Options{UnsafeNoFsync: true})
			client, m := etcdtest.Dial(t, b.cluster), b.cluster.Members[0]
			puts(t, client, 10)
			must(t, m.Stop())
			old := t.TempDir()
			must(t, os.CopyFS(old, os.DirFS(m.DataDir)))
			must(t, m.Restart(t.Context()))
			b.start()
			b.waitForBases(1)
			puts(t, client, 20)
			b.reaches(client)
			b.stop()
			first := b.segments()
			must(t, m.Stop())
			must(t, os.RemoveAll(m.DataDir))
			must(t, os.CopyFS(m.DataDir, os.DirFS(old)))
			must(t, os.Chmod(m.DataDir, 0o700))
			must(t, m.Restart(t.Context()))
			puts(t, client, later)
			b.start()
			b.waitForBases(2)
			puts(t, client, 10)
			head := b.reaches(client)
			b.stop()
			if b.lines("journal begins again, after a gap") != 1 {
				t.Error("no gap is reported")
			}
			for _, n := range first { // their names alone do not say that they are of another history
				must(t, b.dir.RemoveSegment(t.Context(), n))
			}
			b.wantAll(client, b.bases()[1], head)
			for i, n := range b.segments() {
				if m, err := (&recorder{dir: b.dir}).manifest(t.Context(), n); err != nil || m.Restored != (i == 0) {
					t.Errorf("segment %d says that etcd was restored: %v, %v", i, m.Restored, err)
				}
			}
		})
	}
}

// The watch shows no users, roles and members. The login is renewed after etcd has forgotten it.
func TestJournalAsksForASnapshotWhenUsersOrMembersChange(t *testing.T) {
	oldestAndNewest(t, func(t *testing.T, version string) {
		o := etcdtest.Options{Version: version, Members: 3, UnsafeNoFsync: true}
		if version != "3.4" {
			o.Flags = []string{"--auth-token-ttl=1"}
		}
		b := newJournalBed(t, o)
		must(t, b.cluster.EnableAuth(t.Context(), "secret"))
		b.cfg.Etcd.User, b.cfg.Etcd.Password = "root", "secret"
		client := etcdtest.Dial(t, b.cluster)
		b.start()
		b.waitForBases(1)
		puts(t, client, 10)
		b.reaches(client)
		if bases := b.bases(); len(bases) != 1 {
			t.Fatalf("snapshots at %v", bases)
		}
		for n, change := range []func() error{
			func() error { _, err := client.UserAdd(t.Context(), "anna", "pw"); return err },
			func() error { _, err := client.RoleAdd(t.Context(), "reader"); return err },
			func() error { _, err := client.UserGrantRole(t.Context(), "anna", "reader"); return err },
			func() error { _, err := b.cluster.AddLearner(t.Context()); return err },
		} {
			time.Sleep(1500 * time.Millisecond) // longer than a login lasts
			must(t, change())
			b.waitForBases(n + 2)
		}
		puts(t, client, 10)
		head := b.reaches(client)
		b.stop()
		if len(b.ranges()) != 1 || b.lines("journal interrupted") > 0 {
			t.Errorf("ranges %v", b.ranges())
		}
		b.wantAll(client, b.bases()[0], head)
	})
}

// A user who may read all keys may record them; for one who may not, the error says why nothing is recorded.
func TestJournalDoesWithoutTheRightsOfRoot(t *testing.T) {
	b := newJournalBed(t, etcdtest.Options{Version: "3.5", UnsafeNoFsync: true})
	client := etcdtest.Dial(t, b.cluster)
	for _, name := range []string{"all", "some"} {
		_, err := client.RoleAdd(t.Context(), name)
		must(t, err)
		_, err = client.UserAdd(t.Context(), name, "pw")
		must(t, err)
		_, err = client.UserGrantRole(t.Context(), name, name)
		must(t, err)
	}
	_, err := client.RoleGrantPermission(t.Context(), "all", "\x00", "\x00", clientv3.PermissionType(clientv3.PermRead))
	must(t, err)
	_, err = client.RoleGrantPermission(t.Context(), "some", "a", "b", clientv3.PermissionType(clientv3.PermRead))
	must(t, err)
	must(t, b.cluster.EnableAuth(t.Context(), "secret"))
	root := etcdtest.Dial(t, b.cluster)
	b.cfg.Etcd.User, b.cfg.Etcd.Password = "some", "pw"
	b.start()
	b.interrupted(status.Credentials)
	b.stop()
	b.cfg.Etcd.User = "all"
	b.start()
	b.until("it records", func(j status.Journal) bool { return j.Running })
	puts(t, root, 10)
	b.reaches(root)
	b.stop()
}
