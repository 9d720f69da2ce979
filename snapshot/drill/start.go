package drill

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"etcd-rolling-backup/snapshot"
)

// killAfter is how long a child that was told to end has for it.
const killAfter = 2 * patience

// How much of the beginning and the end of a child's stderr is kept, bytes. A crash begins with its reason.
const (
	stderrHead = 4 << 10
	stderrTail = 4 << 10
)

// Child says how a drill is started in a process of its own.
type Child struct {
	// Command runs Main with its stdin and stdout: this very program with a hidden subcommand. /proc/self/exe as the program
	// is right also when the file has been replaced by a newer version.
	Command  []string
	File     *os.File      // an archive of ours, which needs no name; it is read by the child and not closed
	Scratch  *snapshot.Dir // where the scratch directory is made and removed
	MinFree  int64         // bytes that stay free on Scratch's disk
	Progress func(Step)    // may be nil; must not block
}

// Start does one drill in a child process and returns when that is gone, and the scratch directory with it. ctx bounds it; a
// child that is told to end has two seconds for it. What drills that died have left in Scratch goes first. Without enough room
// the error wraps ErrSkipped and, but for a database of very many small keys, nothing is begun; a child that somebody else killed
// (SIGKILL) most likely ran out of memory and wraps ErrMemory. Errors wrap snapshot.ErrDamaged
// where the archive is at fault; ErrStart or ErrContents where it is whole and no etcd comes of it that holds the same;
// snapshot.ErrLowSpace or the system's own where the disk was filled or failed meanwhile. That the child crashed is none of these.
func Start(ctx context.Context, c Child) (r Result, err error) {
	// What others have left and we may not remove is theirs, and our trouble only where there is no room beside it.
	_, left := RemoveLeftovers(c.Scratch)
	info, err := c.File.Stat()
	if err != nil {
		return r, err
	}
	archive, err := snapshot.OpenArchive(c.File, info.Size())
	if err != nil {
		return r, err
	}
	need := needs(archive.Manifest.RawSize)
	if err := enough(c.Scratch, c.MinFree, need); err != nil {
		return r, errors.Join(err, left)
	}
	s, err := newScratch(c.Scratch.Path())
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, s.remove()) }()
	return c.run(ctx, s, need)
}

// run starts the child and waits for it.
func (c Child) run(ctx context.Context, s *scratch, need room) (Result, error) {
	cmd := exec.CommandContext(ctx, c.Command[0], c.Command[1:]...)
	cmd.Dir = s.path
	cmd.Env = environment(s.path, need)
	cmd.ExtraFiles = []*os.File{c.File, s.lock} // archiveFD, lockFD
	heard, complaints := &listener{progress: c.Progress}, &ends{}
	cmd.Stdout, cmd.Stderr = heard, complaints
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return Result{}, err
	}
	cmd.Cancel, cmd.WaitDelay = stdin.Close, killAfter
	killsBefore, _ := oomKills(os.DirFS("/"))
	if err := startLow(cmd); err != nil {
		return Result{}, fmt.Errorf("start a process for the drill: %w", err)
	}
	orderErr := json.NewEncoder(stdin).Encode(order{MinFree: c.MinFree})
	waitErr := cmd.Wait()
	switch {
	case heard.result != nil && waitErr == nil:
		return *heard.result, nil
	case ctx.Err() != nil:
		return Result{}, fmt.Errorf("drill: %w", context.Cause(ctx))
	case heard.failed != nil:
		return Result{}, heard.failed
	case heard.garbled != nil:
		return Result{}, heard.garbled
	case waitErr == nil:
		waitErr = errors.New("it ended without a result")
	case killed(waitErr):
		killsAfter, counted := oomKills(os.DirFS("/"))
		return Result{}, outOfMemory(killsAfter-killsBefore, counted)
	}
	return Result{}, fmt.Errorf("the drill's process: %w", errors.Join(crash(waitErr, complaints.reason()), unlessPipe(orderErr)))
}

// killed reports whether a process got SIGKILL, from which no process can protect itself.
func killed(waitErr error) bool {
	var exit *exec.ExitError
	if !errors.As(waitErr, &exit) {
		return false
	}
	status, ok := exit.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGKILL
}

// outOfMemory is the error of a child that was killed while we wanted it to run. The kernel does this when memory runs out, to this
// child first (preferKill), and says nothing about the snapshot by it. kills is how many processes it killed for that meanwhile.
func outOfMemory(kills int64, counted bool) error {
	switch {
	case counted && kills > 0:
		return fmt.Errorf("%w: the kernel killed its process because memory ran out", ErrMemory)
	case counted:
		return fmt.Errorf("%w: its process was killed (SIGKILL), although the kernel reports no kill for lack of memory", ErrMemory)
	default:
		return fmt.Errorf("%w: its process was killed (SIGKILL), most likely because memory ran out: see `dmesg`", ErrMemory)
	}
}

// environment is all that a child gets to know: no secret of ours, and none of the ETCD_ variables, from which a server takes
// settings. One processor is enough; limits make Go collect garbage in time, and bound nothing.
func environment(dir string, need room) []string {
	return []string{"TMPDIR=" + dir, "GOMAXPROCS=1", "GOMEMLIMIT=" + strconv.FormatInt(need.memory, 10), "GOTRACEBACK=single"}
}

func crash(err error, reason string) error {
	if reason == "" {
		return err
	}
	return fmt.Errorf("%w: %s", err, reason)
}

// unlessPipe passes over the trace of a child that ended before it read its order.
func unlessPipe(err error) error {
	if errors.Is(err, unix.EPIPE) || errors.Is(err, os.ErrClosed) {
		return nil
	}
	return err
}

// ends keeps the beginning and the end of what is written.
type ends struct {
	mu         sync.Mutex
	head, tail []byte
}

func (e *ends) Write(p []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if room := stderrHead - len(e.head); room > 0 {
		e.head = append(e.head, p[:min(room, len(p))]...)
	}
	e.tail = append(e.tail, p...)
	e.tail = e.tail[max(0, len(e.tail)-stderrTail):]
	return len(p), nil
}

// reason is the line that says most: where Go's runtime gave up the first one of that, else the last one.
func (e *ends) reason() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	last := ""
	for _, line := range strings.Split(string(e.head)+"\n"+string(e.tail), "\n") {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "panic:") || strings.HasPrefix(line, "fatal error:") {
			return bounded(line)
		}
		if line != "" {
			last = line
		}
	}
	return bounded(last)
}

// bounded keeps an error readable.
func bounded(line string) string {
	const longest = 300
	if len(line) > longest {
		return line[:longest] + "…"
	}
	return line
}
