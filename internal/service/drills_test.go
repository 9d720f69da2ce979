package service

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"strings"
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
		err  error
		skip bool
	}{
		{nil, false},
		{drill.ErrSkipped, true},
		{drill.ErrMemory, true},
		{fmt.Errorf("drill: unpack: %w", snapshot.ErrLowSpace), true},
		{onDiskError(syscall.ENOSPC), true},
		{onDiskError(syscall.EDQUOT), true},
		{onDiskError(syscall.EIO), false},
		{onDiskError(syscall.EROFS), false},
		{errors.New("strange"), false},
		{fmt.Errorf("drill: compare: %w", drill.ErrContents), false},
		{fmt.Errorf("drill: boot: %w", drill.ErrStart), false},
		// The finding stands, whatever came of tidying up after it.
		{errors.Join(snapshot.ErrDamaged, onDiskError(syscall.ENOSPC)), false},
	} {
		err := markSkipped(tc.err)
		if errors.Is(err, daemon.ErrSkipped) != tc.skip || fmt.Sprint(err) != fmt.Sprint(tc.err) {
			t.Errorf("%v became %v", tc.err, err)
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
