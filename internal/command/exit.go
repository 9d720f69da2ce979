package command

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"etcd-rolling-backup/daemon"
	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/internal/printable"
	"etcd-rolling-backup/internal/regular"
	"etcd-rolling-backup/internal/service"
	"etcd-rolling-backup/metrics"
	"etcd-rolling-backup/s3"
	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/browse"
	"etcd-rolling-backup/snapshot/input"
	"etcd-rolling-backup/snapshot/member"
	"etcd-rolling-backup/snapshot/peer"
	"etcd-rolling-backup/snapshot/restore"
)

// Exit statuses, as docs/CLI.md promises them.
const (
	exitDone    = 0
	exitFailed  = 1
	exitUsage   = 2
	exitDamaged = 3
)

var errStopped = errors.New("stopped by a signal")

// partialError is an error after a part of the work was done: whatever it wraps, its exit status is not that of wrong usage.
type partialError struct{ error }

func (e partialError) Unwrap() error { return e.error }

// exitStatus is the one place that maps errors to exit statuses.
func exitStatus(err error) int {
	switch {
	case err == nil:
		return exitDone
	case errors.Is(err, snapshot.ErrDamaged), errors.Is(err, input.ErrForm): // whatever the file is called
		return exitDamaged
	case errors.As(err, &partialError{}):
		return exitFailed
	}
	usage := []error{
		config.ErrUsage, snapshot.ErrName, snapshot.ErrUnusableDir, daemon.ErrSchedule, member.ErrConfig, member.ErrDifferentClusters, s3.ErrConfig,
		browse.ErrRevision, peer.ErrConfig, restore.ErrCluster, restore.ErrOwner, restore.ErrTarget, restore.ErrOccupied, errMembersRun, errOtherCluster, metrics.ErrWebConfig, daemon.ErrHeartbeat, regular.ErrUnusable,
	}
	if slices.ContainsFunc(usage, func(target error) bool { return errors.Is(err, target) }) {
		return exitUsage
	}
	return exitFailed
}

// report prints an error as one line.
func report(w io.Writer, err error) { fmt.Fprintln(w, program+": "+printable.Text(line(err))) }

// line is an error's text in one line. The findings of check have already said all there is to say.
func line(err error) string {
	if _, ok := errors.AsType[*checkError](err); ok {
		return config.OneLine(err.Error())
	}
	return service.ErrorLine(err)
}
