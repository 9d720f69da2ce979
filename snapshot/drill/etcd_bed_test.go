package drill_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/drill"
)

// bench is a place for drills of one archive.
type bench struct {
	drill.Child
	dir  string
	look chan func() // for the goroutine of the test
}

func newBench(t testing.TB, archive string) *bench {
	t.Helper()
	f, err := os.Open(archive)
	must(t, err)
	t.Cleanup(func() { must(t, f.Close()) })
	dir := t.TempDir()
	return &bench{dir: dir, look: make(chan func()), Child: drill.Child{Command: child(asChild), File: f, Scratch: snapshot.NewDir(dir)}}
}

// start runs a drill and demands that the directory is as empty as before.
func (b *bench) start(t testing.TB) (drill.Result, error) {
	t.Helper()
	return b.startIn(t.Context(), t)
}

func (b *bench) startIn(ctx context.Context, t testing.TB) (r drill.Result, err error) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		r, err = drill.Start(ctx, b.Child)
	}()
	for {
		select {
		case f := <-b.look:
			f()
		case <-done:
			wantEmpty(t, b.dir)
			return r, err
		}
	}
}

// at pauses the child when it begins the stages and calls f with its process in the test's goroutine; then it goes on.
func (b *bench) at(t testing.TB, f func(pid int), stages ...drill.Stage) {
	b.Command = child(asPaused)
	for _, s := range stages {
		b.Command = append(b.Command, string(s))
	}
	b.Progress = func(s drill.Step) {
		if s.Done == 0 && slices.Contains(stages, s.Stage) {
			b.look <- func() {
				pid := onlyChild(t, os.Getpid())
				f(pid)
				if err := unix.Kill(pid, unix.SIGCONT); !errors.Is(err, unix.ESRCH) { // f may have ended it
					must(t, err)
				}
			}
		}
	}
}

func wantEmpty(t testing.TB, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	must(t, err)
	for _, e := range entries {
		t.Errorf("left behind: %s", e.Name())
	}
}

// process is one in our roles: proc_pid_stat(5).
type process struct {
	pid     int
	stopped bool
}

// children are the processes in our roles that a process has started.
func children(t testing.TB, of int) []process {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	must(t, err)
	var found []process
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended
		}
		fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:])) // state, parent, ...
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		must(t, err)
		if fields[1] == strconv.Itoa(of) && command(pid) != "" {
			found = append(found, process{pid: pid, stopped: fields[0] == "T"})
		}
	}
	return found
}

// command is the role of a process that is one of ours, else empty.
func command(pid int) string {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil {
		return ""
	}
	args := strings.Split(string(text), "\x00")
	if len(args) < 2 || roles[args[1]] == nil {
		return ""
	}
	return args[1]
}

// orphan is a drill that is paused in its boot and whose parent was killed.
func orphan(t *testing.T, archive, dir string) (pid int) {
	t.Helper()
	cmd := exec.Command("/proc/self/exe", asParent, archive, dir)
	cmd.Stderr = os.Stderr
	steps, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	for lines := bufio.NewScanner(steps); lines.Scan() && !strings.Contains(lines.Text(), string(drill.StageBoot)); {
	}
	pid = onlyChild(t, cmd.Process.Pid)
	must(t, cmd.Process.Kill())
	_ = cmd.Wait() // says that it was killed
	return pid
}

// onlyChild is the drill of a parent, once it is paused.
func onlyChild(t testing.TB, of int) int {
	t.Helper()
	var found []process
	eventually(t, "one drill runs, and is paused", func() bool {
		found = children(t, of)
		return len(found) == 1 && found[0].stopped
	})
	return found[0].pid
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("after 20 s it is still not so that %s", what)
		}
	}
}
