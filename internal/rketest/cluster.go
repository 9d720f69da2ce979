package rketest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"etcd-rolling-backup/internal/etcdtest"
	"etcd-rolling-backup/internal/proctest"
)

// Version is the release line of RKE's last etcd, and of the etcdctl that the image needs.
const Version = "3.5"

// Cluster is the etcd plane of a cluster that RKE has made.
type Cluster struct {
	Nodes []*Node

	engine  Engine
	program string // ours; empty if the engine's image has it
	etcdctl string
}

// Node is a machine of it, at its own address of the loopback device.
type Node struct {
	IP       string
	Hostname string
	Dir      string // its root: /opt/rke, /etc/kubernetes, /var/lib/etcd, and /tmp of its containers

	cluster *Cluster
	etcd    *proctest.Server
}

// NewCluster makes the nodes, whose etcd servers are not running. The containers run in the engine; if a program is given, it is mounted
// over the one in the image.
func NewCluster(t testing.TB, nodes int, engine Engine, program string) *Cluster {
	t.Helper()
	etcdctl, err := etcdtest.Program(Version, "etcdctl")
	must(t, err)
	ca, err := NewAuthority()
	must(t, err)
	c := &Cluster{engine: engine, program: program, etcdctl: etcdctl}
	dir := t.TempDir()
	for i := range nodes {
		n := &Node{IP: fmt.Sprintf("127.0.0.%d", i+1), Hostname: fmt.Sprintf("host-%d", i+1), cluster: c}
		n.Dir = filepath.Join(dir, n.Hostname)
		for _, sub := range []string{"opt/rke/etcd-snapshots", "etc/kubernetes/ssl", "var/lib/etcd", "tmp"} {
			must(t, os.MkdirAll(filepath.Join(n.Dir, sub), 0o700))
		}
		must(t, ca.Install(n.ssl(), n.IP))
		must(t, os.WriteFile(n.Path("/etc/kubernetes/ssl/kubecfg-kube-node.yaml"), []byte("apiVersion: v1\nkind: Config\n"), 0o600))
		c.Nodes = append(c.Nodes, n)
		t.Cleanup(func() {
			if n.etcd != nil && t.Failed() {
				t.Logf("end of the log of etcd on %s:\n%s", n.Hostname, n.etcd.Tail(0))
			}
			must(t, n.StopEtcd())
		})
	}
	return c
}

// StartEtcd starts etcd on every node, as RKE's containers run it, and returns once all are healthy.
func (c *Cluster) StartEtcd(t testing.TB) {
	t.Helper()
	var group sync.WaitGroup
	for _, n := range c.Nodes {
		group.Go(func() {
			if err := n.startEtcd(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if t.Failed() {
		t.FailNow()
	}
}

// StopEtcd stops it everywhere, as RKE does before it restores.
func (c *Cluster) StopEtcd(t testing.TB) {
	t.Helper()
	for _, n := range c.Nodes {
		must(t, n.StopEtcd())
	}
}

// Client is one of the whole cluster.
func (c *Cluster) Client(t testing.TB) *clientv3.Client {
	t.Helper()
	tls, err := client(c.Nodes[0].ssl())
	must(t, err)
	config := clientv3.Config{TLS: tls, DialTimeout: Limit, Context: t.Context(), Logger: zap.NewNop()}
	for _, n := range c.Nodes {
		config.Endpoints = append(config.Endpoints, "https://"+n.IP+":2379")
	}
	cl, err := clientv3.New(config)
	must(t, err)
	t.Cleanup(func() { _ = cl.Close() }) // it says that the test's context has ended
	return cl
}

// InitialCluster is the value of etcd's flag.
func (c *Cluster) InitialCluster() string {
	var members []string
	for _, n := range c.Nodes {
		members = append(members, "etcd-"+n.Hostname+"=https://"+n.IP+":2380")
	}
	return strings.Join(members, ",")
}

// Path is where a path of the node is for the test.
func (n *Node) Path(path string) string { return filepath.Join(n.Dir, path) }

// Snapshots is the directory that is /backup in the containers, or a file in it.
func (n *Node) Snapshots(name string) string { return n.Path("/opt/rke/etcd-snapshots/" + name) }

func (n *Node) ssl() string { return n.Path("/etc/kubernetes/ssl") }

// StopEtcd kills the etcd of one node.
func (n *Node) StopEtcd() error {
	if n.etcd == nil {
		return nil
	}
	return n.etcd.Kill()
}

func (n *Node) startEtcd(ctx context.Context) error {
	program, err := etcdtest.Program(Version, "etcd")
	if err != nil {
		return err
	}
	cert := filepath.Join(n.ssl(), etcdName(n.IP))
	n.etcd = &proctest.Server{
		Name:    "etcd-" + n.Hostname,
		Program: program,
		Env:     proctest.Environ("ETCD_", "ETCDCTL_"),
		LogPath: filepath.Join(n.Dir, "etcd.log"),
		Probe:   n.healthy,
		Args: []string{
			"--name=etcd-" + n.Hostname, "--data-dir=" + n.Path("/var/lib/etcd"), "--unsafe-no-fsync",
			"--listen-client-urls=https://" + n.IP + ":2379", "--advertise-client-urls=https://" + n.IP + ":2379",
			"--listen-peer-urls=https://" + n.IP + ":2380", "--initial-advertise-peer-urls=https://" + n.IP + ":2380",
			"--initial-cluster=" + n.cluster.InitialCluster(), "--initial-cluster-state=new", "--initial-cluster-token=etcd-cluster-1",
			"--client-cert-auth", "--trusted-ca-file=" + filepath.Join(n.ssl(), "kube-ca.pem"),
			"--cert-file=" + cert + ".pem", "--key-file=" + cert + "-key.pem",
			"--peer-client-cert-auth", "--peer-trusted-ca-file=" + filepath.Join(n.ssl(), "kube-ca.pem"),
			"--peer-cert-file=" + cert + ".pem", "--peer-key-file=" + cert + "-key.pem",
		},
	}
	return n.etcd.Run(ctx)
}

// healthy makes one linearizable read.
func (n *Node) healthy(ctx context.Context) error {
	tls, err := client(n.ssl())
	if err != nil {
		return err
	}
	cl, err := clientv3.New(clientv3.Config{Endpoints: []string{"https://" + n.IP + ":2379"}, TLS: tls, Context: ctx, Logger: zap.NewNop()})
	if err != nil {
		return err
	}
	defer cl.Close()
	_, err = cl.Get(ctx, "health")
	return err
}

// GiveKubectl puts a kubectl into the containers of a node that answers RKE's question for the state file with this one, and no other.
func (n *Node) GiveKubectl(t testing.TB, state []byte) {
	t.Helper()
	const question = "--request-timeout=30s --kubeconfig /etc/kubernetes/ssl/kubecfg-kube-node.yaml " +
		"-n kube-system get secret full-cluster-state -o json"
	script := "#!/bin/sh\n[ \"$*\" = '" + question + "' ] || { echo \"Error from server (NotFound): $*\" >&2; exit 1; }\n" +
		"cat <<'END'\n" + string(secret(t, state)) + "\nEND\n"
	must(t, os.WriteFile(filepath.Join(n.Dir, "kubectl"), []byte(script), 0o700))
}

// Wipe removes the files in a directory of the node.
func (n *Node) Wipe(t testing.TB, dir string) {
	t.Helper()
	entries, err := os.ReadDir(n.Path(dir))
	must(t, err)
	for _, e := range entries {
		must(t, os.RemoveAll(filepath.Join(n.Path(dir), e.Name())))
	}
}

// Files are the names in the directory of snapshots, sorted, without those that our program has for itself.
func (n *Node) Files(t testing.TB) []string {
	t.Helper()
	entries, err := os.ReadDir(n.Snapshots(""))
	must(t, err)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return slices.DeleteFunc(names, func(name string) bool { return name == ".lock" || strings.HasPrefix(name, ".status") })
}

// eventually waits until the condition holds.
func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), Limit)
	defer cancel()
	if err := proctest.Poll(ctx, 20*time.Millisecond, func() (bool, error) { return condition(), nil }); err != nil {
		t.Fatalf("waited in vain until %s", what)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
