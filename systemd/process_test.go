package systemd_test

import (
	"bytes"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// serve starts the program as the unit would, its watchdog on, and waits until it is ready. There is no etcd.
func serve(t *testing.T, more ...string) *exec.Cmd {
	t.Helper()
	cmd, _ := serveNotifying(t, more...)
	return cmd
}

// serveNotifying also returns what would be systemd's end of the notifications.
func serveNotifying(t *testing.T, more ...string) (*exec.Cmd, *net.UnixConn) {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })

	text := read(t, unit)
	watchdog := regexp.MustCompile(`(?m)^WatchdogSec=(\d+)min$`).FindStringSubmatch(text)
	if watchdog == nil {
		t.Fatal("the unit has no WatchdogSec in minutes")
	}
	minutes, err := strconv.Atoi(watchdog[1])
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), program, "daemon",
		"--endpoints", "127.0.0.1:1", "--etcd-timeout", "200ms", "--dir", t.TempDir(), "--node", "node-a", "--listen", "127.0.0.1:0", "--drill-schedule", "off")
	cmd.Env = append(os.Environ(), "ETCD_BACKUP_CONFIG=/dev/null", "NOTIFY_SOCKET="+socket, "WATCHDOG_USEC="+strconv.Itoa(minutes*60_000_000))
	for _, m := range regexp.MustCompile(`(?m)^Environment=(.*)$`).FindAllStringSubmatch(text, -1) {
		cmd.Env = append(cmd.Env, m[1])
	}
	cmd.Env = append(cmd.Env, more...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })

	if text := notification(t, conn); text != "READY=1" {
		t.Fatalf("%q; want READY=1 first\n%s", text, stderr.String())
	}
	return cmd, conn
}

// notification is the next one that comes.
func notification(t *testing.T, conn *net.UnixConn) string {
	t.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 1000)
	n, err := conn.Read(buf)
	if err != nil {
		t.Fatalf("no notification: %v", err)
	}
	return string(buf[:n])
}

// While it reads its settings again, also wrong ones, systemd knows, and it is ready afterwards.
func TestReloadIsReportedToSystemd(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(file, []byte("keep-last: 3\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd, conn := serveNotifying(t, "ETCD_BACKUP_CONFIG="+file)
	until := func(pattern string) (passed []string) {
		t.Helper()
		for {
			text := notification(t, conn)
			if regexp.MustCompile(pattern).MatchString(text) {
				return passed
			}
			passed = append(passed, text)
		}
	}
	for _, text := range []string{"keep-last: 4\n", "keep-lats: 4\n"} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		until(`^RELOADING=1\nMONOTONIC_USEC=\d+\s*$`)
		passed := strings.Join(until(`^READY=1$`), "\n")
		if failed := strings.Contains(passed, `STATUS=reload failed, the old settings stay: `); failed != strings.HasPrefix(text, "keep-lats") {
			t.Errorf("%s: systemd was notified of %q", text, passed)
		}
	}
	if s := end(t, cmd, syscall.SIGTERM); s.ExitStatus() != 0 {
		t.Errorf("ended with status %d, want 0", s.ExitStatus())
	}
}

func end(t *testing.T, cmd *exec.Cmd, sig syscall.Signal) syscall.WaitStatus {
	t.Helper()
	if err := cmd.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
	if !ok {
		t.Fatalf("%T is no wait status", cmd.ProcessState.Sys())
	}
	return status
}

// The watchdog kills a daemon that hangs with SIGABRT. Go would exit with status 2, after which systemd does not restart it.
func TestWatchdogSignalCausesRestart(t *testing.T) {
	if s := end(t, serve(t), syscall.SIGABRT); !s.Signaled() || s.Signal() != syscall.SIGABRT {
		t.Errorf("ended with status %d, want by the signal", s.ExitStatus())
	}
	if s := end(t, serve(t, "GOTRACEBACK=single"), syscall.SIGABRT); s.ExitStatus() != 2 {
		t.Errorf("without GOTRACEBACK=crash it ended with status %d: the unit no longer needs it", s.ExitStatus())
	}
}

func TestStopExitsWithZero(t *testing.T) {
	cmd := serve(t)
	began := time.Now()
	if s := end(t, cmd, syscall.SIGTERM); !s.Exited() || s.ExitStatus() != 0 {
		t.Errorf("ended with status %d, want 0", s.ExitStatus())
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("the stop took %s; the unit's TimeoutStopSec kills after 10 seconds", took)
	}
}
