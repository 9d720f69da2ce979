package doctest

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"etcd-rolling-backup/internal/etcdtest"
	"etcd-rolling-backup/snapshot"
)

// place is a machine as the documents know it: etcd on its port, certificates, the snapshots' directory, programs.
type place struct {
	root    string // a copy of the paths that the documents name
	replace *strings.Replacer
	path    string
	dir     string
	repo    string
}

func newPlace(t *testing.T) *place {
	t.Helper()
	repo, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	p := &place{root: t.TempDir(), repo: repo}
	bin := filepath.Join(p.root, "usr/local/bin")
	p.dir = filepath.Join(p.root, "var/lib/etcd-rolling-backup")
	for _, dir := range []string{bin, filepath.Join(p.root, "var/tmp")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	build := exec.CommandContext(t.Context(), "go", "build", "-o", filepath.Join(bin, "etcd-rolling-backup"), ".")
	build.Dir = repo
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	etcdutl, err := etcdtest.Program(etcdtest.Default, "etcdutl")
	if err != nil {
		t.Fatal(err)
	}
	p.path = bin + ":" + filepath.Dir(etcdutl) + ":" + os.Getenv("PATH")
	return p
}

// serve makes the documents' endpoint and kubeadm's certificates those of a cluster.
func (p *place) serve(c *etcdtest.Cluster) {
	endpoint := strings.TrimPrefix(strings.TrimPrefix(c.Endpoints()[0], "http://"), "https://")
	pairs := []string{
		"127.0.0.1:2379", endpoint,
		"/var/lib/", p.root + "/var/lib/", "/var/tmp/", p.root + "/var/tmp/", "/usr/local/bin/", p.root + "/usr/local/bin/",
	}
	if c.PKI != nil {
		pairs = append(pairs, "/etc/kubernetes/pki/etcd/ca.crt", c.PKI.CACert,
			"/etc/kubernetes/pki/etcd/healthcheck-client.crt", c.PKI.Client.Cert,
			"/etc/kubernetes/pki/etcd/healthcheck-client.key", c.PKI.Client.Key)
	}
	p.replace = strings.NewReplacer(pairs...)
}

// command is a block as a child process. The program's defaults are moved by its own environment variables.
func (p *place) command(ctx context.Context, text, endpoint string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", p.replace.Replace(text))
	cmd.Dir = p.repo
	cmd.Env = append(os.Environ(), "PATH="+p.path, "ETCD_BACKUP_DIR="+p.dir, "ETCD_BACKUP_ENDPOINTS="+endpoint,
		"ETCD_BACKUP_NODE=docs", "ETCD_BACKUP_MIN_FREE=1MiB")
	// A group of its own: the signal that ends a block reaches the program and not only the shell.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd
}

// untilSnapshot runs a daemon's block, and ends its process group when there is a rolling snapshot.
func (p *place) untilSnapshot(t *testing.T, text, endpoint string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := os.RemoveAll(p.dir); err != nil {
		t.Fatal(err)
	}
	cmd := p.command(ctx, text, endpoint)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err := <-ended:
			t.Fatalf("ended by itself: %v\n%s", err, out.String())
		case <-tick.C:
		}
		l, err := snapshot.NewDir(p.dir).List()
		if err != nil && !errors.Is(err, snapshot.ErrUnusableDir) {
			t.Fatal(err)
		}
		if len(l.Snapshots) > 0 {
			break
		}
	}
	if err := syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		// bash gives 143 when the group's signal reached it too.
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != 128+int(syscall.SIGTERM) && exit.ExitCode() != -1 {
			t.Fatalf("%v\n%s", err, out.String())
		}
	}
	if !strings.Contains(out.String(), "stopped") {
		t.Fatalf("no word of a clean end:\n%s", out.String())
	}
}
