package e2e_test

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"

	"etcd-rolling-backup/internal/etcdtest"
	"etcd-rolling-backup/internal/proctest"
)

// A snapshot of every etcd version unpacks with zstd to what that version's own tools take, with the hash and revision of
// what etcdctl saves of the same server, and etcd starts on what is restored from it.
func TestSnapshotOfEachVersionEqualsEtcdctls(t *testing.T) {
	parallel(t)
	for _, version := range etcdtest.Versions() {
		t.Run(version, func(t *testing.T) {
			c := small(t, etcdtest.Options{Version: version})
			client := etcdtest.Dial(t, c)
			reference := filepath.Join(t.TempDir(), "reference.db")
			var dir string
			var want etcdtest.SnapshotStatus
			// A young server changes its own records for some seconds; two equal snapshots of etcdctl say that it rests.
			eventually(t, "the server rested", func() bool {
				want = saveReference(t, c, reference)
				dir = newStore(t)
				run(t, 0, []string{"saved " + dir + "/manual_node-a_"}, words("save", store(dir), flags(c, c.Members[0].Endpoint))...)
				return saveReference(t, c, reference) == want
			})

			raw := unpack(t, only(t, dir))
			got, err := etcdtest.Status(t.Context(), version, raw)
			must(t, err)
			if got != want {
				t.Errorf("our snapshot is %+v, that of etcdctl %+v", got, want)
			}
			count := keys(t, client)
			wantVerified(t, only(t, dir), want, count)
			wantRestored(t, version, raw, count, want.Revision)
		})
	}
}

func saveReference(t *testing.T, c *etcdtest.Cluster, path string) etcdtest.SnapshotStatus {
	t.Helper()
	_, err := c.Members[0].Etcdctl(t.Context(), "snapshot", "save", path)
	must(t, err)
	s, err := etcdtest.Status(t.Context(), c.Version, path)
	must(t, err)
	return s
}

// wantVerified compares what our verify says with etcd's own word.
func wantVerified(t *testing.T, archive string, want etcdtest.SnapshotStatus, count int64) {
	t.Helper()
	p := run(t, 0, nil, "verify", archive, "--output=json", "--min-free=0")
	var got struct {
		Hash     string
		Revision int64
		Keys     int64
		Manifest struct {
			Revision       int64
			EtcdVersion    string `json:"etcd_version"`
			StorageVersion string `json:"storage_version"`
			RawSize        int64  `json:"raw_size"`
		}
	}
	if err := json.Unmarshal([]byte(p.stdout.String()), &got); err != nil {
		t.Fatalf("verify printed %q: %v", p.stdout.String(), err)
	}
	if got.Hash != fmt.Sprintf("%x", want.Hash) || got.Revision != want.Revision || got.Keys != count {
		t.Errorf("verify says %+v, etcd %+v and %d keys", got, want, count)
	}
	if m := got.Manifest; m.Revision != want.Revision || m.RawSize < want.TotalSize || m.EtcdVersion == "" {
		t.Errorf("the manifest says %+v, etcd %+v", m, want)
	}
}

// wantRestored restores with the newest etcdutl, which has to read all versions but 3.4, and starts the version's own etcd on it.
func wantRestored(t *testing.T, version, raw string, count, revision int64) {
	t.Helper()
	tool := etcdtest.Default
	if version == "3.4" {
		tool = version
	}
	dir := filepath.Join(t.TempDir(), "restored")
	_, err := etcdtest.Etcdutl(t.Context(), tool, "snapshot", "restore", raw, "--name=restored", "--data-dir="+dir,
		"--initial-cluster=restored=http://127.0.0.1:2380", "--initial-advertise-peer-urls=http://127.0.0.1:2380") // a member alone never listens there
	must(t, err)
	server := reviveAlone(t, version, "restored", dir)
	defer server.kill()
	r, err := server.client.Get(t.Context(), "/registry/", clientv3.WithPrefix(), clientv3.WithCountOnly())
	if err != nil {
		t.Fatalf("ask the restored etcd: %v\n%s", err, server.stderr.String())
	}
	if r.Count != count || r.Header.Revision != revision {
		t.Errorf("restored %d keys at revision %d, want %d at %d", r.Count, r.Header.Revision, count, revision)
	}
}

// freePort is an address of 127.0.0.1 where nothing listens.
func freePort(t *testing.T) string {
	t.Helper()
	ports, err := proctest.ReservePorts(1)
	must(t, err)
	return ports[0]
}
