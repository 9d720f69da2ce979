package proctest

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

// exitLimit bounds the wait for a process after SIGKILL; if it takes longer, the process is blocked in the kernel.
const exitLimit = 20 * time.Second

// process is one child. The fields after done may be read once done is closed.
type process struct {
	child *os.Process
	done  chan struct{} // closed once the process has exited and was waited for
	exit  string        // how it exited, such as "exit status 1"
}

// startProcess runs a program with its output appended to the log. The process must survive its caller but not this program. The
// kernel sends the parent-death signal when the *thread* that forked exits. So one goroutine locks that thread from the fork until
// the child has exited; then the signal comes only when this program exits.
func startProcess(program string, args, env []string, dir string, log *os.File) (*process, error) {
	cmd := exec.Command(program, args...)
	cmd.Env, cmd.Dir = env, dir
	cmd.Stdout, cmd.Stderr = log, log
	// A process group of its own: Ctrl-C in a terminal must not reach the servers before the program that owns them.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}

	p := &process{done: make(chan struct{})}
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		p.child = cmd.Process
		started <- err
		if err != nil {
			return
		}
		_ = cmd.Wait() // the process state has the same information
		p.exit = cmd.ProcessState.String()
		close(p.done)
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

// Environ returns the environment of this program without the variables whose names begin with one of the prefixes, because a server
// would read settings from them, and without systemd's notification socket.
func Environ(prefixes ...string) []string {
	return slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, "NOTIFY_SOCKET=") ||
			slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(v, p) })
	})
}

func (p *process) running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// wait returns nil once the process has exited with any status, or the context's error.
func (p *process) wait(ctx context.Context) error {
	select {
	case <-p.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for process %d: %w", p.child.Pid, context.Cause(ctx))
	}
}

func (p *process) kill() error {
	if !p.running() {
		return nil
	}
	if err := p.child.Kill(); err != nil && p.running() {
		return fmt.Errorf("kill process %d: %w", p.child.Pid, err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), exitLimit)
	defer cancel()
	return p.wait(ctx)
}

// pause sends SIGSTOP and returns once the kernel reports the process as stopped.
func (p *process) pause(ctx context.Context) error {
	if err := p.child.Signal(syscall.SIGSTOP); err != nil {
		return fmt.Errorf("stop process %d: %w", p.child.Pid, err)
	}
	return Poll(ctx, time.Millisecond, func() (bool, error) {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.child.Pid))
		if err != nil {
			return false, err
		}
		// The state is the field after the name, which is in parentheses and may contain any character: proc_pid_stat(5).
		state := text[bytes.LastIndexByte(text, ')')+1:]
		return bytes.HasPrefix(state, []byte(" T")), nil
	})
}
