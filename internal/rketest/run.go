package rketest

import (
	"bytes"
	"context"
	"crypto/rand"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// Process is a container that runs or has run.
type Process struct {
	container Container
	engine    Engine
	cmd       *exec.Cmd
	done      <-chan struct{}
	output    output
}

// output is stdout and stderr in their order, as `docker logs` shows them.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

// Output is what the container has written so far.
func (p *Process) Output() string {
	p.output.mu.Lock()
	defer p.output.mu.Unlock()
	return p.output.text.String()
}

// LastLine is what RKE reads of it.
func (p *Process) LastLine() string {
	lines := strings.Split(strings.TrimRight(p.Output(), "\n"), "\n")
	return lines[len(lines)-1]
}

// Running says whether it still runs.
func (p *Process) Running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// Wait waits for the end and returns the exit status.
func (p *Process) Wait(t testing.TB) int {
	t.Helper()
	limit := time.NewTimer(Limit)
	defer limit.Stop()
	select {
	case <-p.done:
	case <-limit.C:
		p.Kill(t)
		t.Fatalf("%s still ran after %s:\n%s", p.container.Name, Limit, p.Output())
	}
	return p.cmd.ProcessState.ExitCode()
}

// Stop is `docker stop`; it returns the exit status.
func (p *Process) Stop(t testing.TB) int {
	t.Helper()
	if !p.Running() {
		t.Fatalf("%s has stopped by itself, status %d:\n%s", p.container.Name, p.cmd.ProcessState.ExitCode(), p.Output())
	}
	must(t, p.engine.Stop(p.container, p.cmd))
	return p.Wait(t)
}

// Kill is `docker rm -f`, as RKE ends every container.
func (p *Process) Kill(t testing.TB) {
	t.Helper()
	if !p.Running() {
		return
	}
	if err := p.engine.Kill(p.container, p.cmd); err != nil && p.Running() {
		t.Errorf("kill %s: %v", p.container.Name, err)
		return
	}
	<-p.done
}

// Start starts one of RKE's calls in its container on the node.
func (n *Node) Start(t testing.TB, call Call) *Process {
	t.Helper()
	mounts := map[string]string{"/backup": n.Snapshots(""), "/tmp": n.Path("/tmp")}
	if call.Kubernetes {
		mounts["/etc/kubernetes"] = n.Path("/etc/kubernetes")
	}
	if kubectl := filepath.Join(n.Dir, "kubectl"); exists(kubectl) {
		mounts[Kubectl] = kubectl
	}
	return n.start(t, Container{Name: call.Container, Args: call.Args, Env: call.Env, Mounts: mounts})
}

// Run is Start and Wait, and demands the exit status.
func (n *Node) Run(t testing.TB, status int, call Call) *Process {
	t.Helper()
	p := n.Start(t, call)
	if got := p.Wait(t); got != status {
		t.Errorf("%s on %s: %s\nexit status %d, want %d:\n%s", call.Container, n.Hostname, strings.Join(call.Args, " "), got, status, p.Output())
	}
	return p
}

// Sh runs a shell's script in a container of the image with the mounts of RKE's helpers, and returns what it has written. It must succeed.
func (n *Node) Sh(t testing.TB, name, script string) string {
	t.Helper()
	p := n.start(t, Container{Name: name, Args: []string{"sh", "-c", script}, Env: []string{"ETCDCTL_API=3"}, Mounts: map[string]string{
		"/opt/rke": n.Path("/opt/rke"), "/var/lib/rancher/etcd": n.Path("/var/lib/etcd"), "/etc/kubernetes": n.Path("/etc/kubernetes"),
	}})
	if status := p.Wait(t); status != 0 {
		t.Fatalf("%s on %s: %s\nexit status %d:\n%s", name, n.Hostname, script, status, p.Output())
	}
	return p.Output()
}

// Checksum is what RKE compares between the nodes: empty if there is no such file.
func (n *Node) Checksum(t testing.TB, name string) string {
	t.Helper()
	file := "'/opt/rke/etcd-snapshots/" + name + "'"
	return n.Sh(t, "etcd-checksum-checker", "if [ -f "+file+" ]; then md5sum "+file+" | cut -f1 -d' ' | tr -d '\\n'; fi")
}

// Restore builds etcd's data directory from the unpacked snapshot, as RKE calls etcdctl.
func (n *Node) Restore(t testing.TB, name string) {
	t.Helper()
	const restored, data = "/opt/rke/etcd-snapshots-restore/", "/var/lib/rancher/etcd/"
	n.Sh(t, "etcd-restore", strings.Join([]string{
		"rm -rf", restored, "&& /usr/local/bin/etcdctl", "--endpoints=[" + n.IP + ":2379]",
		"--cacert", CA, "--cert", "/etc/kubernetes/ssl/" + etcdName(n.IP) + ".pem", "--key", "/etc/kubernetes/ssl/" + etcdName(n.IP) + "-key.pem",
		"snapshot restore", "/opt/rke/etcd-snapshots/" + name, "--data-dir=" + restored, "--name=etcd-" + n.Hostname,
		"--initial-cluster=" + n.cluster.InitialCluster(), "--initial-cluster-token=etcd-cluster-1",
		"--initial-advertise-peer-urls=https://" + n.IP + ":2380", "&& mv", restored + "*", data, "&& rm -rf", restored,
	}, " "))
}

func (n *Node) start(t testing.TB, c Container) *Process {
	t.Helper()
	if n.cluster.program != "" {
		c.Mounts[Program] = n.cluster.program
		c.Mounts["/usr/local/bin/etcdctl"] = n.cluster.etcdctl
	}
	c.Name += "-" + n.Hostname + "-" + rand.Text()[:6]
	p := &Process{container: c, engine: n.cluster.engine}
	p.cmd = p.engine.Command(context.WithoutCancel(t.Context()), c) // the test's context ends before its cleanup
	p.cmd.Stdout, p.cmd.Stderr = &p.output, &p.output
	var err error
	p.done, err = start(p.cmd)
	must(t, err)
	t.Cleanup(func() { p.Kill(t) })
	return p
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
