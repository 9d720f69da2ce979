package drill

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

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

// Main is the child of Start: it does the one drill that it is told of on stdin, tells on stdout how far it is, and ends
// when stdin does, for then the parent is gone, and removes the scratch directory in its stead. The error is for nobody
// but who looks at the exit status; it was told on stdout.
func Main(ctx context.Context, stdin io.Reader, stdout io.Writer) error {
	out := &speaker{w: stdout}
	var o order
	if err := json.NewDecoder(io.LimitReader(stdin, maxMessage)).Decode(&o); err != nil || !isScratch(o.Dir) {
		return errors.Join(errNoParent, out.say(failure(errNoParent)))
	}
	preferThis()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		_, _ = io.Copy(io.Discard, stdin) // whatever ended it, nobody is there any more
		cancel(errOrphaned)
	}()

	result, err := runWithin(ctx, Options{Archive: os.NewFile(archiveFD, "archive"), Dir: o.Dir, MinFree: o.MinFree, Progress: out.step})
	if errors.Is(context.Cause(ctx), errOrphaned) {
		return errors.Join(errOrphaned, os.RemoveAll(o.Dir))
	}
	if err == nil {
		result.Nice, err = niceness()
	}
	if err != nil {
		return errors.Join(err, out.say(failure(err)))
	}
	return out.say(message{Result: &result})
}

// runWithin is Run, given up on when it has not ended a while after ctx.
func runWithin(ctx context.Context, o Options) (Result, error) {
	type outcome struct {
		Result
		error
	}
	done := make(chan outcome, 1)
	go func() {
		r, err := Run(ctx, o)
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

// isScratch keeps whoever calls the child by hand from losing a directory.
func isScratch(dir string) bool {
	return filepath.IsAbs(dir) && strings.HasPrefix(filepath.Base(dir), snapshot.ScratchPrefix)
}

// preferThis lets the kernel kill this process before any other when memory is short. Where it can't be said, as in some
// containers, it is killed in its turn.
func preferThis() {
	_ = os.WriteFile("/proc/self/oom_score_adj", fmt.Append(nil, 1000), 0)
}
