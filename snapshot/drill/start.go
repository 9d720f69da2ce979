package drill

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/input"
)

// killAfter is how long a child has after it was asked to stop.
const killAfter = 2 * stopTimeout

// Child configures a drill in its own process.
type Child struct {
	// Command runs Main with its stdin and stdout: this program with a hidden subcommand. /proc/self/exe works even after a newer
	// version has replaced the file.
	Command  []string
	File     *os.File      // a snapshot in any form, which needs no name; the child reads it, and Start does not close it
	RawSize  int64         // bytes of its database; 0: as the file itself says
	Scratch  *snapshot.Dir // where the scratch directory is created and removed
	MinFree  int64         // bytes that must stay free on Scratch's disk
	Progress func(Step)    // may be nil; must not block
	Journal  *Journal      // nil: the snapshot alone
}

// Start does one drill in a child process and returns when the process has exited and the scratch directory is removed; if it can't be
// removed, that is a warning in the Result. ctx limits it; a child has two seconds to stop. First it removes leftovers of dead drills in
// Scratch.
//
// Without enough disk space or memory the error wraps ErrSkipped, and no process is started, except for a database with very many
// small keys. A child that somebody else killed (SIGKILL) most likely ran out of memory and wraps ErrMemory. Other errors wrap
// snapshot.ErrDamaged if the archive is at fault; ErrStart or ErrContents if it is intact, but the etcd restored from it does not
// start or has other content; snapshot.ErrLowSpace or the system's own error if the disk filled up or failed. The crash of a
// child is none of these.
func Start(ctx context.Context, c Child) (r Result, err error) {
	// Leftovers of another user, which we may not remove, matter only if space is low.
	_, left := RemoveLeftovers(c.Scratch)
	info, err := c.File.Stat()
	if err != nil {
		return r, err
	}
	if c.RawSize == 0 {
		in, err := input.Open(c.File, info.Size())
		if err == nil {
			err = in.Damage
		}
		if err != nil {
			return r, err
		}
		c.RawSize = max(in.Size, 0)
	}
	need := c.needs()
	if err := enough(c.Scratch, c.MinFree, need); err != nil {
		return r, errors.Join(err, left)
	}
	s, err := newScratch(c.Scratch.Path())
	if err != nil {
		return r, err
	}
	r, err = c.run(ctx, s, need)
	if errors.Is(err, ErrStart) && snapshot.Unsupported(s.lock.Sync()) {
		err = fmt.Errorf("%w: the file system of %s can't sync directories, and etcd needs that", ErrSkipped, c.Scratch.Path()) // not the snapshot's fault
	}
	if left := s.remove(); err != nil {
		err = errors.Join(err, left)
	} else if left != nil {
		r.Warnings = append(r.Warnings, left.Error())
	}
	return r, err
}

// run starts the child and waits for it.
func (c Child) run(ctx context.Context, s *scratch, need room) (Result, error) {
	cmd := exec.CommandContext(ctx, c.Command[0], c.Command[1:]...)
	cmd.Dir = s.path
	cmd.Env = environment(need)
	cmd.ExtraFiles = []*os.File{c.File, s.lock} // archiveFD, lockFD
	o := order{MinFree: c.MinFree}
	if j := c.Journal; j != nil {
		o.Sections, o.Revision, o.Prove = j.Sections, j.Revision, j.Base != nil
		cmd.ExtraFiles = append(cmd.ExtraFiles, j.File) // journalFD
		if j.Base != nil {
			cmd.ExtraFiles = append(cmd.ExtraFiles, j.Base) // baseFD
		}
	}
	messages, complaints := &messageReader{progress: c.Progress}, &lastWords{}
	cmd.Stdout, cmd.Stderr = messages, complaints
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return Result{}, err
	}
	cmd.Cancel, cmd.WaitDelay = stdin.Close, killAfter
	killsBefore, _ := oomKills(os.DirFS("/"))
	if err := startLow(cmd); err != nil {
		return Result{}, fmt.Errorf("start the drill's process: %w", err)
	}
	orderErr := json.NewEncoder(stdin).Encode(o)
	waitErr := cmd.Wait()
	switch {
	case messages.result != nil && waitErr == nil:
		return *messages.result, nil
	case ctx.Err() != nil:
		return Result{}, fmt.Errorf("drill: %w", context.Cause(ctx))
	case messages.failed != nil:
		return Result{}, messages.failed
	case messages.invalid != nil:
		return Result{}, messages.invalid
	case waitErr == nil:
		waitErr = errors.New("it exited without a result")
	case killed(waitErr):
		killsAfter, counted := oomKills(os.DirFS("/"))
		return Result{}, outOfMemory(killsAfter-killsBefore, counted)
	}
	if reason := complaints.reason(); reason != "" {
		waitErr = fmt.Errorf("%w: %s", waitErr, reason)
	}
	if errors.Is(orderErr, unix.EPIPE) || errors.Is(orderErr, os.ErrClosed) { // it exited before it read its order
		orderErr = nil
	}
	return Result{}, fmt.Errorf("the drill's process: %w", errors.Join(waitErr, orderErr))
}

// killed reports whether a process got SIGKILL, which no process can catch.
func killed(waitErr error) bool {
	exit, ok := errors.AsType[*exec.ExitError](waitErr)
	if !ok {
		return false
	}
	status, ok := exit.Sys().(syscall.WaitStatus)
	return ok && status.Signal() == syscall.SIGKILL
}

// outOfMemory is the error of a child that another process or the kernel killed. The kernel does this when memory runs out, to
// this child first (oom_score_adj); this says nothing about the snapshot. kills is how many processes the kernel killed for that
// reason meanwhile.
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

// environment is everything that a child gets: none of our secrets, and none of the ETCD_ variables, which a server reads as
// settings. One CPU is enough; the memory limit makes Go collect garbage in time and is not a hard limit.
func environment(need room) []string {
	return []string{"TMPDIR=" + lockedDir, "GOMAXPROCS=1", "GOMEMLIMIT=" + strconv.FormatInt(need.memory, 10), "GOTRACEBACK=single"}
}

// lastWords keeps the most useful line of a child's stderr: the first one with which Go's runtime gave up, otherwise the last one.
type lastWords struct {
	lines
	said  string
	crash bool
}

func (w *lastWords) Write(p []byte) (int, error) { return w.split(p, w.hear), nil }

func (w *lastWords) hear(line []byte) {
	text := strings.TrimSpace(string(line))
	if text != "" && !w.crash {
		w.said, w.crash = text, strings.HasPrefix(text, "panic:") || strings.HasPrefix(text, "fatal error:")
	}
}

// reason returns that line, shortened.
func (w *lastWords) reason() string {
	w.hear(w.line) // the end, if no newline follows it
	const longest = 300
	if len(w.said) > longest {
		return w.said[:longest] + "…"
	}
	return w.said
}

const (
	lowestNice = 19

	// linux/ioprio.h
	ioprioWhoProcess = 1
	ioprioClassShift = 13
	ioprioClassIdle  = 3
)

// startLow starts a process at the lowest priority for CPU and disk. On Linux both belong to threads, and a process inherits them
// from the thread that forks it. So all its threads have them from their first instruction. That thread exits here, because
// raising the priority again needs privileges.
func startLow(cmd *exec.Cmd) error {
	started := make(chan error, 1)
	go func() { started <- startOnThread(cmd) }()
	return <-started
}

// startOnThread uses up the thread of its goroutine, which exits with it.
func startOnThread(cmd *exec.Cmd) error {
	runtime.LockOSThread() // never unlocked, so the thread exits with its goroutine
	if unix.Gettid() == unix.Getpid() {
		// The main thread never exits, and its priority counts as the whole process's. It stays busy here, so the next try gets
		// another thread.
		defer runtime.UnlockOSThread()
		return startLow(cmd)
	}
	if err := lowerThread(); err != nil {
		return err
	}
	return cmd.Start()
}

// lowerThread lowers the priority of the calling thread. A sandbox that refuses this, such as systemd's @resources, does not
// prevent the drill; Result.Nice shows it.
func lowerThread() error {
	if err := unix.Setpriority(unix.PRIO_PROCESS, 0, lowestNice); err != nil && !refused(err) {
		return fmt.Errorf("lower the priority: %w", err)
	}
	const idle = ioprioClassIdle << ioprioClassShift
	if _, _, err := unix.Syscall(unix.SYS_IOPRIO_SET, ioprioWhoProcess, 0, idle); err != 0 && !refused(err) {
		return fmt.Errorf("lower the priority for the disk: %w", err)
	}
	return nil
}

func refused(err error) bool {
	return errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) || errors.Is(err, unix.ENOSYS)
}

// niceness returns the niceness of the calling thread.
func niceness() (int, error) {
	// The system call returns 20 minus the niceness, so that no result is negative.
	raw, err := unix.Getpriority(unix.PRIO_PROCESS, 0)
	return 20 - raw, err
}
