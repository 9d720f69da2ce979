package e2e_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	clientv3 "go.etcd.io/etcd/client/v3"

	"etcd-rolling-backup/daemon/status"
	"etcd-rolling-backup/internal/etcdtest"
	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/input"
)

const node = "node-a"

// newStore is a directory for snapshots that the program has yet to make.
func newStore(t testing.TB) string {
	t.Helper()
	return filepath.Join(t.TempDir(), "store")
}

// store are the flags of every command that writes snapshots, with room enough on any disk.
func store(dir string) []string {
	return []string{"--dir=" + dir, "--node=" + node, "--min-free=0"}
}

// flags are those that reach a member of the cluster, at its own address or another.
func flags(c *etcdtest.Cluster, endpoint string) []string {
	f := []string{"--endpoints=" + endpoint}
	if c.PKI != nil {
		f = append(f, "--cacert="+c.PKI.CACert, "--cert="+c.PKI.Client.Cert, "--key="+c.PKI.Client.Key)
	}
	return f
}

// unhurried are flags with which a test may hold a stream, or an answer of etcd, for as long as it takes.
var unhurried = []string{"--etcd-timeout=10m", "--stall-timeout=10m"}

// words joins a command, lists of flags and single ones.
func words(command string, lists ...[]string) []string {
	return append([]string{command}, slices.Concat(lists...)...)
}

// small starts a member with a few MiB of objects like those of Kubernetes.
func small(t testing.TB, options etcdtest.Options) *etcdtest.Cluster {
	t.Helper()
	options.UnsafeNoFsync = true
	c := etcdtest.Run(t, options)
	_, err := etcdtest.Fill(t.Context(), etcdtest.Dial(t, c), etcdtest.FillOptions{Bytes: 3 << 20, Seed: 1})
	must(t, err)
	return c
}

// solidBytes is the size of the database of solid, and of its archive: more than all buffers on a stream's way.
const solidBytes = 24 << 20

// solid starts a member with data that does not compress.
func solid(t testing.TB) *etcdtest.Cluster {
	t.Helper()
	c := etcdtest.Run(t, etcdtest.Options{UnsafeNoFsync: true})
	client := etcdtest.Dial(t, c)
	value := make([]byte, 1<<20)
	for i := range solidBytes / len(value) {
		_, _ = rand.Read(value) // never fails
		_, err := client.Put(t.Context(), fmt.Sprintf("/solid/%d", i), string(value))
		must(t, err)
	}
	return c
}

// files are the names in a directory, sorted; a missing one has none.
func files(t testing.TB, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if !os.IsNotExist(err) {
		must(t, err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// theStores tells the files that the store has for itself: the lock, and the status for the next process.
func theStores(name string) bool {
	return name == ".lock" || strings.HasPrefix(name, ".status_") || strings.HasPrefix(name, ".daemon_")
}

// statusFile is where the daemon keeps its status for the next process.
func statusFile(dir string) string { return filepath.Join(dir, snapshot.StatusFile(node)) }

// readStatus is what the daemon has kept there.
func readStatus(t testing.TB, dir string) status.State {
	t.Helper()
	text, err := os.ReadFile(statusFile(dir))
	must(t, err)
	var s status.State
	must(t, json.Unmarshal(text, &s))
	return s
}

func wantMode(t testing.TB, path string, want fs.FileMode) {
	t.Helper()
	info, err := os.Stat(path)
	must(t, err)
	if got := info.Mode().Perm(); got != want {
		t.Errorf("mode of %s is %o, want %o", path, got, want)
	}
}

// wantNothing demands that a failed run left nothing but the lock's file.
func wantNothing(t testing.TB, dir string) {
	t.Helper()
	if left := slices.DeleteFunc(files(t, dir), theStores); len(left) > 0 {
		t.Errorf("left behind in the directory: %s", left)
	}
}

// partial waits for the file of a snapshot being written, with something in it, and returns its name.
func partial(t testing.TB, dir string) string {
	t.Helper()
	var name string
	eventually(t, "a partial was there", func() bool {
		for _, n := range files(t, dir) {
			info, err := os.Stat(filepath.Join(dir, n))
			if strings.HasSuffix(n, ".part") && !theStores(n) && err == nil && info.Size() > 0 {
				name = n
			}
		}
		return name != ""
	})
	return name
}

// listed are the snapshots of a directory, newest first; a missing one has none.
func listed(t testing.TB, dir string) []snapshot.Entry {
	t.Helper()
	if _, err := os.Stat(dir); os.IsNotExist(err) {
		return nil
	}
	l, err := snapshot.NewDir(dir).List()
	must(t, err)
	return l.Snapshots
}

// wantWhole lets every listed snapshot be verified, and demands that there are so many.
func wantWhole(t testing.TB, dir string, count int) {
	t.Helper()
	entries := listed(t, dir)
	if len(entries) != count {
		t.Errorf("%d snapshots, want %d: %s", len(entries), count, files(t, dir))
	}
	for _, e := range entries {
		must(t, verify(dir, e.Name))
	}
}

func verify(dir string, name snapshot.Name) error {
	d := snapshot.NewDir(dir)
	f, err := d.File(name)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := input.Verify(context.Background(), f, d, 0, nil); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// only is the path of the one snapshot in a directory.
func only(t testing.TB, dir string) string {
	t.Helper()
	entries := listed(t, dir)
	if len(entries) != 1 {
		t.Fatalf("%d snapshots, want one: %s", len(entries), files(t, dir))
	}
	return filepath.Join(dir, entries[0].Name.String())
}

// redate renames a snapshot as if it had been taken at another time.
func redate(t testing.TB, dir string, n snapshot.Name, at time.Time) {
	t.Helper()
	to, err := snapshot.NewName(n.Set, n.Node, at)
	must(t, err)
	must(t, os.Rename(filepath.Join(dir, n.String()), filepath.Join(dir, to.String())))
}

// unpack decompresses an archive with the zstd program, as anybody may who has none of ours. On a machine without it the
// library's decoder stands in, which also knows nothing of archives.
func unpack(t testing.TB, archive string) string {
	t.Helper()
	out, err := os.Create(filepath.Join(t.TempDir(), "snap.db"))
	must(t, err)
	defer func() { must(t, out.Close()) }()
	if program, err := exec.LookPath("zstd"); err == nil {
		var stderr bytes.Buffer
		cmd := exec.Command(program, "-dc", archive)
		cmd.Stdout, cmd.Stderr = out, &stderr
		if err := cmd.Run(); err != nil {
			t.Fatalf("zstd -dc %s: %v: %s", archive, err, &stderr)
		}
		return out.Name()
	}
	t.Log("no zstd program: unpacking with the library")
	in, err := os.Open(archive)
	must(t, err)
	defer in.Close()
	dec, err := zstd.NewReader(in)
	must(t, err)
	defer dec.Close()
	_, err = io.Copy(out, dec)
	must(t, err)
	return out.Name()
}

// keys is how many keys below /registry/ an etcd has.
func keys(t testing.TB, client *clientv3.Client) int64 {
	t.Helper()
	r, err := client.Get(t.Context(), "/registry/", clientv3.WithPrefix(), clientv3.WithCountOnly())
	must(t, err)
	return r.Count
}
