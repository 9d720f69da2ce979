package rketools_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/minio/minio-go/v7"

	"etcd-rolling-backup/internal/etcdtest"
	"etcd-rolling-backup/internal/rketools"
	"etcd-rolling-backup/internal/s3test"
)

// shared are the servers of all tests, started when the first test needs them.
var shared servers

type servers struct {
	mu    sync.Mutex
	etcd  *etcdtest.Cluster
	minio *s3test.Server
}

func (s *servers) close() error {
	var err error
	if s.etcd != nil {
		err = s.etcd.Stop()
	}
	if s.minio != nil {
		err = errors.Join(err, s.minio.Close())
	}
	return err
}

func sharedEtcd(t *testing.T) *etcdtest.Cluster {
	t.Helper()
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if shared.etcd == nil {
		c, err := etcdtest.Start(t.Context(), etcdtest.Options{TLS: true})
		must(t, err)
		shared.etcd = c
		client, err := c.Client(t.Context())
		must(t, err)
		defer client.Close()
		_, err = client.Put(t.Context(), "key", "value")
		must(t, err)
	}
	return shared.etcd
}

func sharedMinIO(t *testing.T) *s3test.Server {
	t.Helper()
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if shared.minio == nil {
		s, err := s3test.Start(t.Context(), s3test.Options{TLS: true})
		must(t, err)
		shared.minio = s
	}
	return shared.minio
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// host is one host of RKE, with the mounts of its containers.
type host struct {
	t    *testing.T
	root string
}

func newHost(t *testing.T) *host {
	t.Helper()
	h := &host{t: t, root: t.TempDir()}
	for _, dir := range []string{"backup", "etc/kubernetes", "tmp"} {
		must(t, os.MkdirAll(filepath.Join(h.root, dir), 0o755))
	}
	return h
}

// result is how a call ended, as RKE sees it.
type result struct {
	status int
	last   string // line of the output
	output string
}

// call runs one call on the host.
func (h *host) call(args ...string) result {
	h.t.Helper()
	return h.callIn(h.t.Context(), args...)
}

func (h *host) callIn(ctx context.Context, args ...string) result {
	h.t.Helper()
	h.t.Setenv(rketools.RootVariable, h.root)
	var out bytes.Buffer
	status := rketools.Main(ctx, "test", append([]string{"rke-etcd-backup", "etcd-backup"}, args...), &out, &out)
	lines := strings.Split(strings.TrimRight(out.String(), "\n"), "\n")
	return result{status: status, last: lines[len(lines)-1], output: out.String()}
}

// command is a call in a process of its own.
func (h *host) command(args ...string) *exec.Cmd {
	cmd := exec.CommandContext(h.t.Context(), os.Args[0])
	args = append([]string{"rke-etcd-backup", "etcd-backup"}, args...)
	cmd.Env = append(os.Environ(), callHelper+"="+strings.Join(args, "\n"), rketools.RootVariable+"="+h.root)
	return cmd
}

// failsAlongside is fails for a test that takes long and so runs alongside others.
func (h *host) failsAlongside(text string, args ...string) result {
	h.t.Helper()
	out, err := h.command(args...).CombinedOutput()
	lines := strings.Split(strings.TrimRight(string(out), "\n"), "\n")
	r := result{status: -1, last: lines[len(lines)-1], output: string(out)}
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		r.status = exit.ExitCode()
	}
	if r.status != 1 || !strings.Contains(r.last, text) {
		h.t.Errorf("%q: exit status %d: %s", args, r.status, out)
	}
	return r
}

// must runs a call that succeeds.
func (h *host) must(args ...string) result {
	h.t.Helper()
	r := h.call(args...)
	if r.status != 0 {
		h.t.Fatalf("%q: exit status %d: %s", args, r.status, r.output)
	}
	return r
}

// fails runs a call that fails, with these texts in its last line.
func (h *host) fails(texts []string, args ...string) result {
	h.t.Helper()
	r := h.call(args...)
	if r.status != 1 {
		h.t.Fatalf("%q: exit status %d, not 1: %s", args, r.status, r.output)
	}
	for _, text := range texts {
		if !strings.Contains(r.last, text) {
			h.t.Errorf("%q: the last line lacks %q: %s", args, text, r.last)
		}
	}
	return r
}

func (h *host) path(name string) string { return filepath.Join(h.root, name) }

func (h *host) write(name, content string) {
	h.t.Helper()
	must(h.t, os.WriteFile(h.path(name), []byte(content), 0o600))
}

func (h *host) read(name string) string {
	h.t.Helper()
	b, err := os.ReadFile(h.path(name))
	must(h.t, err)
	return string(b)
}

func (h *host) has(name string) bool {
	h.t.Helper()
	_, err := os.Lstat(h.path(name))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		h.t.Fatal(err)
	}
	return err == nil
}

// backups are the visible files of /backup, in order.
func (h *host) backups() []string {
	h.t.Helper()
	files, err := os.ReadDir(h.path("backup"))
	must(h.t, err)
	var names []string
	for _, f := range files {
		if !strings.HasPrefix(f.Name(), ".lock") {
			names = append(names, f.Name())
		}
	}
	return names
}

func (h *host) hasBackups(want ...string) {
	h.t.Helper()
	if got := h.backups(); !slices.Equal(got, want) {
		h.t.Errorf("/backup has %q, not %q", got, want)
	}
}

// once is RKE's call of a snapshot, with further flags.
func once(t *testing.T, name string, more ...string) []string {
	t.Helper()
	c := sharedEtcd(t)
	return onceOf(c, strings.TrimPrefix(c.Endpoints()[0], "https://"), name, more...)
}

func onceOf(c *etcdtest.Cluster, endpoint, name string, more ...string) []string {
	a := c.PKI
	return append([]string{
		"save", "--cacert", a.CACert, "--cert", a.Client.Cert, "--key", a.Client.Key, "--name", name, "--endpoints=" + endpoint, "--once",
	}, more...)
}

// bucket is a bucket of the MinIO, with RKE's flags for it.
type bucket struct {
	t      *testing.T
	client *minio.Client
	target s3test.Target
	name   string
}

func newBucket(t *testing.T, o s3test.BucketOptions) *bucket {
	t.Helper()
	s := sharedMinIO(t)
	b := &bucket{t: t, client: s3test.Dial(t, s.Target), target: s.Target, name: s3test.Bucket(t, s.Target, o)}
	t.Setenv("S3_ACCESS_KEY", base64.StdEncoding.EncodeToString([]byte(s.AccessKey)))
	t.Setenv("S3_SECRET_KEY", base64.StdEncoding.EncodeToString([]byte(s.SecretKey)))
	return b
}

// flags are RKE's, after which others take precedence.
func (b *bucket) flags(more ...string) []string {
	b.t.Helper()
	ca, err := os.ReadFile(b.target.CAFile)
	must(b.t, err)
	return append([]string{
		"--s3-backup=true", "--s3-endpoint=" + b.target.Endpoint(), "--s3-bucketName=" + b.name, "--s3-region=",
		"--s3-endpoint-ca=" + base64.StdEncoding.EncodeToString(ca),
	}, more...)
}

func (b *bucket) put(key, content string) {
	b.t.Helper()
	_, err := b.client.PutObject(b.t.Context(), b.name, key, strings.NewReader(content), int64(len(content)), minio.PutObjectOptions{})
	must(b.t, err)
}

func (b *bucket) get(key string) string {
	b.t.Helper()
	o, err := b.client.GetObject(b.t.Context(), b.name, key, minio.GetObjectOptions{})
	must(b.t, err)
	defer o.Close()
	var content bytes.Buffer
	_, err = content.ReadFrom(o)
	must(b.t, err)
	return content.String()
}

func (b *bucket) keys() []string {
	b.t.Helper()
	var keys []string
	for o := range b.client.ListObjects(b.t.Context(), b.name, minio.ListObjectsOptions{Recursive: true}) {
		must(b.t, o.Err)
		keys = append(keys, o.Key)
	}
	return keys
}

func (b *bucket) hasKeys(want ...string) {
	b.t.Helper()
	if got := b.keys(); !slices.Equal(got, want) {
		b.t.Errorf("the bucket has %q, not %q", got, want)
	}
}

func sorted(names []string) []string {
	slices.Sort(names)
	return names
}
