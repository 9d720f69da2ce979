package command

import (
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/snapshot"
)

// until is a log that calls end once a line contains the word.
type until struct {
	mu   sync.Mutex
	text strings.Builder
	word string
	end  func()
}

func (u *until) Write(p []byte) (int, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if strings.Contains(string(p), u.word) {
		u.end()
	}
	return u.text.Write(p)
}

// Leftovers of a drill that cannot be removed do not prevent the start.
func TestDaemonStartsDespiteLeftoversOfADrill(t *testing.T) {
	dir := t.TempDir()
	// Root may do all that others may not, but remove a mount point.
	busy := filepath.Join(dir, snapshot.ScratchPrefix+"1", "busy")
	must(t, os.MkdirAll(busy, 0o700))
	must(t, unix.Mount("tmpfs", busy, "tmpfs", 0, ""))
	defer func() { must(t, unix.Unmount(busy, 0)) }()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	log := &until{word: "msg=\"started", end: cancel}
	status := Main(ctx, Process{Version: "1.2.3-test", Root: noRoot, Stdout: log, Stderr: log}, []string{
		program, "daemon", "--dir", dir, "--node", "n1", "--endpoints", "127.0.0.1:1", "--etcd-timeout", "100ms",
		"--listen", "off", "--drill-schedule", "off", "--min-free", "0",
	})
	text := log.text.String()
	if status != exitDone || !strings.Contains(text, "level=warning msg=\"removing the leftovers of a restore drill failed") {
		t.Errorf("status %d:\n%s", status, text)
	}
}

// The daemon exits with its status even if its last line cannot be written.
func TestDaemonExitsWhileLogIsBlocked(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer taken.Close()
	unread, log, err := os.Pipe()
	must(t, err)
	defer unread.Close()
	defer log.Close()
	must(t, log.SetWriteDeadline(time.Now().Add(100*time.Millisecond)))
	_, _ = log.Write(make([]byte, 4<<20)) // all that it takes
	must(t, log.SetWriteDeadline(time.Time{}))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	status := make(chan int)
	go func() {
		status <- Main(ctx, Process{Version: "1.2.3-test", Root: noRoot, Stdout: io.Discard, Stderr: log}, []string{
			program, "daemon", "--dir", t.TempDir(), "--node", "n1", "--endpoints", "127.0.0.1:1",
			"--listen", taken.Addr().String(), "--drill-schedule", "off", "--min-free", "0",
		})
	}()
	select {
	case got := <-status:
		if got != exitFailed {
			t.Errorf("status %d, want %d", got, exitFailed)
		}
	case <-time.After(20 * time.Second):
		t.Error("it waits for its last line")
	}
}

// A file that is gone is not a file without settings: the defaults would prune what it kept.
func TestReloadWithoutTheFileOfTheStartKeepsTheSettings(t *testing.T) {
	root := t.TempDir()
	nodeFile(t, root, config.DefaultFile, "keep-last: 1000\n")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	hangups := make(chan os.Signal, 1)
	log := &until{word: "msg=\"started"}
	log.end = func() {
		_ = os.Remove(root + config.DefaultFile)
		hangups <- unix.SIGHUP
		log.word, log.end = "reload", cancel
	}
	status := Main(ctx, Process{Version: "1.2.3-test", Root: root, Hangups: hangups, Stdout: log, Stderr: log}, []string{
		program, "daemon", "--dir", filepath.Join(t.TempDir(), "d"), "--node", "n1", "--endpoints", "127.0.0.1:1", "--etcd-timeout", "100ms",
		"--listen", "off", "--drill-schedule", "off", "--min-free", "0",
	})
	want := "config.yaml was there at the start and is gone: put it back"
	if text := log.text.String(); status != exitDone || !strings.Contains(text, "reload failed") || !strings.Contains(text, want) {
		t.Errorf("status %d:\n%s", status, text)
	}
}
