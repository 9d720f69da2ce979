package e2e_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.etcd.io/bbolt"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"

	"etcd-rolling-backup/internal/etcdtest"
	"etcd-rolling-backup/internal/proctest"
)

// revived is an etcd on a data directory that was restored.
type revived struct {
	*process
	client *clientv3.Client
}

// portAttempts bounds how often etcd is started again when another process took one of its ports.
const portAttempts = 20

// revive starts the version's etcd on a data directory, at the client URL and the peer URL that urls gives, and returns when it
// has both. It does not wait for more: a member alone is not ready before others join it.
func revive(t testing.TB, version, name, dir string, urls func() (client, peer string), more ...string) *revived {
	t.Helper()
	program, err := etcdtest.Program(version, "etcd")
	must(t, err)
	for range portAttempts {
		clientURL, peerURL := urls()
		args := []string{
			"--name=" + name, "--data-dir=" + dir, "--listen-client-urls=" + clientURL, "--advertise-client-urls=" + clientURL,
			"--listen-peer-urls=" + peerURL, "--initial-advertise-peer-urls=" + peerURL, "--initial-cluster=" + name + "=" + peerURL,
			"--unsafe-no-fsync", "--heartbeat-interval=20", "--election-timeout=200", "--logger=zap", "--log-outputs=stderr",
		}
		p := launch(t, exec.Command(program, append(args, more...)...))
		if !hasPorts(t, p) {
			continue
		}
		r := &revived{process: p, client: dial(t, clientURL)}
		t.Cleanup(func() {
			_ = r.client.Close() // it says that the test's context has ended
			if t.Failed() {
				log := r.stderr.String()
				t.Logf("end of the log of etcd on %s:\n%s", dir, log[max(0, len(log)-3000):])
			}
		})
		return r
	}
	t.Fatalf("%d times another process took a port of etcd on %s", portAttempts, dir)
	return nil
}

// hasPorts waits until etcd listens, or has ended because another process took a port, which changes nothing in its directory.
func hasPorts(t testing.TB, p *process) (has bool) {
	t.Helper()
	eventually(t, "etcd listens", func() bool {
		select {
		case <-p.done:
			if log := p.stderr.String(); !strings.Contains(log, "address already in use") {
				t.Fatalf("etcd ended before it listened:\n%s", log[max(0, len(log)-3000):])
			}
			return true
		default:
			has = strings.Contains(p.stderr.String(), "starting an etcd server") // of all versions, once the ports are bound
			return has
		}
	})
	return has
}

// dial connects to an etcd that may not be ready yet.
func dial(t testing.TB, url string) *clientv3.Client {
	t.Helper()
	soon := backoff.Config{BaseDelay: 20 * time.Millisecond, Multiplier: 1.2, MaxDelay: time.Second}
	client, err := clientv3.New(clientv3.Config{
		Context: t.Context(), Endpoints: []string{url}, Logger: zap.NewNop(),
		DialOptions: []grpc.DialOption{grpc.WithConnectParams(grpc.ConnectParams{Backoff: soon, MinConnectTimeout: endLimit})},
	})
	must(t, err)
	return client
}

// reviveAlone starts it on free ports.
func reviveAlone(t *testing.T, version, name, dir string, more ...string) *revived {
	t.Helper()
	return revive(t, version, name, dir, func() (client, peer string) {
		ports, err := proctest.ReservePorts(2)
		must(t, err)
		return "http://" + ports[0], "http://" + ports[1]
	}, more...)
}

// state is all that an etcd says of its keys.
type state struct {
	keys     int64
	sum      string // of keys, values and revisions
	revision int64
}

// stateOf asks with a linearizable read, for as long as the server needs to come up.
func stateOf(t testing.TB, client *clientv3.Client) state {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), endLimit)
	defer cancel()
	r, err := client.Get(ctx, "\x00", clientv3.WithFromKey())
	must(t, err)
	sum := sha256.New()
	for _, kv := range r.Kvs {
		_, _ = fmt.Fprintf(sum, "%q %d %d %d %x\n", kv.Key, kv.CreateRevision, kv.ModRevision, kv.Version, sha256.Sum256(kv.Value)) // a hash never fails
	}
	return state{keys: r.Count, sum: fmt.Sprintf("%x", sum.Sum(nil)), revision: r.Header.Revision}
}

// takes writes one key and demands that it gets the next revision.
func (r *revived) takes(t testing.TB, after int64) {
	t.Helper()
	p, err := r.client.Put(t.Context(), "/written", "after the restore")
	must(t, err)
	if p.Header.Revision != after+1 {
		t.Errorf("the first write makes revision %d, want %d", p.Header.Revision, after+1)
	}
}

// wantState starts etcd on a restored directory, and demands all keys, a revision and that it can be written to.
func wantState(t *testing.T, version, name, dir string, want state) *revived {
	t.Helper()
	r := reviveAlone(t, version, name, dir)
	if got := stateOf(t, r.client); got != want {
		t.Errorf("etcd %s on %s has %+v, want %+v", version, dir, got, want)
	}
	r.takes(t, want.revision)
	return r
}

// tree lists all files below a directory with what matters of them: mode, owner, content.
func tree(t testing.TB, dir string) []string {
	t.Helper()
	return listTree(t, dir, begin)
}

// restoredTree is tree for data that the program has restored. It looks into the database for what is stored there: how its pages lie in
// the file depends on how fast they were written.
func restoredTree(t testing.TB, dir string) []string {
	t.Helper()
	return listTree(t, dir, func(path string) ([]byte, error) {
		if filepath.Base(path) == "db" {
			return stored(path)
		}
		return begin(path)
	})
}

// stored gives all keys and values of a bbolt file.
func stored(path string) ([]byte, error) {
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{ReadOnly: true})
	if err != nil {
		return nil, err
	}
	defer db.Close()
	var all bytes.Buffer
	err = db.View(func(tx *bbolt.Tx) error {
		return tx.ForEach(func(name []byte, b *bbolt.Bucket) error {
			return b.ForEach(func(k, v []byte) error {
				_, err := fmt.Fprintf(&all, "%q %q %q\n", name, k, v)
				return err
			})
		})
	})
	return all.Bytes(), err
}

func listTree(t testing.TB, dir string, read func(path string) ([]byte, error)) []string {
	t.Helper()
	var list []string
	must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		line := fmt.Sprintf("%s %s %v", strings.TrimPrefix(path, dir), info.Mode(), owner(t, path))
		if info.Mode().IsRegular() {
			b, err := read(path)
			if err != nil {
				return err
			}
			line += fmt.Sprintf(" %x", sha256.Sum256(b))
		}
		list = append(list, line)
		return nil
	}))
	return list
}

// begin reads the first MiB of a file: the rest of a new write-ahead log are 63 of zeros.
func begin(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, 1<<20))
}

// wantTree demands that nothing changed.
func wantTree(t testing.TB, dir string, want []string) {
	t.Helper()
	wantList(t, dir, tree(t, dir), want)
}

// wantRestoredTree demands that all of the restored data is there.
func wantRestoredTree(t testing.TB, dir string, want []string) {
	t.Helper()
	wantList(t, dir, restoredTree(t, dir), want)
}

func wantList(t testing.TB, dir string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("in %s there was\n%s\nand there is\n%s", dir, strings.Join(want, "\n"), strings.Join(got, "\n"))
	}
}

// saved takes a snapshot of a cluster's first member and returns its path.
func saved(t testing.TB, c *etcdtest.Cluster) string {
	t.Helper()
	dir := newStore(t)
	run(t, 0, nil, words("save", store(dir), flags(c, c.Members[0].Endpoint))...)
	return only(t, dir)
}

// target is a data directory to come, in a directory of its own.
func target(t testing.TB) string {
	t.Helper()
	return filepath.Join(t.TempDir(), "data")
}

// owner of a file, as USER:GROUP in numbers.
func owner(t testing.TB, path string) string {
	t.Helper()
	var s syscall.Stat_t
	must(t, syscall.Lstat(path, &s))
	return fmt.Sprintf("%d:%d", s.Uid, s.Gid)
}
