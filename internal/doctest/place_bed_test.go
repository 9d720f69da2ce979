package doctest

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/internal/etcdtest"
	"etcd-rolling-backup/internal/proctest"
	"etcd-rolling-backup/snapshot"
)

// place is a machine as the documents know it: etcd and MinIO on their ports, certificates, directories, programs.
type place struct {
	root     string            // a copy of the paths that the documents name
	replace  *strings.Replacer // from the documents to here
	restore  *strings.Replacer // and back
	endpoint string            // of etcd
	minio    string            // where MinIO is to listen
	listen   string            // where the daemon is to
	path     string
	dir      string
	repo     string
	before   string   // shell that goes before every block
	env      []string // further variables, last and so with precedence
}

// noSettings is a configuration file without any.
const noSettings = "# nothing yet\n"

func newPlace(t *testing.T) *place {
	t.Helper()
	repo, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	ports, err := proctest.ReservePorts(2)
	if err != nil {
		t.Fatal(err)
	}
	p := &place{root: t.TempDir(), repo: repo, minio: ports[0], listen: ports[1]}
	bin := filepath.Join(p.root, "usr/local/bin")
	p.dir = filepath.Join(p.root, "var/lib/etcd-rolling-backup")
	for _, dir := range []string{bin, filepath.Join(p.root, "var/tmp")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	// The settings of that machine, in the file that the program would read there and in one of the unit.
	for file, text := range map[string]string{config.DefaultFile: noSettings, "/etc/etcd-rolling-backup/env": "ETCD_BACKUP_KEEP_LAST=24\n"} {
		if err := os.MkdirAll(filepath.Dir(p.root+file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p.root+file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	build := exec.CommandContext(t.Context(), "go", "build", "-o", filepath.Join(bin, "etcd-rolling-backup"), ".")
	build.Dir = repo
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	p.path = bin
	for _, name := range []string{"etcd-" + etcdtest.Default + "/etcdutl", "minio", "mc"} {
		program, err := proctest.Program(name)
		if err != nil {
			t.Fatal(err)
		}
		p.path += ":" + filepath.Dir(program)
	}
	p.path += ":" + os.Getenv("PATH")
	return p
}

// serve makes the documents' endpoint and kubeadm's certificates those of a cluster. Each cluster has a directory of its own.
func (p *place) serve(c *etcdtest.Cluster) {
	lib := p.root + "/var/lib/"
	if c.PKI != nil {
		lib = p.root + "/secure/var/lib/"
	}
	p.dir = lib + "etcd-rolling-backup"
	p.endpoint = strings.TrimPrefix(strings.TrimPrefix(c.Endpoints()[0], "http://"), "https://")
	pairs := []string{"127.0.0.1:2379", p.endpoint, "127.0.0.1:9000", p.minio, "127.0.0.1:9979", p.listen, "~/.mc/", p.root + "/root/.mc/"}
	for _, dir := range []string{"/etc/etcd-rolling-backup", "/etc/minio", "/srv/minio", "/usr/local/bin/", "/var/tmp/"} {
		pairs = append(pairs, dir, p.root+dir)
	}
	pairs = append(pairs, "/usr/bin/", p.root+"/usr/local/bin/", "/var/lib/", lib)
	if c.PKI != nil {
		pairs = append(pairs, "/etc/kubernetes/pki/etcd/ca.crt", c.PKI.CACert,
			"/etc/kubernetes/pki/etcd/healthcheck-client.crt", c.PKI.Client.Cert,
			"/etc/kubernetes/pki/etcd/healthcheck-client.key", c.PKI.Client.Key)
	}
	p.replace = strings.NewReplacer(pairs...)
	var back []string
	for i := 0; i < len(pairs); i += 2 {
		back = append(back, pairs[i+1], pairs[i])
	}
	p.restore = strings.NewReplacer(back...)
}

// command is a block as a child process. The program's defaults are moved by its own environment variables.
func (p *place) command(ctx context.Context, text string) *exec.Cmd {
	settings := p.root + config.DefaultFile
	if _, err := os.Stat(settings); err != nil { // a machine without one
		settings = "/dev/null"
	}
	cmd := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", p.before+p.replace.Replace(text))
	cmd.Dir = p.repo
	cmd.Env = append(proctest.Environ("AWS_", "ETCDCTL_", "MC_", "MINIO_"), "PATH="+p.path, "MC_CONFIG_DIR="+p.root+"/root/.mc",
		"ETCD_BACKUP_CONFIG="+settings, "ETCD_BACKUP_DIR="+p.dir, "ETCD_BACKUP_ENDPOINTS="+p.endpoint, "ETCD_BACKUP_NODE=node-a", "ETCD_BACKUP_MIN_FREE=1MiB",
		"ETCD_BACKUP_LISTEN="+p.listen, "ETCD_BACKUP_DRILL_SCHEDULE=off")
	cmd.Env = append(cmd.Env, p.env...)
	// A group of its own: the signal that ends a block reaches the program and not only the shell.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd
}

// hasSnapshot tells whether there is a rolling snapshot.
func (p *place) hasSnapshot(t *testing.T) bool {
	t.Helper()
	l, err := snapshot.NewDir(p.dir).List()
	if err != nil && !errors.Is(err, snapshot.ErrUnusableDir) {
		t.Fatal(err)
	}
	return len(l.Snapshots) > 0
}
