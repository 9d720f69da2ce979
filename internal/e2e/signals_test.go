package e2e_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"etcd-rolling-backup/internal/etcdtest"
)

// stopLimit is far more than the second or two in which a daemon ends cleanly, also on a busy machine, and less than what it waits for with
// unhurried: etcd's answer, a stream.
const stopLimit = time.Minute

// stop sends the signal and demands the end in time, with the status and nothing of a snapshot half made.
func (p *process) stop(t *testing.T, s os.Signal, status int) {
	t.Helper()
	sent := time.Now()
	p.signal(t, s)
	p.demand(t, status)
	took := time.Since(sent)
	t.Logf("ended %s after %s", took.Round(time.Millisecond), s)
	if took > stopLimit {
		t.Errorf("ended %s after %s, want %s at most\n%s", took, s, stopLimit, p.stderr.String())
	}
}

// A daemon whose log nobody reads any more goes on.
func TestDaemonGoesOnAfterItsLogIsClosed(t *testing.T) {
	parallel(t)
	c := small(t, etcdtest.Options{})
	dir := newStore(t)
	unread, log, err := os.Pipe()
	must(t, err)
	must(t, unread.Close())
	defer log.Close()
	cmd := exec.Command("sh", words("-c", []string{`exec "$0" "$@" 2>&3`, withDetector(t), "daemon"}, store(dir),
		flags(c, c.Members[0].Endpoint), []string{"--schedule=@every 1s"})...)
	cmd.ExtraFiles = []*os.File{log}
	p := launch(t, cmd)
	eventually(t, "three snapshots were taken", func() bool {
		found, err := filepath.Glob(filepath.Join(dir, "*.db.zst"))
		must(t, err)
		return len(found) >= 3
	})
	p.stop(t, syscall.SIGTERM, 0)
}

func TestSignalsLeaveNoPartial(t *testing.T) {
	parallel(t)
	c := solid(t)
	server := c.Members[0]
	password := filepath.Join(t.TempDir(), "password")
	must(t, os.WriteFile(password, []byte("open sesame"), 0o600))
	for _, s := range []os.Signal{syscall.SIGTERM, syscall.SIGINT} {
		t.Run(s.String(), func(t *testing.T) {
			t.Run("daemon between two runs", func(t *testing.T) {
				dir := newStore(t)
				p := startChecked(t, words("daemon", store(dir), flags(c, server.Endpoint), []string{"--schedule=@every 1h"})...)
				p.says(t, "snapshot saved")
				p.stop(t, s, 0)
				wantWhole(t, dir, 1)
			})
			t.Run("daemon in a stream", func(t *testing.T) {
				dir := newStore(t)
				v := newValve(t, server.Endpoint, middle)
				p := startChecked(t, words("daemon", store(dir), flags(c, v.Endpoint()), unhurried)...)
				v.holds(t)
				partial(t, dir)
				p.stop(t, s, 0)
				wantNothing(t, dir)
			})
			for wait, login := range map[string][]string{"an answer": nil, "a login": {"--user=root", "--password-file=" + password}} {
				t.Run("daemon that waits for "+wait, func(t *testing.T) {
					dir := newStore(t)
					p := startChecked(t, words("daemon", store(dir), []string{"--endpoints=" + silentPort(t)}, login, unhurried)...)
					eventually(t, "the daemon had made its directory", func() bool { _, err := os.Stat(dir); return err == nil })
					p.stop(t, s, 0)
					wantNothing(t, dir)
				})
			}
			t.Run("daemon after a failure", func(t *testing.T) {
				dir := newStore(t)
				p := startChecked(t, words("daemon", store(dir), []string{"--endpoints=" + freePort(t)})...)
				p.says(t, "snapshot failed")
				p.stop(t, s, 0)
				wantNothing(t, dir)
			})
		})
	}
	for _, s := range []os.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP} { // for the daemon, the last one is a reload
		t.Run("save in a stream, "+s.String(), func(t *testing.T) {
			dir := newStore(t)
			v := newValve(t, server.Endpoint, middle)
			p := start(t, words("save", store(dir), flags(c, v.Endpoint()), unhurried)...)
			v.holds(t)
			partial(t, dir)
			p.stop(t, s, 1)
			wantNothing(t, dir)
		})
	}
}
