package doctest

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"etcd-rolling-backup/internal/proctest"
)

// processLimit bounds the wait for what a process is to do, and for its end.
const processLimit = time.Minute

// process is a block that goes on until it is ended.
type process struct {
	cmd   *exec.Cmd
	log   string        // path of the file with its output
	ended chan struct{} // closed when it is gone; err is how
	err   error
}

func (p *place) start(t *testing.T, text string) *process {
	t.Helper()
	started := &process{
		cmd:   p.command(context.WithoutCancel(t.Context()), text), // the test's context ends before its cleanup
		log:   filepath.Join(t.TempDir(), "log"),
		ended: make(chan struct{}),
	}
	log, err := os.Create(started.log)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close() // the child has its own
	started.cmd.Stdout, started.cmd.Stderr = log, log
	// It dies with this program, even when that is killed: the kernel's signal comes when the thread that forked ends, so one
	// goroutine keeps that thread until the child is gone.
	started.cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	forked := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := started.cmd.Start()
		forked <- err
		if err != nil {
			return
		}
		started.err = started.cmd.Wait()
		close(started.ended)
	}()
	if err := <-forked; err != nil {
		t.Fatal(err)
	}
	return started
}

func (p *process) output(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(p.log)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// stop ends the process group. bash gives 143 when the group's signal reached it too.
func (p *process) stop(t *testing.T) {
	t.Helper()
	select {
	case <-p.ended:
		t.Errorf("ended by itself: %v\n%s", p.err, p.output(t))
		return
	default:
	}
	if err := syscall.Kill(-p.cmd.Process.Pid, syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	limit := time.NewTimer(processLimit)
	defer limit.Stop()
	select {
	case <-p.ended:
	case <-limit.C:
		t.Errorf("goes on after SIGTERM; killed: %v", syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL))
		<-p.ended
	}
	var exit *exec.ExitError
	if p.err != nil && (!errors.As(p.err, &exit) || exit.ExitCode() != 128+int(syscall.SIGTERM) && exit.ExitCode() != -1) {
		t.Errorf("%v\n%s", p.err, p.output(t))
	}
}

// daemon runs a daemon's block in an empty directory of snapshots, ends it when condition holds of its output so far, and
// returns all of it.
func (p *place) daemon(t *testing.T, text string, condition func(output string) bool) string {
	t.Helper()
	if err := os.RemoveAll(p.dir); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), processLimit)
	defer cancel()
	started := p.start(t, text)
	err := proctest.Poll(ctx, 20*time.Millisecond, func() (bool, error) {
		select {
		case <-started.ended:
			return false, errors.New("ended by itself")
		default:
			return condition(started.output(t)), nil
		}
	})
	if err != nil {
		t.Errorf("wait for the block: %v\n%s", err, started.output(t))
	}
	started.stop(t)
	out := started.output(t)
	if !strings.Contains(out, "stopped") {
		t.Fatalf("no word of a clean end:\n%s", out)
	}
	return out
}
