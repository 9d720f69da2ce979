package rketools_test

import (
	"bytes"
	"context"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"etcd-rolling-backup/internal/etcdtest"
	"etcd-rolling-backup/internal/rketools"
	"etcd-rolling-backup/snapshot"
)

// waitLimit bounds every wait; a busy machine needs some of it.
const waitLimit = 60 * time.Second

// rolling is RKE's call of the rolling mode, which runs in this process.
type rolling struct {
	t    *testing.T
	h    *host
	out  output
	stop context.CancelFunc
	done chan int // its exit status
}

// output may be read while it is written.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// rolls starts the rolling mode for a member, and returns once it has read the environment. It ends with the test at the latest.
func (h *host) rolls(m *etcdtest.Member, pki *etcdtest.Authority, more ...string) *rolling {
	h.t.Helper()
	ctx, stop := context.WithCancel(h.t.Context())
	r := &rolling{t: h.t, h: h, stop: stop, done: make(chan int, 1)}
	h.t.Setenv(rketools.RootVariable, h.root)
	args := append([]string{
		"rke-etcd-backup", "etcd-backup", "save", "--cacert", pki.CACert, "--cert", pki.Client.Cert, "--key", pki.Client.Key,
		"--name", "etcd-rolling-snapshots", "--endpoints=" + strings.TrimPrefix(m.Endpoint, "https://"),
	}, more...)
	go func() { r.done <- rketools.Main(ctx, "test", args, &r.out, &r.out) }()
	h.t.Cleanup(func() {
		stop()
		<-r.done
		if h.t.Failed() {
			h.t.Logf("rolling:\n%s", r.out.String())
		}
	})
	eventually(r.t, "it was started", func() bool { return regexp.MustCompile(`msg="?started`).MatchString(r.out.String()) })
	return r
}

// ends stops it as a signal does, and demands the exit status 0.
func (r *rolling) ends() {
	r.t.Helper()
	r.stop()
	select {
	case status := <-r.done:
		r.done <- status
		if status != 0 {
			r.t.Errorf("exit status %d:\n%s", status, r.out.String())
		}
	case <-time.After(waitLimit):
		r.t.Fatal("it does not end")
	}
}

func (r *rolling) says(text string) {
	r.t.Helper()
	eventually(r.t, "the log said "+text+":\n"+r.out.String(), func() bool { return strings.Contains(r.out.String(), text) })
}

func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), waitLimit)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-ctx.Done():
			t.Fatalf("in vain waited until %s", what)
		case <-tick.C:
		}
	}
}

// zips are the names of the rolling zips in /backup.
func (h *host) zips() []string {
	h.t.Helper()
	found, err := filepath.Glob(h.path("backup/*_etcd.zip"))
	must(h.t, err)
	for i, f := range found {
		found[i] = filepath.Base(f)
	}
	return found
}

func (h *host) partials() []string {
	h.t.Helper()
	found, err := filepath.Glob(h.path("backup/.*.part"))
	must(h.t, err)
	return found
}

// saved waits for so many rolling zips and returns their names.
func (h *host) saved(count int) []string {
	h.t.Helper()
	eventually(h.t, "snapshots were saved", func() bool { return len(h.zips()) >= count })
	return h.zips()
}

// healthy demands that a zip is intact, by our own manifest.
func (h *host) healthy(name string) snapshot.Manifest {
	h.t.Helper()
	n, err := snapshot.ParseName(name)
	must(h.t, err)
	dir := snapshot.NewDir(h.path("backup"))
	must(h.t, dir.VerifyChecksum(h.t.Context(), n, nil))
	m, err := dir.Manifest(n)
	must(h.t, err)
	return m
}
