package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"html"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"etcd-rolling-backup/internal/etcdtest"
	"etcd-rolling-backup/internal/proctest"
	"etcd-rolling-backup/internal/s3test"
)

const (
	// proofDisk has room for --min-free's default and, beside it, for the drills.
	proofDisk = proofMinFree + 400<<20
	// proofMinFree is --min-free's default.
	proofMinFree = 1 << 30
	// proofFiller takes so much of it that less is left than --min-free.
	proofFiller = 512 << 20
	// proofSchedule has three failures in a row come within seconds.
	proofSchedule = "--schedule=@every 2s"
)

// proofBed is all that the program has around it on a real node, the program itself, and who looks at it.
type proofBed struct {
	*watched    // has no process: daemon is it
	etcd        *etcdtest.Cluster
	s3          *s3test.Proxy      // before
	requests    *s3test.HTTPFaults // which counts, before MinIO
	bucket      *bucket
	mirror      []string // flags of the bucket
	disk, store string   // a file system, and the directory of the snapshots in it
	daemon      *proctest.Server
	prometheus  *prometheus
	browser     context.Context
}

// newProofBed starts all of it; the daemon gets these flags too.
func newProofBed(t *testing.T, more ...string) *proofBed {
	t.Helper()
	b := &proofBed{etcd: small(t, etcdtest.Options{}), disk: t.TempDir()}
	must(t, unix.Mount("tmpfs", b.disk, "tmpfs", 0, fmt.Sprintf("size=%d,mode=700", proofDisk)))
	t.Cleanup(func() { must(t, unix.Unmount(b.disk, unix.MNT_DETACH)) }) // a drill that was cut off may hold it for a moment
	b.store = filepath.Join(b.disk, "store")

	server := plainServer.get(t)
	b.requests = s3test.RunHTTPFaults(t, server.Target)
	b.s3 = s3test.RunProxy(t, b.requests.Target)
	b.bucket = newBucket(t, server.Target, s3test.BucketOptions{})
	b.mirror = append(b.bucket.flags(b.s3.Target), impatient...)

	log := filepath.Join(t.TempDir(), "log")
	var address string
	b.daemon, address = onFreePort(t, func(address string) *proctest.Server {
		return &proctest.Server{
			Name: "daemon", Program: lean, Env: cleanEnv(), LogPath: log,
			Args: words("daemon", flags(b.etcd, b.etcd.Endpoints()[0]), b.mirror, []string{
				"--dir=" + b.store, "--node=" + node, "--listen=" + address,
			}, more),
			Probe: func(context.Context) error {
				_, _, err := ask(&http.Transport{}, "http://"+address+"/healthz", "")
				return err
			},
		}
	})
	b.watched = &watched{base: "http://" + address}
	b.prometheus = newPrometheus(t, address)
	b.browser = newBrowser(t)
	return b
}

// onFreePort starts a server that is told its port, which another process may take first. It is stopped with the test.
func onFreePort(t *testing.T, server func(address string) *proctest.Server) (*proctest.Server, string) {
	t.Helper()
	for {
		ports, err := proctest.ReservePorts(1)
		must(t, err)
		s := server(ports[0])
		if err := s.Run(t.Context()); errors.Is(err, proctest.ErrPortTaken) {
			continue
		} else if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			must(t, s.Stop())
			if t.Failed() {
				t.Logf("end of the log of %s:\n%s", s.Name, s.Tail(0))
			}
		})
		return s, ports[0]
	}
}

// logged is how long the daemon's log is.
func (b *proofBed) logged(t *testing.T) int {
	t.Helper()
	info, err := os.Stat(b.daemon.LogPath)
	must(t, err)
	return int(info.Size())
}

// says waits for words in what the daemon has logged since it had so many bytes.
func (b *proofBed) says(t *testing.T, since int, words string) {
	t.Helper()
	eventually(t, "the daemon's log said "+words, func() bool {
		text, err := os.ReadFile(b.daemon.LogPath)
		must(t, err)
		return strings.Contains(string(text[since:]), words)
	})
}

// ranClean demands that nothing the daemon has written speaks of a crash or a race.
func (b *proofBed) ranClean(t *testing.T) {
	t.Helper()
	text, err := os.ReadFile(b.daemon.LogPath)
	must(t, err)
	for _, w := range []string{"panic", "goroutine ", "DATA RACE"} {
		if strings.Contains(string(text), w) {
			t.Errorf("%q in the daemon's log:\n%s", w, text)
		}
	}
}

// looks waits for the state of the daemon as it tells it: /readyz, the page as it comes, and the page as people see it, where reasons
// begin with a capital letter.
func (b *proofBed) looks(t *testing.T, status int, headline string, tells ...string) {
	t.Helper()
	has := func(text string, words ...string) bool {
		for _, w := range words {
			if !strings.Contains(strings.ToLower(text), strings.ToLower(w)) {
				return false
			}
		}
		return true
	}
	last := ""
	defer func() {
		if t.Failed() {
			t.Logf("what was told last:\n%s", last)
		}
	}()
	eventually(t, fmt.Sprintf("/readyz was %d and told %q", status, tells), func() bool {
		got, body := b.get(t, "/readyz")
		last = body
		return got == status && has(body, tells...)
	})
	eventually(t, fmt.Sprintf("the page said %q and told %q", headline, tells), func() bool {
		_, body := b.get(t, "/")
		last = html.UnescapeString(body)
		return has(last, append(tells, headline)...)
	})
	eventually(t, fmt.Sprintf("the browser showed %q and %q", headline, tells), func() bool {
		last = shown(b.browser, t, b.base+"/")
		return has(last, append(tells, headline)...)
	})
}
