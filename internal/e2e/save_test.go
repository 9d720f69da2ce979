package e2e_test

import (
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"etcd-rolling-backup/internal/etcdtest"
)

// failure is a save that has to fail with status 1, one line of error with these words, and nothing left behind.
type failure struct {
	name  string
	flags []string
	words []string
}

func (f failure) demand(t *testing.T) {
	t.Helper()
	dir := newStore(t)
	began := time.Now()
	p := run(t, 1, f.words, words("save", store(dir), f.flags)...)
	t.Logf("%s (%s): %s", f.name, time.Since(began).Round(time.Millisecond), p.stderr.String())
	wantNothing(t, dir)
}

func TestFailedSaveLeavesNothing(t *testing.T) {
	parallel(t)
	plain := small(t, etcdtest.Options{})
	secure := small(t, etcdtest.Options{TLS: true})
	stranger, err := etcdtest.NewAuthority(t.TempDir())
	must(t, err)
	expired, err := secure.PKI.IssueExpired()
	must(t, err)
	learner, err := plain.AddLearner(t.Context())
	must(t, err)
	at := "--endpoints=" + secure.Members[0].Endpoint
	for _, f := range []failure{
		{"etcd down", []string{"--endpoints=" + freePort(t)}, []string{"connection refused", "is etcd running"}},
		{"etcd silent", []string{"--endpoints=" + silentPort(t), "--etcd-timeout=500ms"}, []string{"no answer in time"}},
		{"wrong CA", []string{at, "--cacert=" + stranger.CACert}, []string{"--cacert is not the CA"}},
		{"expired certificate", pair(at, secure, expired), []string{"--cert has expired"}},
		{"foreign certificate", pair(at, secure, stranger.Client), []string{"does not trust the CA of --cert"}},
		{"no certificate", []string{at, "--cacert=" + secure.PKI.CACert}, []string{"set --cert and --key"}},
		{"learner", flags(plain, learner.Endpoint), []string{"learner", "voting member"}},
		{"too little space before", append(flags(plain, plain.Members[0].Endpoint), "--min-free=1EiB"), []string{"free space too low", "--min-free", "free some space"}},
	} {
		f.demand(t)
	}
}

func pair(at string, c *etcdtest.Cluster, p etcdtest.KeyPair) []string {
	return []string{at, "--cacert=" + c.PKI.CACert, "--cert=" + p.Cert, "--key=" + p.Key}
}

func TestSaveReportsAWrongPassword(t *testing.T) {
	parallel(t)
	c := small(t, etcdtest.Options{})
	must(t, c.EnableAuth(t.Context(), "open sesame"))
	for _, f := range []failure{
		{"wrong password", login(t, c, "open barley"), []string{"wrong --user or password"}},
		{"no user", flags(c, c.Members[0].Endpoint), []string{"set --user and --password-file"}},
	} {
		f.demand(t)
	}
	dir := newStore(t)
	run(t, 0, nil, words("save", store(dir), login(t, c, "open sesame"))...)
	wantWhole(t, dir, 1)
}

// login are the flags of the user root.
func login(t *testing.T, c *etcdtest.Cluster, password string) []string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "password")
	must(t, os.WriteFile(file, []byte(password+"\n"), 0o600))
	return append(flags(c, c.Members[0].Endpoint), "--user=root", "--password-file="+file)
}

// silentPort is an address where connections are taken by the kernel and nobody answers.
func silentPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { must(t, l.Close()) })
	return l.Addr().String()
}

// middle is how many bytes of a stream of solid a test lets pass before it does something in the middle.
const middle = 6 << 20

// The stream is held in the middle, something happens to the server, and what the network still holds is let through: the
// buffers on the way are smaller than the rest of the stream, so it can't end well.
func TestBrokenStreamLeavesNothing(t *testing.T) {
	parallel(t)
	c := solid(t)
	server := c.Members[0]
	for _, x := range []struct {
		name   string
		happen func() error
		after  func() error // puts the server right
		flags  []string
		words  []string
	}{
		{
			"stopped with SIGSTOP", server.Pause, server.Resume,
			[]string{"--stall-timeout=20s"},
			[]string{"no progress for 20s", "stream snapshot after"},
		},
		{
			"killed", server.Kill, func() error { return server.Restart(t.Context()) },
			[]string{"--stall-timeout=30s"},
			[]string{"stream snapshot after", "connection broke"},
		},
	} {
		t.Run(x.name, func(t *testing.T) {
			dir := newStore(t)
			v := newValve(t, server.Endpoint, middle)
			p := start(t, words("save", store(dir), flags(c, v.Endpoint()), x.flags)...)
			v.holds(t)
			name := partial(t, dir)
			must(t, x.happen())
			v.open()
			opened := time.Now()
			p.demand(t, 1, x.words...)
			t.Logf("%s: ended after %s: %s", name, time.Since(opened).Round(time.Millisecond), p.stderr.String())
			wantNothing(t, dir)
			must(t, x.after())
			run(t, 0, nil, words("save", store(dir), flags(c, server.Endpoint))...)
			wantWhole(t, dir, 1)
		})
	}
}

// A stream that never gets a byte further is aborted also when the server is well and the network is not.
func TestStalledStreamIsAborted(t *testing.T) {
	parallel(t)
	c := solid(t)
	dir := newStore(t)
	v := newValve(t, c.Members[0].Endpoint, middle)
	run(t, 1, []string{"no progress for 1s"}, words("save", store(dir), flags(c, v.Endpoint()), []string{"--stall-timeout=1s"})...)
	wantNothing(t, dir)
}

// Slow is not stalled: a stream of several times --stall-timeout ends well as long as something comes.
func TestSlowStreamIsNotAborted(t *testing.T) {
	parallel(t)
	c := solid(t)
	dir := newStore(t)
	for try := 1; ; try++ {
		v := newValve(t, c.Members[0].Endpoint, 0)
		p := start(t, words("save", store(dir), flags(c, v.Endpoint()), []string{"--stall-timeout=2s"})...)
		began := time.Now()
		v.drip(t, p, 200*time.Millisecond)
		if try < 4 && p.ended(t) == 1 && strings.Contains(p.stderr.String(), "no progress for 2s") {
			continue // a busy machine may stand still for so long
		}
		p.demand(t, 0)
		if took := time.Since(began); took < 4*time.Second {
			t.Errorf("took only %s", took)
		}
		break
	}
	wantWhole(t, dir, 1)
}

// On a file system without room the snapshot fails and goes, by the disk's word or, before it is full, by --min-free.
func TestFullDiskKeepsNoSnapshot(t *testing.T) {
	parallel(t)
	c := solid(t)
	for _, x := range []struct{ name, size, minFree, word string }{
		{"no space left", "8m", "0", "no space left on device"},
		{"free space too low during the stream", "32m", "20MiB", "free space too low"},
	} {
		t.Run(x.name, func(t *testing.T) {
			p := onSmallDisk(t, x.size, func(dir string) []string {
				return words("save", store(dir), flags(c, c.Members[0].Endpoint), []string{"--min-free=" + x.minFree})
			})
			p.demandOnDisk(t, 1, x.word, "stream snapshot after")
			t.Log(p.stderr.String())
		})
	}
	// The same disk with room enough keeps the snapshot: it is the space that makes the others fail.
	p := onSmallDisk(t, "64m", func(dir string) []string {
		return words("save", store(dir), flags(c, c.Members[0].Endpoint), []string{"--min-free=20MiB"})
	})
	if got := p.demandOnDisk(t, 0); len(got) != 1 || !strings.HasPrefix(got[0], "manual_") {
		t.Errorf("with room enough there are: %s", got)
	}
}

// demandOnDisk is demand for a process that prints the names in its directory as its last lines, after "--". A failed one
// has to print none but the lock's.
func (p *process) demandOnDisk(t *testing.T, status int, words ...string) []string {
	t.Helper()
	p.demand(t, status, words...)
	_, list, ok := strings.Cut(p.stdout.String(), "--\n")
	left := slices.DeleteFunc(strings.Fields(list), func(n string) bool { return n == ".lock" })
	if !ok || status != 0 && len(left) > 0 {
		t.Errorf("left behind on the disk: %s (list: %t)", left, ok)
	}
	return left
}
