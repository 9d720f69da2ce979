package command

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"

	"etcd-rolling-backup/daemon"
	"etcd-rolling-backup/metrics"
	"etcd-rolling-backup/s3"
	"etcd-rolling-backup/snapshot"
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

// errUsage marks what the user wrote and has to mend: a flag, a key, an argument.
var errUsage = errors.New("usage")

var errStopped = errors.New("stopped by a signal")

// usageError prints its text alone and is errUsage.
type usageError struct{ error }

func (usageError) Is(target error) bool { return target == errUsage }
func (e usageError) Unwrap() error      { return e.error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// halfDone is an error after something was done, which no wrong configuration may hide.
type halfDone struct{ error }

func (e halfDone) Unwrap() error { return e.error }

// exitStatus is the one place that maps errors to exit statuses.
func exitStatus(err error) int {
	switch {
	case err == nil:
		return exitDone
	case errors.Is(err, snapshot.ErrDamaged):
		return exitDamaged
	case errors.As(err, &halfDone{}):
		return exitFailed
	}
	for _, usage := range []error{
		errUsage, snapshot.ErrName, snapshot.ErrUnusableDir, daemon.ErrSchedule, member.ErrConfig, member.ErrDifferentClusters, s3.ErrConfig,
		peer.ErrConfig, restore.ErrCluster, restore.ErrOwner, restore.ErrTarget, restore.ErrOccupied, metrics.ErrWebConfig, daemon.ErrHeartbeat,
	} {
		if errors.Is(err, usage) {
			return exitUsage
		}
	}
	return exitFailed
}

// report prints an error as one line.
func report(w io.Writer, err error) { fmt.Fprintln(w, "etcd-rolling-backup: "+line(err)) }

// line is an error's text for people, in one line and with the mend where the error itself can't know it.
func line(err error) string {
	var failed *checkError
	text := err.Error()
	switch {
	case errors.As(err, &failed): // its parts have told all that there is to tell
	case errors.Is(err, metrics.ErrListen) && errors.Is(err, syscall.EADDRINUSE):
		text += " (--listen: give another address, or off; is a daemon running already?)"
	case errors.Is(err, metrics.ErrListen) && errors.Is(err, syscall.EACCES):
		text += " (--listen: this user may not take that port: give one above 1023)"
	case errors.Is(err, metrics.ErrListen):
		text += " (--listen: give an address of this machine, or :PORT for all of them)"
	case errors.Is(err, syscall.EROFS): // systemd's sandbox does it as well as the kernel
		text += " (the file system is read-only: `dmesg` says why; remount it writable, or name the directory in the unit's ReadWritePaths=)"
	case errors.Is(err, syscall.EIO) || errors.Is(err, syscall.EUCLEAN):
		text += " (the disk fails: `dmesg` says why)"
	case errors.Is(err, syscall.ESTALE):
		text += " (the NFS server has lost it: mount it anew)"
	case errors.Is(err, snapshot.ErrUnusableDir):
		text += " (--dir: give one that is there and that this user may write to)"
	}
	return joined(text)
}

// joined makes one line of a text: errors.Join puts a line break between its parts, and some begin a list with it.
func joined(text string) string {
	var out strings.Builder
	for part := range strings.SplitSeq(text, "\n") {
		switch part = strings.TrimSpace(part); {
		case part == "":
			continue
		case strings.HasSuffix(out.String(), ":"):
			out.WriteString(" ")
		case out.Len() > 0:
			out.WriteString("; ")
		}
		out.WriteString(part)
	}
	return out.String()
}
