package command

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"etcd-rolling-backup/daemon"
	"etcd-rolling-backup/metrics"
	"etcd-rolling-backup/s3"
	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/drill"
)

func onDiskError(errno syscall.Errno) error {
	return fmt.Errorf("drill: restore: %w", &fs.PathError{Op: "write", Path: "/x", Err: errno})
}

// A disk that becomes full on the way says nothing about a snapshot; all else that ends a drill does, or has to be looked into.
func TestHinderedDrill(t *testing.T) {
	for _, tc := range []struct {
		err    error
		skip   bool
		status int // of verify --restore
	}{
		{nil, false, exitDone},
		{drill.ErrSkipped, true, exitFailed},
		{drill.ErrMemory, true, exitFailed},
		{fmt.Errorf("drill: unpack: %w", snapshot.ErrLowSpace), true, exitFailed},
		{onDiskError(syscall.ENOSPC), true, exitFailed},
		{onDiskError(syscall.EDQUOT), true, exitFailed},
		{onDiskError(syscall.EIO), false, exitFailed},
		{onDiskError(syscall.EROFS), false, exitFailed},
		{errors.New("strange"), false, exitFailed},
		{fmt.Errorf("drill: compare: %w", drill.ErrContents), false, exitDamaged},
		{fmt.Errorf("drill: boot: %w", drill.ErrStart), false, exitDamaged},
		// The finding stands, whatever came of tidying up after it.
		{errors.Join(snapshot.ErrDamaged, onDiskError(syscall.ENOSPC)), false, exitDamaged},
	} {
		err := unlessHindered(tc.err)
		if errors.Is(err, daemon.ErrSkipped) != tc.skip || fmt.Sprint(err) != fmt.Sprint(tc.err) {
			t.Errorf("%v became %v", tc.err, err)
		}
		if got := exitStatus(tc.err); got != tc.status {
			t.Errorf("%v: status %d, want %d", tc.err, got, tc.status)
		}
	}
}

// The log has the class that reason gives, and the counter has the same one.
func TestDrillsAreCountedAsTheyAreLogged(t *testing.T) {
	for _, tc := range []struct {
		err  error
		want metrics.Reason
	}{
		{drill.ErrSkipped, metrics.LowSpace},
		{drill.ErrMemory, metrics.LowMemory},
		{onDiskError(syscall.ENOSPC), metrics.LowSpace},
		{onDiskError(syscall.EIO), metrics.Disk},
		{onDiskError(syscall.EROFS), metrics.Disk},
		{s3.ErrHost, metrics.Host},
		{s3.ErrConnection, metrics.Connection},
		{context.Canceled, metrics.Other},
		{context.DeadlineExceeded, metrics.Timeout},
		{errors.New("strange"), metrics.Other},
	} {
		wantCounted(t, "skipped", skippedDrill{tc.err}, tc.want)
	}
	for _, tc := range []struct {
		err  error
		want metrics.Reason
	}{
		{snapshot.ErrDamaged, metrics.Damaged},
		{drill.ErrContents, metrics.Contents},
		{drill.ErrStart, metrics.Start},
		{onDiskError(syscall.EIO), metrics.Disk},
		{syscall.EROFS, metrics.Disk},
		{context.Canceled, metrics.Other},
		{context.DeadlineExceeded, metrics.Other},
		{errors.New("strange"), metrics.Other},
	} {
		wantCounted(t, "failure", tc.err, tc.want)
	}
}

func wantCounted(t *testing.T, result string, err error, want metrics.Reason) {
	t.Helper()
	got := reason(metrics.Drill, fmt.Errorf("outer: %w", err))
	if got != want {
		t.Errorf("%s, %v: %s, want %s", result, err, got, want)
	}
	m := metrics.New(metrics.Options{Drill: true})
	m.Rebuilt()
	if result == "failure" {
		m.Failed(metrics.Drill, time.Now(), "", got, err.Error())
	} else {
		m.Skipped(metrics.Drill, time.Now(), got)
	}
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	series := fmt.Sprintf("etcd_rolling_backup_runs_total{kind=%q,reason=%q,result=%q} 1\n", "drill", got, result)
	if !strings.Contains(w.Body.String(), series) {
		t.Errorf("%s, %v: the scrape lacks %s", result, err, series)
	}
}

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
	if status != exitDone || !strings.Contains(text, "level=warning msg=\"removing what a restore drill has left failed") {
		t.Errorf("status %d:\n%s", status, text)
	}
}
