package e2e_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"etcd-rolling-backup/internal/etcdtest"
)

// kubernetesBump is what docs/CLI.md promises of --kubernetes.
const kubernetesBump = 1_000_000_000

// A snapshot of every etcd version, restored by us, is started by that version and the next: all keys are there, with all
// their revisions, writes are taken, and the revision is the snapshot's or as much higher as was asked for.
func TestRestoredDataStartsOnItsVersionAndTheNext(t *testing.T) {
	parallel(t)
	versions := etcdtest.Versions()
	for i, version := range versions {
		t.Run(version, func(t *testing.T) {
			c := small(t, etcdtest.Options{Version: version})
			want := stateOf(t, etcdtest.Dial(t, c))
			archive := saved(t, c)
			raw := unpack(t, archive)
			must(t, c.Members[0].Kill())
			for _, next := range versions[i:min(i+2, len(versions))] {
				dir := target(t)
				run(t, 0, []string{"restored " + dir, "--name node1 "}, "restore", archive, "--data-dir="+dir)
				wantState(t, next, "node1", dir, want).kill()

				// What the database itself records of its members will do as well.
				dir = target(t)
				bumped := want
				bumped.revision += kubernetesBump
				run(t, 0, []string{"all earlier revisions are compacted", "node1=" + c.Members[0].PeerURL}, "restore", raw, "--data-dir="+dir, "--kubernetes")
				r := wantState(t, next, "node1", dir, bumped)
				wantCompacted(t, r.client, want.revision)
				r.kill()
			}
		})
	}
}

// Only "member" is exchanged. Every version starts next to what else lies in its data directory, and to the old data. A log or a database
// behind a symbolic link stays where it is, and after the printed way back the old data is served again.
func TestEveryVersionStartsNextToOtherFilesAndBehindLinks(t *testing.T) {
	parallel(t)
	for _, version := range etcdtest.Versions() {
		for _, link := range []string{"", "member", "member/wal", "member/snap"} {
			t.Run(strings.TrimSpace(version+" "+link), func(t *testing.T) {
				c := small(t, etcdtest.Options{Version: version})
				want := stateOf(t, etcdtest.Dial(t, c))
				archive, m := saved(t, c), c.Members[0]
				_, err := etcdtest.Dial(t, c).Put(t.Context(), "/later", "")
				must(t, err)
				later := stateOf(t, etcdtest.Dial(t, c))
				must(t, m.Stop())
				must(t, os.WriteFile(filepath.Join(m.DataDir, "config"), []byte("name: node1"), 0o644))
				if link != "" {
					to := filepath.Join(t.TempDir(), "disk")
					must(t, os.Rename(filepath.Join(m.DataDir, link), to))
					must(t, os.Symlink(to, filepath.Join(m.DataDir, link)))
				}
				p := run(t, 0, []string{"stays            config"}, "restore", archive, "--data-dir="+m.DataDir, "--replace")
				wantState(t, version, "node1", m.DataDir, want).kill()
				_, back, _ := strings.Cut(p.stdout.String(), "to go back, with etcd stopped:")
				must(t, exec.Command("sh", "-c", back).Run())
				wantState(t, version, "node1", m.DataDir, later).kill()
				text, err := os.ReadFile(filepath.Join(m.DataDir, "config"))
				if err != nil || string(text) != "name: node1" {
					t.Errorf("the other file has %q, %v", text, err)
				}
			})
		}
	}
}

// wantCompacted demands that nobody can go on from a revision of the time before.
func wantCompacted(t *testing.T, client *clientv3.Client, revision int64) {
	t.Helper()
	if _, err := client.Get(t.Context(), "/registry", clientv3.WithRev(revision)); err != rpctypes.ErrCompacted { //nolint:errorlint // the client gives this very one
		t.Errorf("a read at revision %d ended with %v", revision, err)
	}
	w := <-client.Watch(t.Context(), "/registry", clientv3.WithRev(revision))
	if w.CompactRevision != revision+kubernetesBump {
		t.Errorf("a watch from revision %d hears of a compaction at %d: %v", revision, w.CompactRevision, w.Err())
	}
}

// An etcd in which nothing was ever written, and one whose newest revision was a deletion that is compacted away.
func TestRestoreOfAnEmptyAndACompactedDatabase(t *testing.T) {
	parallel(t)
	c := etcdtest.Run(t, etcdtest.Options{UnsafeNoFsync: true})
	empty := saved(t, c)
	client := etcdtest.Dial(t, c)
	_, err := client.Put(t.Context(), "/gone", "")
	must(t, err)
	_, err = client.Delete(t.Context(), "/gone")
	must(t, err)
	_, err = client.Compact(t.Context(), 3, clientv3.WithCompactPhysical())
	must(t, err)
	compacted := saved(t, c)
	for _, x := range []struct {
		name, archive string
		flags         []string
		revision      int64
	}{
		{"empty", empty, nil, 1},
		{"empty, raised", empty, []string{"--kubernetes"}, kubernetesBump},
		{"compacted", compacted, nil, 3},
		{"compacted, raised", compacted, []string{"--bump-revision=1000", "--mark-compacted"}, 1003},
	} {
		t.Run(x.name, func(t *testing.T) {
			dir := target(t)
			run(t, 0, nil, append([]string{"restore", x.archive, "--data-dir=" + dir}, x.flags...)...)
			r := reviveAlone(t, etcdtest.Default, "node1", dir)
			got := stateOf(t, r.client)
			if got.keys != 0 || got.revision != x.revision {
				t.Errorf("there are %d keys at revision %d, want none at %d", got.keys, got.revision, x.revision)
			}
			r.takes(t, x.revision)
		})
	}
}
