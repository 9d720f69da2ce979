package e2e_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// endLimit bounds the wait for the end of a process that has something to do; a busy machine needs some of it.
const endLimit = 3 * time.Minute

// process is one run of a program.
type process struct {
	cmd            *exec.Cmd
	stdout, stderr output
	done           chan struct{} // closed when the process is gone
}

// output may be read while the process writes.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// start runs the program. It ends with the test at the latest.
func start(t testing.TB, args ...string) *process {
	t.Helper()
	return launch(t, exec.Command(lean, args...))
}

// startChecked is start with the race detector. Such a daemon takes ten times as long to start, so it is for tests in which much of it happens at once.
func startChecked(t testing.TB, args ...string) *process {
	t.Helper()
	return launch(t, exec.Command(withDetector(t), args...))
}

// withDetector is the program with the race detector.
func withDetector(t testing.TB) string {
	t.Helper()
	path, err := checked()
	must(t, err)
	return path
}

// startWith is start with a variable in the environment; none when it is empty.
func startWith(t testing.TB, variable string, args ...string) *process {
	t.Helper()
	cmd := exec.Command(lean, args...)
	if variable != "" {
		cmd.Env = []string{variable}
	}
	return launch(t, cmd)
}

// launch starts a command. The kernel kills the child when the thread that forked it ends; one goroutine keeps the thread
// for itself until the child is gone, so that the child outlives its caller, yet not the tests.
func launch(t testing.TB, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{cmd: cmd, done: make(chan struct{})}
	cmd.Env = slices.Concat(cleanEnv(), cmd.Env)
	cmd.Stdout, cmd.Stderr = &p.stdout, &p.stderr
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // says nothing that the state does not
			close(p.done)
		}
	}()
	must(t, <-started)
	t.Cleanup(p.kill)
	return p
}

// cleanEnv is the environment without what sets flags of the program or etcd's, or speaks of systemd, but for the port.
func cleanEnv() []string {
	env := slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, "ETCD") || strings.HasPrefix(v, "NOTIFY_SOCKET=") || strings.HasPrefix(v, "WATCHDOG_")
	})
	return append(env,
		"ETCD_BACKUP_CONFIG=/dev/null",                                   // not this machine's own
		"ETCD_BACKUP_DIR="+filepath.Join(filepath.Dir(lean), "no-store"), // not this machine's own, where a restore is recorded
		"ETCD_BACKUP_LISTEN=127.0.0.1:0",                                 // many daemons run at once
		"ETCD_BACKUP_DRILL_SCHEDULE=off",                                 // a second of work after each first snapshot
		"GORACE=atexit_sleep_ms=0")                                       // otherwise each end of a raced program takes a second
}

// kill ends the process with SIGKILL and waits for it.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may be gone
	<-p.done
}

// killAfter kills the process after a time, unless it has ended by then.
func (p *process) killAfter(delay time.Duration) {
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-p.done:
	}
	p.kill()
}

func pid(p *process) string { return strconv.Itoa(p.cmd.Process.Pid) }

func (p *process) signal(t testing.TB, s os.Signal) {
	t.Helper()
	must(t, p.cmd.Process.Signal(s))
}

// ended waits for the end by itself and returns the exit status, -1 when a signal ended it.
func (p *process) ended(t testing.TB) int {
	t.Helper()
	select {
	case <-p.done:
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(endLimit):
		p.kill()
		t.Fatalf("did not end within %s: %s\nstderr:\n%s", endLimit, p.cmd, p.stderr.String())
		return 0
	}
}

// says waits until the process has written the text to stderr, with anything before and after.
func (p *process) says(t testing.TB, text string) {
	t.Helper()
	eventually(t, fmt.Sprintf("%s said %q", p.cmd, text), func() bool {
		if strings.Contains(p.stderr.String(), text) {
			return true
		}
		select {
		case <-p.done:
			if !strings.Contains(p.stderr.String(), text) {
				t.Fatalf("%s ended with status %d and without %q:\n%s", p.cmd, p.cmd.ProcessState.ExitCode(), text, p.stderr.String())
			}
			return true
		default:
			return false
		}
	})
}

// run waits for the end of the program and demands an exit status and words of its output.
func run(t testing.TB, status int, words []string, args ...string) *process {
	t.Helper()
	p := start(t, args...)
	p.demand(t, status, words...)
	return p
}

// demand waits for the end and compares the exit status. The words have to stand in the output; a failure has to
// be one line of the program's and nothing that a crash or a race writes.
func (p *process) demand(t testing.TB, status int, words ...string) {
	t.Helper()
	got := p.ended(t)
	all := p.stdout.String() + p.stderr.String()
	if got != status {
		t.Errorf("%s: exit status %d, want %d\n%s", p.cmd, got, status, all)
	}
	for _, w := range words {
		if !strings.Contains(all, w) {
			t.Errorf("%s: %q is not in the output:\n%s", p.cmd, w, all)
		}
	}
	for _, w := range []string{"panic", "goroutine ", "DATA RACE"} {
		if strings.Contains(all, w) {
			t.Errorf("%s: %q in the output:\n%s", p.cmd, w, all)
		}
	}
	if status > 0 {
		p.wantOneErrorLine(t)
	}
}

// wantOneErrorLine demands that what the process says of its failure is one line, the last.
func (p *process) wantOneErrorLine(t testing.TB) {
	t.Helper()
	lines := strings.Split(strings.TrimSuffix(p.stderr.String(), "\n"), "\n")
	errs := slices.DeleteFunc(slices.Clone(lines), func(l string) bool { return !strings.HasPrefix(l, "etcd-rolling-backup: ") })
	if len(errs) != 1 || errs[0] != lines[len(lines)-1] {
		t.Errorf("%s: no single line of error at the end:\n%s", p.cmd, p.stderr.String())
	}
}

// eventually asks until the condition holds; it fails the test when it does not in time.
func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), endLimit)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-ctx.Done():
			t.Fatalf("in vain waited until %s", what)
		case <-tick.C:
		}
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
