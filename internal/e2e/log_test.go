package e2e_test

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"etcd-rolling-backup/internal/etcdtest"
)

// deaf is a daemon whose log goes to a pipe that is full from the start and has a reader that reads nothing.
type deaf struct {
	*watched
	unread, log *os.File
}

// logStuck is the reason of such a daemon.
var logStuck = regexp.MustCompile(`(?m)^the log takes no lines since [-0-9]+ [:0-9]+ UTC, \d+ (is|are) lost: whoever reads the daemon's stderr has stopped$`)

// watchDeaf starts one, and waits until it says what is wrong with it.
func watchDeaf(t *testing.T, dir string, more ...[]string) *deaf {
	t.Helper()
	var ends [2]int
	must(t, unix.Pipe2(ends[:], unix.O_CLOEXEC)) // os.Pipe's do not block, and so would the daemon's end not
	d := &deaf{unread: os.NewFile(uintptr(ends[0]), "unread"), log: os.NewFile(uintptr(ends[1]), "log")}
	t.Cleanup(func() { must(t, d.unread.Close()) })
	size, err := unix.FcntlInt(d.unread.Fd(), unix.F_SETPIPE_SZ, 4096)
	must(t, err)
	_, err = d.log.Write(append(bytes.Repeat([]byte{'.'}, size-1), '\n'))
	must(t, err)
	address := freePort(t) // the daemon can't tell which it was given
	cmd := exec.Command("sh", words("-c", []string{`exec "$0" "$@" 2>&3`, program(t, "daemon"), "daemon", "--listen=" + address}, store(dir), slices.Concat(more...))...)
	cmd.ExtraFiles = []*os.File{d.log}
	d.watched = &watched{process: launch(t, cmd), base: "http://" + address}
	must(t, d.log.Close())
	eventually(t, "/readyz told of the log", func() bool {
		status, body, err := ask(&http.Transport{}, d.base+"/readyz", "")
		return err == nil && status == http.StatusServiceUnavailable && logStuck.MatchString(body)
	})
	return d
}

// drain reads the log to its end, which is the daemon's.
func (d *deaf) drain() (text *output, done chan error) {
	text, done = &output{}, make(chan error, 1)
	go func() {
		_, err := io.Copy(text, d.unread)
		done <- err
	}()
	return text, done
}

// wantMore waits for snapshots of the next seconds.
func wantMore(t *testing.T, dir string) {
	t.Helper()
	since := time.Now()
	eventually(t, "snapshots went on", func() bool {
		found := listed(t, dir)
		return len(found) > 2 && found[0].Name.Time.After(since.Add(2*time.Second))
	})
}

// A daemon whose log is held open and not read goes on and says so; read at last, the log tells what it lacks.
func TestDaemonGoesOnWhileItsLogIsNotRead(t *testing.T) {
	parallel(t)
	c := small(t, etcdtest.Options{})
	dir := newStore(t)
	d := watchDeaf(t, dir, flags(c, c.Members[0].Endpoint), []string{"--schedule=@every 1s"})
	wantMore(t, dir)
	if _, body := d.get(t, "/readyz"); !logStuck.MatchString(body) {
		t.Errorf("/readyz tells no more of the log: %s", body)
	}
	text, done := d.drain()
	d.ready(t, http.StatusOK, "ok\n")
	wantMore(t, dir)
	d.stop(t, syscall.SIGTERM, 0)
	must(t, <-done)

	log := text.String()
	lines := strings.Split(strings.TrimSuffix(log, "\n"), "\n")
	lost := regexp.MustCompile(`level=warning msg="lines of the log are lost: [^"]*" lost=[1-9]\d* since=`)
	// The filling, the line that was stuck, and the count.
	if len(lines) < 6 || !lost.MatchString(lines[2]) || lost.MatchString(lines[1]) || len(lost.FindAllString(log, -1)) != 1 {
		t.Errorf("the third line of the log is not the one of those lost, or there is another:\n%s", log)
	}
	if !strings.Contains(lines[len(lines)-1], "msg=stopped") || !strings.Contains(log, "kept snapshot") || strings.Contains(log, "DATA RACE") {
		t.Errorf("the log after that:\n%s", log)
	}
}

// A daemon whose log is stuck ends by its signal in time.
func TestDaemonStopsWhileItsLogIsNotRead(t *testing.T) {
	parallel(t)
	c := small(t, etcdtest.Options{})
	dir := newStore(t)
	d := watchDeaf(t, dir, flags(c, c.Members[0].Endpoint), []string{"--schedule=@every 1s"})
	wantMore(t, dir)
	d.stop(t, syscall.SIGTERM, 0)
	text, done := d.drain()
	must(t, <-done)
	if log := text.String(); strings.Contains(log, "stopped") || strings.Contains(log, "DATA RACE") {
		t.Errorf("the log was not stuck to the end:\n%s", log)
	}
}
