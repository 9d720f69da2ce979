package e2e_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"etcd-rolling-backup/internal/etcdtest"
)

// serving is a member that gives its snapshot to the others.
type serving struct {
	*process
	address string
}

// certificates are the flags that show a pair of the authority and trust it.
func certificates(pki *etcdtest.Authority, pair etcdtest.KeyPair) []string {
	return []string{"--cacert=" + pki.CACert, "--cert=" + pair.Cert, "--key=" + pair.Key}
}

func serve(t *testing.T, pki *etcdtest.Authority, archive, address string, more ...string) *serving {
	t.Helper()
	s := &serving{process: start(t, words("serve", []string{archive, "--serve-on=" + address}, certificates(pki, pki.Server), more)...)}
	on := regexp.MustCompile(`serving \S+ on (\S+) until`)
	eventually(t, "the member served", func() bool {
		if m := on.FindStringSubmatch(s.stdout.String()); m != nil {
			s.address = m[1]
			return true
		}
		select {
		case <-s.done:
			t.Fatalf("serve ended: %s", s.stderr.String())
		default:
		}
		return false
	})
	return s
}

// peerBed has a cluster with certificates, of which one member has a snapshot.
func peerBed(t *testing.T, c *etcdtest.Cluster) (pki *etcdtest.Authority, archive string) {
	t.Helper()
	pki, err := etcdtest.NewAuthority(filepath.Join(t.TempDir(), "pki"))
	must(t, err)
	return pki, saved(t, c)
}

// One member serves its snapshot, the others restore or download it: all have the same bytes. Without certificates of
// the same CA nobody gets anything, nor is anything else to be had.
func TestPeersGetTheSameBytes(t *testing.T) {
	parallel(t)
	l := lose(t, etcdtest.Default)
	pki, err := etcdtest.NewAuthority(filepath.Join(t.TempDir(), "pki"))
	must(t, err)
	s := serve(t, pki, l.archive, "127.0.0.1:0")
	from := append([]string{"--peer=" + s.address}, certificates(pki, pki.Client)...)

	var members []*revived
	for i, m := range l.Members[1:] {
		dir := target(t)
		run(t, 0, []string{"from " + s.address, "--peer " + s.address}, words("restore", from, []string{"--from=peer", "--name=" + m.Name, "--data-dir=" + dir})...)
		members = append(members, l.revive(t, i+1, dir))
	}
	for _, m := range members {
		if got := stateOf(t, m.client); got.sum != l.sum {
			t.Errorf("a member has %+v, want %+v", got, l.state)
		}
	}

	there := newStore(t)
	run(t, 0, []string{"downloaded " + there, "verified"}, words("download", from, []string{"--dir=" + there, "--min-free=0"})...)
	want, err := os.ReadFile(l.archive)
	must(t, err)
	got, err := os.ReadFile(only(t, there))
	must(t, err)
	if string(got) != string(want) {
		t.Error("other bytes were downloaded")
	}
	run(t, 1, []string{"serves " + filepath.Base(l.archive)}, words("download", from, []string{"before-upgrade", "--dir=" + there, "--min-free=0"})...)

	s.refuse(t, pki)
	must(t, s.cmd.Process.Signal(syscall.SIGTERM))
	s.demand(t, 0)
}

// refuse tries what must not work.
func (s *serving) refuse(t *testing.T, pki *etcdtest.Authority) {
	t.Helper()
	stranger, err := etcdtest.NewAuthority(filepath.Join(t.TempDir(), "stranger"))
	must(t, err)
	other := stranger.Client
	dir := target(t)
	to := []string{"--peer=" + s.address, "--data-dir=" + dir, "--name=node1"}
	for _, r := range []refusal{
		{"a server of another CA", 1, []string{"--cacert"}, certificates(stranger, pki.Client)},
		{"a client of another CA", 1, []string{"--cert"}, certificates(pki, other)},
		{"no certificate", 2, []string{"set --cacert, --cert and --key"}, []string{"--cacert=" + pki.CACert}},
	} {
		p := run(t, r.status, r.words, words("restore", to, r.flags)...)
		t.Log(strings.TrimSpace(p.stderr.String()))
	}
	if left := files(t, filepath.Dir(dir)); len(left) > 0 {
		t.Errorf("left behind: %s", left)
	}
	config, err := pki.TLSConfig()
	must(t, err)
	for path, want := range map[string]int{"/../etc/passwd": 404, "/%2e%2e/" + filepath.Base(dir): 404, "//": 404, "/": 200} {
		if got := s.ask(t, config, path); got != want {
			t.Errorf("GET %s: status %d, want %d", path, got, want)
		}
	}
	s.says(t, "refused a request")
	config.Certificates = nil
	if got := s.ask(t, config, "/"); got != 0 {
		t.Errorf("a client without certificate got an answer with status %d", got)
	}
	s.says(t, "refused a connection")
}

// ask sends a path as it stands, and gives the status of the answer, 0 for none.
func (s *serving) ask(t *testing.T, config *tls.Config, path string) int {
	t.Helper()
	conn, err := tls.Dial("tcp", s.address, config)
	if err != nil {
		return 0
	}
	defer conn.Close()
	must(t, conn.SetDeadline(time.Now().Add(endLimit)))
	if _, err = fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: peer\r\nConnection: close\r\n\r\n", path); err != nil {
		return 0
	}
	text, _ := io.ReadAll(conn) // a refusal is an error
	var status int
	_, _ = fmt.Sscanf(string(text), "HTTP/1.1 %d", &status)
	return status
}

// A peer that dies midway, comes back and goes on costs nothing; one that is gone is waited for, and the wait can be ended, which
// leaves nothing.
func TestRestoreWaitsForAPeerThatDied(t *testing.T) {
	parallel(t)
	pki, archive := peerBed(t, solid(t))
	for _, back := range []bool{true, false} {
		s := serve(t, pki, archive, "127.0.0.1:0")
		v := newValve(t, s.address, middle)
		dir := target(t)
		p := start(t, words("restore", []string{"--peer=" + v.Endpoint(), "--data-dir=" + dir}, certificates(pki, pki.Client))...)
		v.holds(t)
		s.kill()
		v.open()
		if back {
			serve(t, pki, archive, s.address)
			p.demand(t, 0, "restored "+dir)
			continue
		}
		p.signal(t, syscall.SIGTERM)
		if status := p.ended(t); status == 0 {
			t.Error("a restore that was stopped says that it is done")
		}
		if left := files(t, filepath.Dir(dir)); len(left) > 0 {
			t.Errorf("left behind: %s", left)
		}
	}
}

// A slow peer is waited for as long as something comes.
func TestSlowPeerIsNotAborted(t *testing.T) {
	parallel(t)
	pki, archive := peerBed(t, solid(t))
	s := serve(t, pki, archive, "127.0.0.1:0")
	v := newValve(t, s.address, 64<<10)
	dir := target(t)
	p := start(t, words("restore", []string{"--peer=" + v.Endpoint(), "--data-dir=" + dir}, certificates(pki, pki.Client))...)
	v.drip(t, p, 20*time.Millisecond)
	p.demand(t, 0, "restored "+dir)
}

// serve ends by itself, and gives only what can be proven to those that rely on it.
func TestServeEndsAndRefusesWhatIsNotValid(t *testing.T) {
	parallel(t)
	pki, archive := peerBed(t, etcdtest.Run(t, etcdtest.Options{UnsafeNoFsync: true}))
	s := serve(t, pki, archive, "127.0.0.1:0", "--for=1s")
	s.demand(t, 0)
	if conn, err := net.Dial("tcp", s.address); err == nil {
		_ = conn.Close()
		t.Error("somebody still listens")
	}

	taken, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer taken.Close()
	bad := filepath.Join(t.TempDir(), "bad.db.zst")
	data, err := os.ReadFile(archive)
	must(t, err)
	data[len(data)/2] ^= 1
	must(t, os.WriteFile(bad, data, 0o600))
	own := certificates(pki, pki.Server)
	for _, r := range []refusal{
		{"a damaged archive", 3, []string{"damaged"}, append([]string{bad}, own...)},
		{"a bare database", 2, []string{"neither an archive of this program nor a zip but a database", "copy it"}, append([]string{unpack(t, archive)}, own...)},
		{"a port that is taken", 1, []string{"address already in use", "--serve-on"}, append([]string{archive, "--serve-on=" + taken.Addr().String()}, own...)},
		{"a certificate for clients only", 1, []string{"is for clients only"}, append([]string{archive, "--serve-on=127.0.0.1:0"}, certificates(pki, pki.Client)...)},
		{"no time", 2, []string{"--for"}, append([]string{archive, "--for=0s"}, own...)},
		{"no certificates", 2, []string{"set --cacert, --cert and --key"}, []string{archive}},
	} {
		p := run(t, r.status, r.words, words("serve", r.flags)...)
		t.Log(r.name, strings.TrimSpace(p.stderr.String()))
	}
}

// On a fresh machine with nothing but the bucket, the newest snapshot is there after one command; so it is where the
// directory is there and empty, and a snapshot on the disk goes before one in the bucket.
func TestRestoreFindsTheNewestInTheBucket(t *testing.T) {
	parallel(t)
	m := newMirrorBed(t, plainServer.get(t))
	b := m.bucket(t)
	archive := m.save(t)
	name := filepath.Base(archive)
	b.plant(archive, name)
	want := stateOf(t, etcdtest.Dial(t, m.etcd))
	bucket := b.flags(m.server.Target)
	nothing, empty := newStore(t), t.TempDir()
	for _, from := range [][]string{{"--from=s3", "--dir=" + nothing}, {"--dir=" + nothing}, {"--dir=" + empty}} {
		dir := target(t)
		run(t, 0, []string{"restoring " + name + " from s3://" + b.name, "  taken "}, words("restore", from, bucket, []string{"--data-dir=" + dir})...)
		if slices.Equal(from, []string{"--dir=" + empty}) {
			wantState(t, etcdtest.Default, "node1", dir, want).kill()
		}
	}
	run(t, 0, []string{"restoring " + archive + " from " + filepath.Dir(archive)},
		words("restore", bucket, []string{"--dir=" + filepath.Dir(archive), "--data-dir=" + target(t)})...)
	run(t, 1, []string{"no such snapshot"}, words("restore", bucket, []string{"--from=s3", "--data-dir=" + target(t), "before-upgrade"})...)
	// What is in the way is told before anything is fetched: the server is not even asked.
	full := target(t)
	oldData(t, full)
	run(t, 2, []string{"is not empty"}, "restore", "--from=s3", "--s3-bucket=any", "--s3-endpoint=http://"+silentPort(t), "--data-dir="+full)
}
