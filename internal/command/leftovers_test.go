package command

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"etcd-rolling-backup/snapshot"
)

// until is a log that calls end once it has a line with the word.
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

// What can't be removed of another's drill keeps no daemon from starting.
func TestLeftoversDoNotKeepTheDaemonFromStarting(t *testing.T) {
	dir := t.TempDir()
	// Root may do all that others may not, but lock a directory as a file.
	must(t, os.MkdirAll(filepath.Join(dir, snapshot.ScratchPrefix+"1", "lock"), 0o700))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	log := &until{word: "msg=\"started", end: cancel}
	status := Main(ctx, "1.2.3-test", []string{
		program, "daemon", "--dir", dir, "--node", "n1", "--endpoints", "127.0.0.1:1", "--etcd-timeout", "100ms",
		"--listen", "off", "--drill-schedule", "off", "--min-free", "0",
	}, log, log)
	text := log.text.String()
	if status != exitDone || !strings.Contains(text, "level=warning msg=\"removing what a restore drill had left failed") {
		t.Errorf("status %d:\n%s", status, text)
	}
}
