package doctest

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/internal/etcdtest"
	"etcd-rolling-backup/internal/proctest"
)

// What the runbook writes where each reader has something of their own.
const (
	shownSnapshot = "rolling_node-a_20261121T220000Z.db.zst"
	shownLast     = "last-alive_node-a_20261122T030000Z.db.zst"
	shownMoment   = "2026-11-22T03:03:06Z"
	shownAside    = "before-restore-20261122T031500Z"
)

// machine is one that etcd runs on, as the runbook knows it: node-a at 10.0.0.1. Here that is a directory and two ports.
type machine struct {
	*place
	name         string // of etcd's member
	address      string // in the runbook
	client, peer string // etcd's ports here
	dataDir      string // in the runbook
	flags        func(m *machine) (args, env []string, err error)
	etcd         *proctest.Server
	stopEtcd     func() error
	bed          *bed
	answers      map[string]func(ctx context.Context, args []string) (string, error)
}

// bed is the machines of one cluster.
type bed struct {
	p          *place // has the programs
	pki        *etcdtest.Authority
	clientTLS  bool // of etcd's clients; peers always have it
	machines   []*machine
	outside    []string            // more of what the runbook writes, and what it is here
	background map[string]*process // by machine
}

// newBed makes machines on which nothing runs yet.
func newBed(t *testing.T, p *place, clientTLS bool, names ...string) *bed {
	t.Helper()
	pki, err := etcdtest.NewAuthority(filepath.Join(t.TempDir(), "pki"))
	if err != nil {
		t.Fatal(err)
	}
	b := &bed{p: p, pki: pki, clientTLS: clientTLS, background: map[string]*process{}}
	for i, name := range names {
		b.add(t, name, fmt.Sprintf("10.0.0.%d", i+1))
	}
	return b
}

func (b *bed) add(t *testing.T, name, address string) *machine {
	t.Helper()
	ports, err := proctest.ReservePorts(2)
	if err != nil {
		t.Fatal(err)
	}
	program, err := etcdtest.Program(etcdtest.Default, "etcd")
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	socket := "@doctest-" + rand.Text() // without a path, which must be short
	m := &machine{
		name: name, address: address, client: ports[0], peer: ports[1], dataDir: "/var/lib/etcd", bed: b,
		answers: map[string]func(context.Context, []string) (string, error){},
	}
	m.place = &place{root: root, repo: b.p.repo, dir: root + "/var/lib/etcd-rolling-backup", endpoint: m.client}
	m.etcd = &proctest.Server{Name: name, Program: program, LogPath: root + "/etcd.log", Probe: m.healthy}
	m.stopEtcd = m.etcd.Stop
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("end of the log of %s:\n%s", name, m.etcd.Tail(0))
		}
		if err := m.etcd.Kill(); err != nil {
			t.Error(err)
		}
	})
	for _, dir := range []string{"/bin", "/var/lib", "/var/tmp", "/etc/default"} {
		if err := os.MkdirAll(root+dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	m.write(t, config.DefaultFile, noSettings) // as for a place: the program is told where it is
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range standIns() {
		if err := os.Symlink(self, filepath.Join(root, "bin", name)); err != nil {
			t.Fatal(err)
		}
	}
	m.path = root + "/bin:" + b.p.path
	// As in one terminal: what a block exports is there in the next.
	m.before = fmt.Sprintf("if [ -f %[1]s/exported ]; then . %[1]s/exported; fi\ntrap 'export -p > %[1]s/exported' EXIT\n", root)
	m.env = []string{
		socketEnv + "=" + socket, "ETCD_BACKUP_LISTEN=off", "ETCD_BACKUP_NODE=" + name,
		"ETCD_BACKUP_DATA_DIR=" + root + "/var/lib/etcd", "ETCD_BACKUP_SERVE_ON=" + m.peer, "ETCDCTL_ENDPOINTS=" + m.client,
	}
	answerOn(t, socket, m.answer)
	b.machines = append(b.machines, m)
	return m
}

// has is a path of the machine, as the runbook writes it, on this one.
func (m *machine) has(path string) string { return m.root + path }

func (m *machine) write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(m.has(path)), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(m.has(path), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// certificates puts etcd's CA and certificate where the machine has them.
func (m *machine) certificates(t *testing.T, dir, ca string, pairs map[string]etcdtest.KeyPair) {
	t.Helper()
	files := map[string]string{ca: m.bed.pki.CACert}
	for name, pair := range pairs {
		cert, key, _ := strings.Cut(name, " ")
		files[cert], files[key] = pair.Cert, pair.Key
	}
	for name, from := range files {
		text, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		m.write(t, filepath.Join(dir, name), string(text))
	}
}

// translate makes the runbook's words those of a machine. What is there only later, as the time in a name, is looked up each time.
func (m *machine) translate(t *testing.T) {
	t.Helper()
	var pairs []string
	for _, at := range m.bed.machines {
		pairs = append(pairs, at.address+":2380", at.peer, at.address+":2379", at.client)
		for set, shown := range map[string]string{"rolling": shownSnapshot, "last-alive": shownLast} {
			if l, err := filepath.Glob(at.has("/var/lib/etcd-rolling-backup/" + set + "_*.db.zst")); err == nil && len(l) > 0 {
				pairs = append(pairs, shown, filepath.Base(l[len(l)-1]))
			}
		}
	}
	if l, err := filepath.Glob(m.has("/var/lib/etcd/*.before-restore-*")); err == nil && len(l) > 0 {
		pairs = append(pairs, shownAside, strings.TrimPrefix(filepath.Ext(l[0]), "."))
	}
	pairs = append(pairs, m.bed.outside...)
	var back []string
	for i := 0; i < len(pairs); i += 2 {
		back = append(back, pairs[i+1], pairs[i])
	}
	m.restore = strings.NewReplacer(append(back, m.root, "")...)
	pairs = append(pairs, "127.0.0.1:2379", m.client)
	for _, dir := range []string{"/etc/", "/opt/", "/var/"} {
		pairs = append(pairs, dir, m.root+dir)
	}
	m.replace = strings.NewReplacer(pairs...)
}

// start runs etcd and waits until it is ready, as its unit's Type=notify does.
func (m *machine) startEtcd(ctx context.Context) error {
	if m.etcd.PID() != 0 {
		return nil
	}
	args, env, err := m.flags(m)
	if err != nil {
		return err
	}
	m.etcd.Args, m.etcd.Env = args, append(proctest.Environ("ETCD_", "ETCDCTL_"), env...)
	return m.etcd.Restart(ctx) // waits for a port that another test has for a moment
}

func (m *machine) clientScheme() string {
	if m.bed.clientTLS {
		return "https://"
	}
	return "http://"
}

// healthy asks what takes a leader.
func (m *machine) healthy(ctx context.Context) error {
	config, err := m.bed.pki.TLSConfig()
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, m.clientScheme()+m.client+"/health", http.NoBody)
	if err != nil {
		return err
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return errors.New(response.Status)
	}
	return nil
}

// dial is a client of the machine's etcd.
func (m *machine) dial(t *testing.T) *clientv3.Client {
	t.Helper()
	var config *tls.Config
	if m.bed.clientTLS {
		var err error
		if config, err = m.bed.pki.TLSConfig(); err != nil {
			t.Fatal(err)
		}
	}
	c, err := clientv3.New(clientv3.Config{
		Endpoints: []string{m.clientScheme() + m.client}, TLS: config, DialTimeout: processLimit, Logger: zap.NewNop(),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// etcdctl is the one in etcd's container.
func (m *machine) etcdctl(ctx context.Context, args []string, env ...string) (string, error) {
	if len(args) == 0 || args[0] != "etcdctl" {
		return "", fmt.Errorf("%q: not in this container", args)
	}
	program, err := etcdtest.Program(etcdtest.Default, "etcdctl")
	if err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, program, args[1:]...)
	cmd.Env = append(proctest.Environ("ETCD_", "ETCDCTL_"), env...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (m *machine) answer(ctx context.Context, q question) (string, error) {
	reply := m.answers[q.Name]
	if reply == nil {
		return "", fmt.Errorf("%s: there is none on this machine", q.Name)
	}
	return reply(ctx, q.Args)
}

// systemd makes etcd a unit of the machine, with its settings in /etc/default/etcd.
func (m *machine) systemd(t *testing.T, members []*machine, more ...string) {
	t.Helper()
	m.certificates(t, "/etc/etcd", "ca.crt", map[string]etcdtest.KeyPair{"member.crt member.key": m.bed.pki.Server})
	var initial []string
	for _, at := range members {
		initial = append(initial, at.name+"=https://"+at.peer)
	}
	settings := []string{
		"NAME=" + m.name, "DATA_DIR=" + m.has(m.dataDir),
		"LISTEN_PEER_URLS=https://" + m.peer, "LISTEN_CLIENT_URLS=" + m.clientScheme() + m.client,
		"INITIAL_ADVERTISE_PEER_URLS=https://" + m.peer, "ADVERTISE_CLIENT_URLS=" + m.clientScheme() + m.client,
		"INITIAL_CLUSTER=" + strings.Join(initial, ","), "INITIAL_CLUSTER_STATE=new",
		"PEER_CLIENT_CERT_AUTH=true", "PEER_TRUSTED_CA_FILE=" + m.has("/etc/etcd/ca.crt"),
		"PEER_CERT_FILE=" + m.has("/etc/etcd/member.crt"), "PEER_KEY_FILE=" + m.has("/etc/etcd/member.key"),
		"UNSAFE_NO_FSYNC=true", "HEARTBEAT_INTERVAL=50", "ELECTION_TIMEOUT=300", // for speed: what differs from what a machine would have
	}
	if m.bed.clientTLS {
		settings = append(settings, "CLIENT_CERT_AUTH=true", "TRUSTED_CA_FILE="+m.has("/etc/etcd/ca.crt"),
			"CERT_FILE="+m.has("/etc/etcd/member.crt"), "KEY_FILE="+m.has("/etc/etcd/member.key"))
	}
	m.write(t, "/etc/default/etcd", "ETCD_"+strings.Join(append(settings, more...), "\nETCD_")+"\n")
	m.flags = func(m *machine) ([]string, []string, error) {
		text, err := os.ReadFile(m.has("/etc/default/etcd"))
		return nil, strings.Fields(string(text)), err
	}
	m.answers["systemctl"] = func(ctx context.Context, args []string) (string, error) {
		switch strings.Join(args, " ") {
		case "start etcd":
			return "", m.startEtcd(ctx)
		case "stop etcd":
			return "", m.stopEtcd()
		}
		return "", fmt.Errorf("systemctl %q: no such unit here", args)
	}
}
