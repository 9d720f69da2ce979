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

// exitLimit bounds the wait for a process that was sent SIGKILL; longer means that the kernel holds it.
const exitLimit = 20 * time.Second

// process is one child. The fields after done may be read once done is closed.
type process struct {
	child *os.Process
	done  chan struct{} // closed when the process is gone and was waited for
	exit  string        // how it ended, such as "exit status 1"
}

// startProcess runs a program with its output appended to the log. It outlives its caller, yet not this program:
// the kernel sends a parent-death signal when the *thread* that forked ends. So one goroutine keeps that thread for itself
// from the fork until the child is gone; no other goroutine can end the thread, and the signal comes only with the end of all.
func startProcess(program string, args, env []string, log *os.File) (*process, error) {
	cmd := exec.Command(program, args...)
	cmd.Env = env
	cmd.Stdout, cmd.Stderr = log, log
	// A group of its own: Ctrl-C in a terminal must not reach the servers before the program that owns them.
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
		_ = cmd.Wait() // says nothing that the state does not
		p.exit = cmd.ProcessState.String()
		close(p.done)
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

// Environ is the environment of this program without the variables whose names begin with one of the prefixes, from which a server
// would take settings that contradict ours, and without the socket on which it would tell systemd that its parent is ready.
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

// wait returns nil when the process has ended, whatever its exit status, or the context's error.
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

// pause sends SIGSTOP and returns when the kernel reports the process stopped: from then on it answers nothing.
func (p *process) pause(ctx context.Context) error {
	if err := p.child.Signal(syscall.SIGSTOP); err != nil {
		return fmt.Errorf("stop process %d: %w", p.child.Pid, err)
	}
	return Poll(ctx, time.Millisecond, func() (bool, error) {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.child.Pid))
		if err != nil {
			return false, err
		}
		// The state is the field after the name, which stands in parentheses and may hold anything: proc_pid_stat(5).
		state := text[bytes.LastIndexByte(text, ')')+1:]
		return bytes.HasPrefix(state, []byte(" T")), nil
	})
}
