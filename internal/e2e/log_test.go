package e2e_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
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

// logBlocked is the problem of such a daemon, with the number of lost lines.
var logBlocked = regexp.MustCompile(`(?m)^log output blocked since [-0-9]+ [:0-9]+ UTC, (\d+) log lines lost: whoever reads the daemon's stderr has stopped reading$`)

// logLost is the line that reports lost ones, with their number and since when.
var logLost = regexp.MustCompile(`level=warning msg="log lines lost: they could not be written" lost=([1-9]\d*) since="([^"]+)"`)

// watchDeaf starts one, with these variables in its environment, and waits until it says what is wrong with it.
func watchDeaf(t *testing.T, dir string, env []string, more ...[]string) *deaf {
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
	cmd := exec.Command("sh", words("-c", []string{`exec "$0" "$@" 2>&3`, lean, "daemon", "--listen=" + address}, store(dir), slices.Concat(more...))...)
	cmd.ExtraFiles, cmd.Env = []*os.File{d.log}, env
	d.watched = &watched{process: launch(t, cmd), base: "http://" + address}
	must(t, d.log.Close())
	eventually(t, "/readyz said that the log is blocked", func() bool {
		status, body, err := ask(&http.Transport{}, d.base+"/readyz", "")
		return err == nil && status == http.StatusServiceUnavailable && logBlocked.MatchString(body)
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

// A daemon whose log is held open and not read goes on and says so; read at last, the log has every line.
func TestDaemonGoesOnWhileItsLogIsNotRead(t *testing.T) {
	parallel(t)
	c := small(t, etcdtest.Options{})
	dir := newStore(t)
	d := watchDeaf(t, dir, nil, flags(c, c.Members[0].Endpoint), []string{"--schedule=@every 1s"})
	wantMore(t, dir)
	if _, body := d.get(t, "/readyz"); !logBlocked.MatchString(body) {
		t.Errorf("/readyz no longer says that the log is blocked: %s", body)
	}
	text, done := d.drain()
	d.ready(t, http.StatusOK, "ok\n")
	wantMore(t, dir)
	d.stop(t, syscall.SIGTERM, 0)
	must(t, <-done)

	// The filling, and after it every line from the first one on: what nobody read waited in the queue.
	log := text.String()
	lines := slices.DeleteFunc(strings.Split(strings.TrimSuffix(log, "\n"), "\n"), func(l string) bool {
		return strings.Contains(l, "does not answer yet") // of etcd, on a busy machine
	})
	if len(lines) < 6 || strings.Trim(lines[0], ".") != "" || !strings.Contains(lines[1], "msg=listening") || !strings.Contains(lines[2], "msg=\"started") {
		t.Fatalf("the log does not begin with its first lines:\n%s", log)
	}
	if strings.Contains(log, "log lines lost") || strings.Contains(log, "DATA RACE") || !strings.Contains(lines[len(lines)-1], "msg=stopped") {
		t.Errorf("the log after that:\n%s", log)
	}
	var saved []string
	for _, l := range lines {
		if m := regexp.MustCompile(`msg="snapshot saved" .* snapshot=(\S+)`).FindStringSubmatch(l); m != nil {
			saved = append(saved, m[1])
		}
	}
	if here := listed(t, dir); len(saved) < len(here) || !slices.IsSorted(saved) || saved[len(saved)-1] != here[0].Name.String() {
		t.Errorf("the log names %q, on the disk are %v", saved, here)
	}
}

// A daemon that writes more lines than wait for a reader keeps the first ones in their order, and reports how many it has lost.
func TestLogReportsLostLines(t *testing.T) {
	parallel(t)
	c := small(t, etcdtest.Options{})
	const all, queue = 400, 256
	var env []string
	for n := range all { // one line each
		env = append(env, fmt.Sprintf("ETCD_BACKUP_UNKNOWN_%d=", n))
	}
	since := time.Now().Truncate(time.Second)
	d := watchDeaf(t, newStore(t), env, flags(c, c.Members[0].Endpoint), []string{"--schedule=@every 1h"})
	raw, err := os.ReadFile("/proc/" + pid(d.process) + "/environ") // in the order of the lines
	must(t, err)
	_, body := d.get(t, "/readyz")
	if m := logBlocked.FindStringSubmatch(body); m == nil || m[1] == "0" {
		t.Errorf("/readyz does not say that lines are lost: %s", body)
	}
	text, done := d.drain()
	d.ready(t, http.StatusOK, "ok\n")
	d.stop(t, syscall.SIGTERM, 0)
	must(t, <-done)

	log, variable := text.String(), regexp.MustCompile(`ETCD_BACKUP_UNKNOWN_\d+`)
	wrote, got := variable.FindAllString(string(raw), -1), variable.FindAllString(log, -1)
	if len(wrote) != all || len(got) < queue || !slices.Equal(got, wrote[:len(got)]) {
		t.Errorf("of the %d lines the log has %d, or not the first ones in their order:\n%s", len(wrote), len(got), log)
	}
	reports := logLost.FindAllStringSubmatch(log, -1)
	if len(reports) != 1 || !strings.Contains(log, "msg=stopped") || strings.Contains(log, "DATA RACE") {
		t.Fatalf("lost lines are not reported once, or the log does not go on after that:\n%s", log)
	}
	lost, err := strconv.Atoi(reports[0][1])
	must(t, err)
	first, err := time.Parse(time.RFC3339, reports[0][2])
	must(t, err)
	if lost < all-len(got) || first.Before(since) || first.After(time.Now()) {
		t.Errorf("%d of %d lines came, and %d are reported as lost since %s", len(got), all, lost, first)
	}
}

// A daemon whose log is blocked stops in time.
func TestDaemonStopsWhileItsLogIsNotRead(t *testing.T) {
	parallel(t)
	c := small(t, etcdtest.Options{})
	dir := newStore(t)
	d := watchDeaf(t, dir, nil, flags(c, c.Members[0].Endpoint), []string{"--schedule=@every 1s"})
	wantMore(t, dir)
	d.stop(t, syscall.SIGTERM, 0)
	text, done := d.drain()
	must(t, <-done)
	if log := text.String(); strings.Contains(log, "stopped") || strings.Contains(log, "DATA RACE") {
		t.Errorf("the log was not blocked to the end:\n%s", log)
	}
}
