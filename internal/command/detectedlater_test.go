package command

import (
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"etcd-rolling-backup/internal/etcdtest"
	"etcd-rolling-backup/internal/proctest"
)

// running is a daemon of this process, on the machine whose files are below root.
type running struct {
	mu   sync.Mutex
	text strings.Builder
	base string // URL of its server
}

func (r *running) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.Write(p)
}

func (r *running) log() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.String()
}

// runDaemonOn starts one that takes a snapshot each second, and has no setting for etcd. It stops with the test.
func runDaemonOn(t *testing.T, root string) *running {
	t.Helper()
	free, err := proctest.ReservePorts(1)
	must(t, err)
	r := &running{base: "http://" + free[0]}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan int)
	dir := filepath.Join(t.TempDir(), "d")
	go func() {
		done <- Main(ctx, Process{Version: "1.2.3-test", Root: root, Hangups: make(chan os.Signal), Stdout: r, Stderr: r}, []string{
			program, "daemon", "--dir", dir, "--node", "n1", "--schedule", "@every 1s", "--listen", free[0], "--drill-schedule", "off", "--min-free", "0",
		})
	}()
	t.Cleanup(func() {
		cancel()
		if status := <-done; status != exitDone {
			t.Errorf("status %d", status)
		}
		if t.Failed() {
			t.Log(r.log())
		}
	})
	return r
}

// says waits for a line of the log.
func (r *running) says(t *testing.T, line string) {
	t.Helper()
	want := regexp.MustCompile(line)
	r.waits(t, "the log says "+line, func() bool { return want.MatchString(r.log()) })
}

func (r *running) waits(t *testing.T, what string, until func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	if err := proctest.Poll(ctx, 20*time.Millisecond, func() (bool, error) { return until(), nil }); err != nil {
		t.Fatalf("in vain waited until %s", what)
	}
}

// ready waits until /readyz gives this status and text.
func (r *running) ready(t *testing.T, status int, text string) {
	t.Helper()
	r.waits(t, "/readyz says "+text, func() bool {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.base+"/readyz", http.NoBody)
		must(t, err)
		response, err := (&http.Client{}).Do(request)
		if err != nil { // it does not listen yet
			return false
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		must(t, err)
		return response.StatusCode == status && strings.Contains(string(body), text)
	})
}

// The daemon was enabled before kubeadm init: it looks again before each run, says what is missing until then, and once what it found.
func TestEtcdInstalledAfterTheStartIsDetected(t *testing.T) {
	etcd := etcdtest.Run(t, etcdtest.Options{UnsafeNoFsync: true, TLS: true})
	root := t.TempDir()
	r := runDaemonOn(t, root)
	r.ready(t, http.StatusServiceUnavailable, "no etcd of kubeadm, k3s, RKE2 or systemd was found on this node: set --endpoints")
	r.says(t, `(?m)^.*msg="snapshot failed".*no etcd of kubeadm, k3s, RKE2 or systemd was found on this node`)
	endpoint := "https://" + etcd.Members[0].Endpoint
	installEtcd(t, root, endpoint, etcd.PKI)
	r.says(t, `msg="snapshot saved"`)
	r.ready(t, http.StatusOK, "")
	found := regexp.MustCompile(`(?m)^.*etcd detected on this node.*$`).FindAllString(r.log(), -1)
	if len(found) != 1 || !strings.Contains(found[0], `endpoint="`+endpoint+`"`) || !strings.Contains(found[0], "kind=kubeadm") {
		t.Errorf("want one line with the etcd that was found: %q", found)
	}
}

// Of two etcds that appear later, none is used until one is gone.
func TestTwoEtcdsInstalledAfterTheStartAreNotGuessed(t *testing.T) {
	etcd := etcdtest.Run(t, etcdtest.Options{UnsafeNoFsync: true, TLS: true})
	root := t.TempDir()
	nodeFile(t, root, "/etc/default/etcd", "# nothing yet\n")
	r := runDaemonOn(t, root)
	r.says(t, "no etcd of kubeadm")
	nodeFile(t, root, "/etc/default/etcd", "ETCD_LISTEN_CLIENT_URLS=http://127.0.0.1:1\n")
	r.says(t, "etcd detected on this node.* kind=systemd") // and it does not answer
	installEtcd(t, root, "https://"+etcd.Members[0].Endpoint, etcd.PKI)
	r.ready(t, http.StatusServiceUnavailable, "several etcds on this node: kubeadm (")
	if strings.Contains(r.log(), "snapshot saved") || strings.Contains(r.log(), "kind=kubeadm") {
		t.Error("one of two was used")
	}
	must(t, os.Remove(filepath.Join(root, "etc/default/etcd")))
	r.says(t, "etcd detected on this node.* kind=kubeadm")
	r.says(t, `msg="snapshot saved"`)
	// What works is used as long as it works.
	nodeFile(t, root, "/etc/default/etcd", "ETCD_LISTEN_CLIENT_URLS=http://127.0.0.1:1\n")
	before := strings.Count(r.log(), "snapshot saved")
	r.waits(t, "two more snapshots were saved", func() bool { return strings.Count(r.log(), "snapshot saved") > before+1 })
}

// An etcd whose files change, such as its port, is found again once it no longer answers.
func TestEtcdThatMovedIsDetectedAgain(t *testing.T) {
	etcd := etcdtest.Run(t, etcdtest.Options{UnsafeNoFsync: true, TLS: true})
	root := controlPlane(t, "https://127.0.0.1:1", etcd.PKI)
	r := runDaemonOn(t, root)
	r.says(t, `msg="snapshot failed"`)
	installEtcd(t, root, "https://"+etcd.Members[0].Endpoint, etcd.PKI)
	r.says(t, `msg="snapshot saved"`)
	if n := strings.Count(r.log(), "etcd detected on this node"); n != 2 {
		t.Errorf("%d lines about what was found, want one for each", n)
	}
}
