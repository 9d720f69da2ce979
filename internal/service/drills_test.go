package service

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"etcd-rolling-backup/daemon"
	"etcd-rolling-backup/daemon/status"
	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/s3"
	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/drill"
)

func onDiskError(errno syscall.Errno) error {
	return fmt.Errorf("drill: restore: %w", &fs.PathError{Op: "write", Path: "/x", Err: errno})
}

// A disk that becomes full meanwhile says nothing about the snapshot; whatever else stops a drill does, or must be looked into.
func TestDrillWithoutSpaceIsSkipped(t *testing.T) {
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

// The counter has the same class as the log.
func TestDrillsAreCountedAsTheyAreLogged(t *testing.T) {
	for _, tc := range []struct {
		err  error
		want status.Reason
	}{
		{drill.ErrSkipped, status.LowSpace},
		{drill.ErrMemory, status.LowMemory},
		{onDiskError(syscall.ENOSPC), status.LowSpace},
		{onDiskError(syscall.EIO), status.Disk},
		{onDiskError(syscall.EROFS), status.Disk},
		{s3.ErrHost, status.Host},
		{s3.ErrConnection, status.Connection},
		{context.Canceled, status.Other},
		{context.DeadlineExceeded, status.Timeout},
		{errors.New("strange"), status.Other},
	} {
		wantCounted(t, status.Skipped, skippedDrill{tc.err}, tc.want)
	}
	for _, tc := range []struct {
		err  error
		want status.Reason
	}{
		{snapshot.ErrDamaged, status.Damaged},
		{drill.ErrContents, status.Contents},
		{drill.ErrStart, status.Start},
		{onDiskError(syscall.EIO), status.Disk},
		{syscall.EROFS, status.Disk},
		{context.Canceled, status.Other},
		{context.DeadlineExceeded, status.Other},
		{errors.New("strange"), status.Other},
	} {
		wantCounted(t, status.Failed, tc.err, tc.want)
	}
}

func wantCounted(t *testing.T, result status.Result, err error, want status.Reason) {
	t.Helper()
	got := reason(status.Drill, fmt.Errorf("outer: %w", err))
	if got != want {
		t.Errorf("%s, %v: %s, want %s", result, err, got, want)
	}
	m := status.New(status.Options{Drill: true})
	m.End(status.Drill, time.Now(), status.Outcome{Skipped: result == status.Skipped, Reason: got, Message: err.Error()})
	if n := m.State().Counters.Runs[status.Run{Job: status.Drill, Result: result, Reason: got}]; n != 1 {
		t.Errorf("%s, %v: counted %d times with the reason %s", result, err, n, got)
	}
}

// The report has the name of an archive of which nothing can be read, so that the reason names it.
func TestDrillOfADamagedArchiveNamesIt(t *testing.T) {
	dir := snapshot.NewDir(filepath.Join(t.TempDir(), "store"))
	must(t, dir.Prepare())
	name := snapshot.Name{Set: snapshot.RollingSet, Node: "n1", Time: time.Now().UTC().Truncate(time.Second)}
	must(t, os.WriteFile(filepath.Join(dir.Path(), name.String()), nil, 0o600))
	r, err := doDrill(t.Context(), config.Config{Store: config.Store{Dir: dir.Path(), Node: "n1"}}, config.Local, dir, nil)
	if !errors.Is(err, snapshot.ErrDamaged) || r.Name != name {
		t.Errorf("%v, %v", r.Name, err)
	}
}
