package doctest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"etcd-rolling-backup/internal/etcdtest"
)

// containers are those of a Kubernetes control plane node: etcd is a real one, the others are names that run or don't.
type containers struct {
	m       *machine
	etcdctl []string // variables that etcd's container has for etcdctl

	mu      sync.Mutex
	running map[string]bool // but for etcd, which tells by itself
}

// kube are the names of the containers, as kubeadm and RKE call them.
func kube() []string { return []string{"kube-apiserver", "kube-controller-manager", "kube-scheduler"} }

// up lists what runs.
func (c *containers) up() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var names []string
	for name, up := range c.running {
		if up {
			names = append(names, name)
		}
	}
	if c.m.etcd.PID() != 0 {
		names = append(names, "etcd")
	}
	slices.Sort(names)
	return names
}

func (c *containers) set(name string, up bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.running[name] = up
}

// kubectl asks an API server that has nothing but what etcd holds.
func (c *containers) kubectl(ctx context.Context, args []string) (string, error) {
	command := strings.Join(args, " ")
	if want := "--kubeconfig " + c.m.has("/etc/kubernetes/admin.conf") + " get nodes"; command != want {
		return "", fmt.Errorf("kubectl %s: want %s", command, want)
	}
	if !slices.Contains(c.up(), "kube-apiserver") {
		return "", errors.New("the connection to the server was refused: did you specify the right host or port?")
	}
	if err := c.m.healthy(ctx); err != nil {
		return "", err
	}
	out, err := c.m.etcdctl(ctx, []string{"etcdctl", "get", "--prefix", "--keys-only", "/registry/minions/"}, c.etcdctl...)
	return "NAME\n" + strings.ReplaceAll(out, "/registry/minions/", ""), err
}

// exec runs etcdctl in etcd's container.
func (c *containers) exec(ctx context.Context, args []string) (string, error) {
	if c.m.etcd.PID() == 0 {
		return "", errors.New("no such container")
	}
	return c.m.etcdctl(ctx, args, c.etcdctl...)
}

// keyFlags are etcd's own flags for its certificates, and etcdctl's variables for those of a client.
func (m *machine) keyFlags(ca, cert, key string) (flags, env []string) {
	ca, cert, key = m.has(ca), m.has(cert), m.has(key)
	flags = []string{
		"--client-cert-auth=true", "--trusted-ca-file=" + ca, "--cert-file=" + cert, "--key-file=" + key,
		"--peer-client-cert-auth=true", "--peer-trusted-ca-file=" + ca, "--peer-cert-file=" + cert, "--peer-key-file=" + key,
	}
	env = []string{
		"ETCDCTL_ENDPOINTS=https://" + m.client, "ETCDCTL_CACERT=" + ca, "ETCDCTL_CERT=" + cert, "ETCDCTL_KEY=" + key,
	}
	return flags, env
}

// member is etcd's command line without certificates.
func (m *machine) member(dataDir, prefix string) []string {
	var initial []string
	for _, at := range m.bed.machines {
		initial = append(initial, prefix+at.name+"=https://"+at.peer)
	}
	return []string{
		"--name=" + prefix + m.name, "--data-dir=" + m.has(dataDir), "--unsafe-no-fsync", "--heartbeat-interval=50", "--election-timeout=300",
		"--listen-client-urls=https://" + m.client, "--advertise-client-urls=https://" + m.client,
		"--listen-peer-urls=https://" + m.peer, "--initial-advertise-peer-urls=https://" + m.peer,
		"--initial-cluster=" + strings.Join(initial, ","), "--initial-cluster-state=new",
	}
}

// staticPod is what a kubelet reads of a manifest.
type staticPod struct {
	Kind string `yaml:"kind"`
	Spec struct {
		Containers []struct {
			Name    string   `yaml:"name"`
			Command []string `yaml:"command"`
		} `yaml:"containers"`
	} `yaml:"spec"`
}

const manifests = "/etc/kubernetes/manifests"

// kubeadm makes the machine a control plane node: manifests in a directory, and a kubelet that runs what stands there.
func (m *machine) kubeadm(t *testing.T) {
	t.Helper()
	m.certificates(t, "/etc/kubernetes/pki/etcd", "ca.crt", map[string]etcdtest.KeyPair{
		"server.crt server.key": m.bed.pki.Server, "peer.crt peer.key": m.bed.pki.Peer,
		"healthcheck-client.crt healthcheck-client.key": m.bed.pki.Client,
	})
	const pki = "/etc/kubernetes/pki/etcd/"
	keys, env := m.keyFlags(pki+"ca.crt", pki+"server.crt", pki+"server.key")
	m.write(t, "/etc/kubernetes/admin.conf", "apiVersion: v1\nkind: Config\n")
	m.write(t, manifests+"/etcd.yaml", podOf("etcd", append(append([]string{"etcd"}, m.member("/var/lib/etcd", "")...), keys...)))
	for _, name := range kube() {
		m.write(t, manifests+"/"+name+".yaml", podOf(name, []string{name}))
	}
	m.flags = func(m *machine) ([]string, []string, error) {
		command, err := m.manifest("etcd")
		if err != nil || len(command) < 2 {
			return nil, nil, fmt.Errorf("etcd.yaml has the command %q: %w", command, err)
		}
		return command[1:], nil, nil
	}
	c := &containers{m: m, running: map[string]bool{}, etcdctl: env}
	m.etcd.Probe = func(context.Context) error { return nil } // a kubelet does not wait
	m.answers["kubectl"] = c.kubectl
	m.answers["crictl"] = func(ctx context.Context, args []string) (string, error) {
		switch {
		case len(args) == 4 && args[0] == "ps" && args[1] == "-q" && args[2] == "--name":
			fits, err := regexp.Compile(args[3])
			if err != nil {
				return "", err
			}
			names := slices.DeleteFunc(c.up(), func(name string) bool { return !fits.MatchString(name) })
			return strings.Join(append(names, ""), "\n"), nil
		case len(args) > 2 && args[0] == "exec" && args[1] == "etcd":
			// The container has no variables for etcdctl but the image's.
			return m.etcdctl(ctx, args[2:], "ETCDCTL_ENDPOINTS="+m.client)
		}
		return "", fmt.Errorf("crictl %q: no such container", args)
	}
	m.answers["systemctl"] = func(_ context.Context, args []string) (string, error) {
		if strings.Join(args, " ") != "restart kubelet" {
			return "", fmt.Errorf("systemctl %q: no such unit here", args)
		}
		return "", nil
	}
	m.kubelet(t, c)
}

func podOf(name string, command []string) string {
	text := "apiVersion: v1\nkind: Pod\nmetadata:\n  name: " + name + "\n  namespace: kube-system\nspec:\n  containers:\n  - command:\n"
	for _, word := range command {
		text += "    - " + word + "\n"
	}
	return text + "    name: " + name + "\n  hostNetwork: true\n"
}

// manifest is the command of a static pod; nothing where there is no such pod.
func (m *machine) manifest(name string) ([]string, error) {
	text, err := os.ReadFile(m.has(filepath.Join(manifests, name+".yaml")))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var pod staticPod
	if err := yaml.Unmarshal(text, &pod); err != nil || pod.Kind != "Pod" || len(pod.Spec.Containers) != 1 {
		return nil, fmt.Errorf("%s.yaml is no static pod: %w", name, err)
	}
	return pod.Spec.Containers[0].Command, nil
}

// kubelet looks into the directory of the manifests again and again, as a real one does, and runs and ends containers by it.
func (m *machine) kubelet(t *testing.T, c *containers) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var ended sync.WaitGroup
	ended.Go(func() {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for ctx.Err() == nil {
			if err := m.reconcile(ctx, c); err != nil && ctx.Err() == nil {
				t.Errorf("kubelet of %s: %v", m.name, err)
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
			}
		}
	})
	t.Cleanup(func() {
		cancel()
		ended.Wait()
	})
}

func (m *machine) reconcile(ctx context.Context, c *containers) error {
	command, err := m.manifest("etcd")
	switch {
	case err != nil:
		return err
	case command == nil:
		err = m.stopEtcd()
	default:
		err = m.startEtcd(ctx)
	}
	for _, name := range kube() {
		command, missing := m.manifest(name)
		err = errors.Join(err, missing)
		c.set(name, command != nil)
	}
	return err
}

// rke makes the machine a node of RKE: Docker, with etcd and Kubernetes in containers that it starts and stops.
func (m *machine) rke(t *testing.T) {
	t.Helper()
	m.certificates(t, "/etc/kubernetes/ssl", "kube-ca.pem", map[string]etcdtest.KeyPair{"kube-etcd.pem kube-etcd-key.pem": m.bed.pki.Server})
	const ssl = "/etc/kubernetes/ssl/"
	keys, env := m.keyFlags(ssl+"kube-ca.pem", ssl+"kube-etcd.pem", ssl+"kube-etcd-key.pem")
	m.flags = func(m *machine) ([]string, []string, error) {
		return append(m.member("/var/lib/etcd", "etcd-"), keys...), nil, nil
	}
	c := &containers{m: m, running: map[string]bool{}, etcdctl: env}
	others := append(kube(), "kubelet")
	for _, name := range others {
		c.set(name, true)
	}
	m.etcd.Probe = func(context.Context) error { return nil } // Docker does not wait
	m.answers["kubectl"] = c.kubectl
	m.answers["docker"] = func(ctx context.Context, args []string) (string, error) {
		if len(args) > 2 && args[0] == "exec" && args[1] == "etcd" {
			return c.exec(ctx, args[2:])
		}
		if len(args) < 2 || args[0] != "start" && args[0] != "stop" {
			return "", fmt.Errorf("docker %q: not on this machine", args)
		}
		var err error
		for _, name := range args[1:] {
			switch {
			case name == "etcd" && args[0] == "start":
				err = errors.Join(err, m.startEtcd(ctx))
			case name == "etcd":
				err = errors.Join(err, m.stopEtcd())
			case slices.Contains(others, name):
				c.set(name, args[0] == "start")
			default:
				err = errors.Join(err, fmt.Errorf("no such container: %s", name))
			}
		}
		return strings.Join(append(args[1:], ""), "\n"), err
	}
}
