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
	// archiveFD and lockFD are the descriptors that a child inherits. The second one is only held: while it is open, nobody
	// takes the scratch directory for a leftover.
	archiveFD = 3
	lockFD    = 4

	// patience is how long a child that was told to stop, or has lost its parent, waits for its own work to end.
	patience = time.Second
)

var (
	errNoParent = errors.New("this is for the program's own use: it does one drill for the process that started it")
	errOrphaned = errors.New("the process that ordered the drill is gone")
)

// Main is the child of Start: in the scratch directory it was started in it does the one drill that it is told of on stdin,
// and tells on stdout how far it is. It ends when stdin does, also before it was told anything, for then the parent is gone.
// Whatever ends it, it removes the scratch directory: there may be no parent left to do that. The error is for nobody but
// who looks at the exit status; it was told on stdout.
func Main(ctx context.Context, stdin io.Reader, stdout io.Writer) (err error) {
	signal.Ignore(unix.SIGPIPE) // a step that nobody hears would end this process on the spot
	out := &speaker{w: stdout}
	dir, err := ownScratch()
	if err != nil {
		return errors.Join(err, out.say(failure(err)))
	}
	defer func() {
		if left := removeScratch(dir); err != nil { // after a result that was told the parent removes it, and tells
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
		_, _ = io.Copy(io.Discard, stdin) // whatever ended it, nobody is there any more
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
		return errors.Join(err, out.say(failure(err)))
	}
	return out.say(message{Result: &result})
}

// runWithin is run, given up on when it has not ended a while after ctx.
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
	case <-time.After(patience):
		return Result{}, context.Cause(ctx)
	}
}

// ownScratch is the directory the child was started in, absolute. That it holds the lock of that directory tells it from
// one that is called by hand, who shall not lose a directory.
func ownScratch() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", errors.Join(errNoParent, err)
	}
	held, err := os.Stat(fmt.Sprintf("/proc/self/fd/%d", lockFD)) // an os.File would be closed when collected
	if err != nil {
		return "", errNoParent
	}
	lock, err := os.Stat(filepath.Join(dir, scratchLock))
	if err != nil || !os.SameFile(lock, held) || !snapshot.IsTemp(filepath.Base(dir), snapshot.ScratchPrefix) {
		return "", errNoParent
	}
	return dir, nil
}

// preferKill lets the kernel kill this process before any other when memory is short. Where it can't be said, as in some
// containers, it is killed in its turn.
func preferKill() {
	_ = os.WriteFile("/proc/self/oom_score_adj", fmt.Append(nil, 1000), 0)
}
