package kubernetes_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"etcd-rolling-backup/internal/etcdtest"
	"etcd-rolling-backup/internal/proctest"
	"etcd-rolling-backup/snapshot"
)

const (
	nodeName = "node-a"
	pki      = "/etc/kubernetes/pki/etcd/"
	settings = "/etc/etcd-rolling-backup/"
	program  = "/usr/local/bin/etcd-rolling-backup" // in the image
	store    = "/var/lib/etcd-rolling-backup"

	waitLimit = time.Minute
)

// node is a control plane node of kubeadm: an etcd, and the node's files below a directory.
type node struct {
	root    string
	program string // in the image
	etcd    *etcdtest.Cluster
	listen  string // where the daemon listens instead of at its default
}

func newNode(t *testing.T, built string) *node {
	t.Helper()
	ports, err := proctest.ReservePorts(1)
	must(t, err)
	n := &node{root: t.TempDir(), program: built, etcd: etcdtest.Run(t, etcdtest.Options{TLS: true, UnsafeNoFsync: true}), listen: ports[0]}
	own := n.etcd.PKI
	client, err := own.IssueClient("kube-etcd-healthcheck-client", time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
	must(t, err)
	n.write(t, pki+"ca.crt", read(t, own.CACert), 0o644)
	n.write(t, pki+"ca.key", read(t, own.Dir, "ca.key"), 0o600)
	n.write(t, pki+"healthcheck-client.crt", read(t, client.Cert), 0o644)
	n.write(t, pki+"healthcheck-client.key", read(t, client.Key), 0o600)
	_, err = etcdtest.Dial(t, n.etcd).Put(t.Context(), "/registry/minions/"+nodeName, "before")
	must(t, err)
	return n
}

func (n *node) write(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(n.root+path), 0o755))
	must(t, os.WriteFile(n.root+path, []byte(text), mode))
}

// mounted is what a kubelet mounts for a volume.
func (n *node) mounted(t *testing.T, v volume, secrets map[string]map[string]string) string {
	t.Helper()
	if v.HostPath != nil {
		path := n.root + v.HostPath.Path
		if v.HostPath.Type == "DirectoryOrCreate" {
			must(t, os.MkdirAll(path, 0o755))
		}
		info, err := os.Stat(path)
		must(t, err)
		if want := map[string]bool{"Directory": true, "DirectoryOrCreate": true, "File": false}; info.IsDir() != want[v.HostPath.Type] {
			t.Fatalf("%s is no %s", v.HostPath.Path, v.HostPath.Type)
		}
		return path
	}
	if v.Secret == nil || secrets[v.Secret.SecretName] == nil {
		t.Fatalf("the bed has no volume %+v", v)
	}
	// A Secret's files are links to links, so that all of them change in one step.
	dir := t.TempDir()
	must(t, os.Mkdir(filepath.Join(dir, "..1"), 0o755))
	must(t, os.Symlink("..1", filepath.Join(dir, "..data")))
	for name, text := range secrets[v.Secret.SecretName] {
		must(t, os.WriteFile(filepath.Join(dir, "..1", name), []byte(text), v.Secret.DefaultMode))
		must(t, os.Symlink(filepath.Join("..data", name), filepath.Join(dir, name)))
	}
	return dir
}

// run starts a manifest's container on the node, and stops it at the end of the test.
func (n *node) run(t *testing.T, objects []object, secrets map[string]map[string]string, overrides ...string) *proctest.Server {
	t.Helper()
	s := n.container(t, objects, secrets, overrides...)
	must(t, s.Restart(t.Context()))
	return s
}

// container is a manifest's, not yet started. Only addresses are others than in the manifest.
func (n *node) container(t *testing.T, objects []object, secrets map[string]map[string]string, overrides ...string) *proctest.Server {
	t.Helper()
	spec, env := pod(t, objects)
	c := spec.Containers[0]
	rights := c.SecurityContext
	if !spec.HostNetwork || !slices.Equal(rights.Capabilities.Drop, []string{"ALL"}) || rights.AllowPrivilegeEscalation == nil ||
		*rights.AllowPrivilegeEscalation {
		t.Fatalf("the bed does not do this: %+v", rights)
	}
	image := t.TempDir()
	must(t, os.MkdirAll(filepath.Dir(image+program), 0o755))
	must(t, os.Link(n.program, image+program))
	made := container{
		Root: image, ReadOnlyRoot: rights.ReadOnlyRootFilesystem, HostName: nodeName, UID: *rights.RunAsUser, GID: *rights.RunAsGroup,
		Capabilities: rights.Capabilities.Add, Args: append([]string{program}, c.Args...),
	}
	volumes := map[string]string{}
	for _, v := range spec.Volumes {
		volumes[v.Name] = n.mounted(t, v, secrets)
	}
	for _, m := range c.VolumeMounts {
		made.Mounts = append(made.Mounts, mount{volumes[m.Name], m.MountPath, m.ReadOnly})
	}
	overrides = append(overrides, "ETCD_BACKUP_ENDPOINTS="+n.etcd.Members[0].Endpoint, "ETCD_BACKUP_LISTEN="+n.listen, "ETCD_BACKUP_MIN_FREE=1MiB")
	env["ETCD_BACKUP_DIR"] = "/backup" // an image may have defaults of its own
	for _, o := range overrides {
		name, value, _ := strings.Cut(o, "=")
		env[name] = value
	}
	for name, value := range env {
		made.Env = append(made.Env, name+"="+value)
	}
	return n.server(t, made)
}

func (n *node) server(t *testing.T, c container) *proctest.Server {
	t.Helper()
	text, err := json.Marshal(c)
	must(t, err)
	self, err := os.Executable()
	must(t, err)
	s := &proctest.Server{
		Name: "container", Program: self, Env: []string{containerEnv + "=" + string(text)}, LogPath: filepath.Join(t.TempDir(), "log"),
		Probe: func(ctx context.Context) error { _, err := n.get(ctx, "/healthz"); return err },
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("log of the container:\n%s", s.Tail(0))
		}
		must(t, s.Kill())
	})
	return s
}

// get is a probe of the kubelet: any status from 400 is a failure.
func (n *node) get(ctx context.Context, path string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+n.listen+path, nil)
	if err != nil {
		return "", err
	}
	response, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode >= http.StatusBadRequest {
		err = fmt.Errorf("%s: %s %s", path, response.Status, text)
	}
	return string(text), err
}

// succeeded waits until the daemon has had a success of a kind: snapshot, mirror or drill.
func (n *node) succeeded(t *testing.T, kind string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), waitLimit)
	defer cancel()
	err := proctest.Poll(ctx, 50*time.Millisecond, func() (bool, error) {
		page, err := n.get(ctx, "/metrics")
		_, after, found := strings.Cut(page, `etcd_rolling_backup_last_success_timestamp_seconds{kind="`+kind+`"} `)
		value, _, _ := strings.Cut(after, "\n")
		number, _ := strconv.ParseFloat(value, 64)
		return found && number > 0, err
	})
	if err != nil {
		t.Fatalf("wait for a %s: %v", kind, err)
	}
}

// says waits until the container's log has a text.
func says(t *testing.T, s *proctest.Server, text string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), waitLimit)
	defer cancel()
	err := proctest.Poll(ctx, 50*time.Millisecond, func() (bool, error) { return strings.Contains(string(s.Tail(0)), text), nil })
	if err != nil {
		t.Fatalf("wait for %q: %v", text, err)
	}
}

// snapshots are those on the node's disk.
func (n *node) snapshots(t *testing.T) []snapshot.Entry {
	t.Helper()
	l, err := snapshot.NewDir(n.root + store).List()
	must(t, err)
	return l.Snapshots
}

// build makes the program as an image has it: static.
func build(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "etcd-rolling-backup")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", path, "etcd-rolling-backup")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return path
}
