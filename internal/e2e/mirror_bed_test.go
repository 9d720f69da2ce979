package e2e_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"

	"etcd-rolling-backup/internal/etcdtest"
	"etcd-rolling-backup/internal/s3test"
	"etcd-rolling-backup/snapshot"
)

// bucket is what the tests see of the mirror's far end, as root and past every fault.
type bucket struct {
	t      testing.TB
	name   string
	client *minio.Client
}

func newBucket(t testing.TB, target s3test.Target, o s3test.BucketOptions) *bucket {
	t.Helper()
	return &bucket{t: t, name: s3test.Bucket(t, target, o), client: s3test.Dial(t, target)}
}

// keys are all there are, sorted.
func (b *bucket) keys() []string {
	b.t.Helper()
	var keys []string
	for o := range b.client.ListObjects(context.Background(), b.name, minio.ListObjectsOptions{Recursive: true}) {
		must(b.t, o.Err)
		keys = append(keys, o.Key)
	}
	return keys
}

func (b *bucket) put(key, text string) {
	b.t.Helper()
	_, err := b.client.PutObject(context.Background(), b.name, key, strings.NewReader(text), int64(len(text)), minio.PutObjectOptions{})
	must(b.t, err)
}

// flags are those of the mirror, with the keys in files.
func (b *bucket) flags(target s3test.Target) []string {
	b.t.Helper()
	dir := b.t.TempDir()
	access, secret := filepath.Join(dir, "access"), filepath.Join(dir, "secret")
	must(b.t, os.WriteFile(access, []byte(target.AccessKey+"\n"), 0o600))
	must(b.t, os.WriteFile(secret, []byte(target.SecretKey+"\n"), 0o600))
	f := []string{
		"--s3-bucket=" + b.name, "--s3-endpoint=" + target.URL(), "--s3-access-key-file=" + access, "--s3-secret-key-file=" + secret,
	}
	if target.CAFile != "" {
		f = append(f, "--s3-ca="+target.CAFile)
	}
	return f
}

// has demands these keys and no others.
func (b *bucket) has(want ...string) {
	b.t.Helper()
	want = slices.Sorted(slices.Values(want))
	if got := b.keys(); !slices.Equal(got, want) {
		b.t.Errorf("the bucket holds\n%q, want\n%q", got, want)
	}
}

// uploads are unfinished ones of a key. MinIO lists them by whole keys only.
func (b *bucket) uploads(key string) int {
	b.t.Helper()
	count := 0
	for u := range b.client.ListIncompleteUploads(context.Background(), b.name, key, true) {
		must(b.t, u.Err)
		count++
	}
	return count
}

// mirrorBed is a server, which others may use as well, and a member with next to nothing in it.
type mirrorBed struct {
	server *s3test.Server
	etcd   *etcdtest.Cluster
}

func newMirrorBed(t *testing.T, server *s3test.Server) *mirrorBed {
	t.Helper()
	c := etcdtest.Run(t, etcdtest.Options{UnsafeNoFsync: true})
	_, err := etcdtest.Dial(t, c).Put(t.Context(), "/registry/one", "value")
	must(t, err)
	return &mirrorBed{server: server, etcd: c}
}

func (m *mirrorBed) bucket(t testing.TB) *bucket {
	t.Helper()
	return newBucket(t, m.server.Target, s3test.BucketOptions{})
}

// impatient are flags with which a server's silence soon ends.
var impatient = []string{"--s3-timeout=5s", "--s3-stall=5s"}

// patient are flags for a test in which S3 may fail no request, however busy the machine is.
var patient = []string{"--s3-timeout=1m", "--s3-stall=1m"}

// follow starts a daemon with a snapshot every second that keeps three of them here.
func (m *mirrorBed) follow(t *testing.T, mirror ...[]string) (*follower, string) {
	t.Helper()
	dir := newStore(t)
	return m.followIn(t, dir, mirror...), dir
}

// followIn is follow with a directory that is there already.
func (m *mirrorBed) followIn(t *testing.T, dir string, mirror ...[]string) *follower {
	t.Helper()
	return follow(t, dir, slices.Concat(flags(m.etcd, m.etcd.Endpoints()[0]), impatient, []string{"--keep-last=3", "--log-level=debug"}, slices.Concat(mirror...)))
}

// save takes a snapshot and returns its path.
func (m *mirrorBed) save(t testing.TB, more ...string) string {
	t.Helper()
	dir := newStore(t)
	run(t, 0, nil, words("save", flags(m.etcd, m.etcd.Endpoints()[0]), store(dir), more)...)
	return only(t, dir)
}

// converges waits until all that lies here is there.
func (b *bucket) converges(dir string) {
	b.t.Helper()
	eventually(b.t, "all that lies here was in the bucket", func() bool {
		here := listed(b.t, dir)
		there := b.keys()
		return len(here) > 0 && !slices.ContainsFunc(here, func(e snapshot.Entry) bool { return !slices.Contains(there, e.Name.String()) })
	})
}

// value is what a flag of a list is set to.
func value(t testing.TB, flags []string, name string) string {
	t.Helper()
	for _, f := range flags {
		if v, ok := strings.CutPrefix(f, name+"="); ok {
			return v
		}
	}
	t.Fatalf("no %s in %q", name, flags)
	return ""
}

// rolling names a rolling snapshot of the node for each of so many days, newest first.
func rolling(t testing.TB, node string, days int) []string {
	t.Helper()
	var names []string
	for day := range days {
		n, err := snapshot.NewName(snapshot.RollingSet, node, time.Date(2026, 1, 28-day, 0, 0, 0, 0, time.UTC))
		must(t, err)
		names = append(names, n.String())
	}
	return names
}

// plant gives an archive these names in a directory.
func plant(t testing.TB, dir, archive string, names ...string) {
	t.Helper()
	must(t, os.MkdirAll(dir, 0o700))
	for _, n := range names {
		must(t, os.Link(archive, filepath.Join(dir, n)))
	}
}

// plant gives an archive these keys in the bucket.
func (b *bucket) plant(archive string, keys ...string) {
	b.t.Helper()
	text, err := os.ReadFile(archive)
	must(b.t, err)
	for _, key := range keys {
		b.put(key, string(text))
	}
}
