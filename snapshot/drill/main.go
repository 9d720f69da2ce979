package drill

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"etcd-rolling-backup/snapshot"
)

const (
	// archiveFD and lockFD are the file descriptors that a child inherits. It only holds lockFD open: as long as it is open,
	// nobody removes the scratch directory as a leftover.
	archiveFD = 3
	lockFD    = 4

	// stopTimeout is how long a child waits for its own work to stop, after it was asked to stop or lost its parent.
	stopTimeout = time.Second
)

var (
	errNoParent = errors.New("only this program itself may start this: it does one drill for its parent process")
	errOrphaned = errors.New("the process that started the drill is gone")
)

// Main is the child of Start. It runs in the scratch directory, reads its order for one drill from stdin, and reports progress
// and result on stdout. It stops when stdin ends, even before the order, because then the parent is gone. It always removes the
// scratch directory, because there may be no parent left to do that. The error only sets the exit status; stdout has already
// reported it.
func Main(ctx context.Context, stdin io.Reader, stdout io.Writer) (err error) {
	signal.Ignore(unix.SIGPIPE) // otherwise a report that nobody reads would kill this process
	out := &messageWriter{w: stdout}
	dir, err := ownScratch()
	if err != nil {
		return errors.Join(err, out.send(failure(err)))
	}
	defer func() {
		if left := removeScratch(dir); err != nil { // after a reported result the parent removes the directory, and reports if it cannot
			err = errors.Join(err, left)
		}
	}()
	var o order
	if err := json.NewDecoder(io.LimitReader(stdin, maxMessage)).Decode(&o); err != nil {
		return errOrphaned
	}
	preferKill()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		_, _ = io.Copy(io.Discard, stdin) // whatever ended it, the parent is gone
		cancel(errOrphaned)
	}()

	result, err := runWithin(ctx, options{archive: os.NewFile(archiveFD, "archive"), dir: dir, minFree: o.MinFree, progress: out.step})
	if errors.Is(context.Cause(ctx), errOrphaned) {
		return errOrphaned
	}
	if err == nil {
		result.Nice, err = niceness()
	}
	if err != nil {
		return errors.Join(err, out.send(failure(err)))
	}
	return out.send(message{Result: &result})
}

// runWithin calls run and stops waiting for it a while after ctx ends.
func runWithin(ctx context.Context, o options) (Result, error) {
	type outcome struct {
		Result
		error
	}
	done := make(chan outcome, 1)
	go func() {
		r, err := run(ctx, o)
		done <- outcome{r, err}
	}()
	select {
	case end := <-done:
		return end.Result, end.error
	case <-ctx.Done():
	}
	select {
	case end := <-done:
		return end.Result, end.error
	case <-time.After(stopTimeout):
		return Result{}, context.Cause(ctx)
	}
}

// ownScratch returns the absolute path of the directory in which the child was started. The child must hold that directory's
// lock: a user who starts this command manually must not lose a directory.
func ownScratch() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", errors.Join(errNoParent, err)
	}
	held, err := os.Stat(fmt.Sprintf("/proc/self/fd/%d", lockFD)) // an os.File would be closed when it is garbage collected
	if err != nil {
		return "", errNoParent
	}
	lock, err := os.Stat(filepath.Join(dir, scratchLock))
	if err != nil || !os.SameFile(lock, held) || !snapshot.IsTemp(filepath.Base(dir), snapshot.ScratchPrefix) {
		return "", errNoParent
	}
	return dir, nil
}

// preferKill lets the kernel kill this process before any other when memory runs out. Some containers do not allow this; then it
// has no preference.
func preferKill() {
	_ = os.WriteFile("/proc/self/oom_score_adj", fmt.Append(nil, 1000), 0)
}
