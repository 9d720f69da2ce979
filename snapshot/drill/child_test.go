package drill_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/drill"
)

// However the child ends, the parent continues, reports the cause, and leaves nothing.
func TestCrashOfChildIsReported(t *testing.T) {
	archive := small(t)
	aborted := newBench(t, archive)
	aborted.at(t, func(pid int) { must(t, unix.Kill(pid, unix.SIGABRT)) }, drill.StageCompare)
	_, err := aborted.start(t)
	wantError(t, err, nil, "the drill's process: ")
	if errors.Is(err, drill.ErrSkipped) {
		t.Errorf("a crash counts as skipped: %v", err)
	}
	for role, text := range map[string]string{
		asCrash:  "exit status 2: panic: page 7: no such page",
		asMute:   "it exited without a result",
		asBabble: `said "xxxxx`,
		asParent: "exit status 2: panic:", // it lacks its arguments
	} {
		b := newBench(t, archive)
		b.Command = child(role)
		_, err := b.start(t)
		if role == asBabble {
			err = errors.Join(err, errors.New(text)) // a line that never ends is no message
		}
		wantError(t, err, nil, text)
	}
	b := newBench(t, archive)
	b.Command = []string{"/no/such/program"}
	_, err = b.start(t)
	wantError(t, err, os.ErrNotExist, "start the drill's process")
}

// The kernel kills it like this when memory runs out, at any stage. This says nothing about the snapshot.
func TestKilledChildIsSkipped(t *testing.T) {
	archive := small(t)
	for _, stage := range []drill.Stage{drill.StageUnpack, drill.StageBoot} {
		b := newBench(t, archive)
		b.at(t, func(pid int) { must(t, unix.Kill(pid, unix.SIGKILL)) }, stage)
		_, err := b.start(t)
		wantError(t, err, drill.ErrMemory, "drill skipped: ")
		wantError(t, err, drill.ErrSkipped, "kill")
	}
}

// wantError demands an error that does not blame the snapshot, unless kind does.
func wantError(t *testing.T, err, kind error, text string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), text) || kind != nil && !errors.Is(err, kind) ||
		errors.Is(err, snapshot.ErrDamaged) != errors.Is(kind, snapshot.ErrDamaged) {
		t.Errorf("got %v, want %v: %s", err, kind, text)
	}
}

func TestCanceledDrillStopsItsChild(t *testing.T) {
	archive := small(t)
	errStop := errors.New("SIGTERM")
	for _, role := range []string{asChild, asHung} {
		b := newBench(t, archive)
		ctx, cancel := context.WithCancelCause(t.Context())
		var canceled time.Time
		stop := func() {
			canceled = time.Now()
			cancel(errStop)
		}
		b.at(t, func(int) { stop() }, drill.StageBoot)
		if role == asHung { // it tells no stage
			b.Command = child(role)
			go func() {
				for ctx.Err() == nil && len(children(t, os.Getpid())) == 0 {
					time.Sleep(time.Millisecond)
				}
				stop()
			}()
		}
		_, err := b.startIn(ctx, t)
		wantError(t, err, errStop, "")
		if took := time.Since(canceled); took > 30*time.Second {
			t.Errorf("%s: it took %s to stop", role, took)
		}
		if left := children(t, os.Getpid()); len(left) != 0 {
			t.Errorf("%s: processes %v are left", role, left)
		}
	}
}

// A child whose parent was killed exits, and removes the files in its place.
func TestChildStopsWhenItsParentIsKilled(t *testing.T) {
	archive, dir := small(t), t.TempDir()
	pid := orphan(t, archive, dir)
	if removed, err := drill.RemoveLeftovers(snapshot.NewDir(dir)); err != nil || len(removed) != 0 {
		t.Errorf("removed %v under a child that lives: %v", removed, err)
	}
	must(t, unix.Kill(pid, unix.SIGCONT))
	eventually(t, "the child ended", func() bool { return command(pid) == "" })
	wantEmpty(t, dir)
}

// So does a child whose parent was killed before it sent the order, and one whose output nobody reads.
func TestChildStopsWithoutAParent(t *testing.T) {
	archive, err := os.Open(small(t))
	must(t, err)
	defer archive.Close()
	for order, text := range map[string]string{"": "is gone", "{}": "broken pipe"} {
		dir := filepath.Join(t.TempDir(), snapshot.ScratchPrefix+"1")
		must(t, os.Mkdir(dir, 0o700))
		lock, err := os.Open(dir)
		must(t, err)
		stdin, ordered, err := os.Pipe()
		must(t, err)
		_, err = ordered.WriteString(order)
		must(t, err)
		if order == "" {
			must(t, ordered.Close())
		}
		unheard, stdout, err := os.Pipe()
		must(t, err)
		must(t, unheard.Close())
		var said strings.Builder
		cmd := exec.Command("/proc/self/exe", asChild)
		cmd.Dir, cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = dir, stdin, stdout, &said, []*os.File{archive, lock}
		if err := cmd.Run(); err == nil || !strings.Contains(said.String(), text) {
			t.Errorf("order %q: %v: %s", order, err, said.String())
		}
		wantEmpty(t, filepath.Dir(dir))
		for _, f := range []*os.File{lock, stdin, stdout, ordered} {
			_ = f.Close() // or closed before
		}
	}
}

// All threads of the child have the lowest priority, its environment contains no secret, and it has no socket on which anybody
// could reach the etcd.
func TestChildHasLowestPriorityNoSecretsAndNoSockets(t *testing.T) {
	t.Setenv("ETCD_NAME", "from-the-daemon")
	t.Setenv("ETCD_BACKUP_S3_SECRET_KEY", "a-secret")
	before := ownNice(t)
	b := newBench(t, small(t))
	looked := 0
	look := func(pid int) {
		looked++
		proc := fmt.Sprintf("/proc/%d/", pid)
		wantNice(t, proc, 19)
		env, err := os.ReadFile(proc + "environ")
		must(t, err)
		for _, word := range []string{"ETCD", "secret", "HOME="} {
			if bytes.Contains(env, []byte(word)) {
				t.Errorf("the child's environment is %q", env)
			}
		}
		score, err := os.ReadFile(proc + "oom_score_adj")
		must(t, err)
		if string(score) != "1000\n" {
			t.Errorf("the child's oom_score_adj is %s", score)
		}
		fds, err := filepath.Glob(proc + "fd/*")
		must(t, err)
		for _, fd := range fds {
			if to, err := os.Readlink(fd); err == nil && strings.HasPrefix(to, "socket:") {
				t.Errorf("the child has a socket: %s", to)
			}
		}
	}
	b.at(t, look, drill.StageBoot, drill.StageCompare)
	r, err := b.start(t)
	must(t, err)
	if looked != 2 || r.Nice != 19 {
		t.Errorf("looked at the child %d times, its niceness was %d", looked, r.Nice)
	}
	eventually(t, "only the child is low", func() bool { return niceness(t, "/proc/self/")[strconv.Itoa(before)] > 1 })
}

// The threads of this process keep their priority, even if the main thread would be the one to start a child.
func TestParentKeepsItsPriority(t *testing.T) {
	before := ownNice(t)
	archive := small(t)
	for range 50 {
		b := newBench(t, archive)
		b.Command = []string{"/bin/true"}
		_, err := b.start(t)
		wantError(t, err, nil, "without a result")
	}
	eventually(t, "the low threads ended", func() bool { return len(niceness(t, "/proc/self/")) == 1 })
	wantNice(t, "/proc/self/", before)
}

// ownNice is the niceness that the tests were started with: the system call gives 20 minus that.
func ownNice(t *testing.T) int {
	t.Helper()
	raw, err := unix.Getpriority(unix.PRIO_PROCESS, 0)
	must(t, err)
	return 20 - raw
}

func wantNice(t *testing.T, proc string, want int) {
	t.Helper()
	if got := niceness(t, proc); len(got) != 1 || got[strconv.Itoa(want)] < 2 {
		t.Errorf("the threads of %s have these niceness: %v, want %d", proc, got, want)
	}
}

// niceness counts the threads of a process by theirs: proc_pid_stat(5), the 19th field, of those behind the name the 17th.
func niceness(t *testing.T, proc string) map[string]int {
	t.Helper()
	files, err := filepath.Glob(proc + "task/*/stat")
	must(t, err)
	threads := map[string]int{}
	for _, file := range files {
		if text, err := os.ReadFile(file); err == nil { // else it has ended
			threads[strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))[16]]++
		}
	}
	return threads
}

// A child that a user starts manually does nothing, least of all to its working directory, whatever its name.
func TestMainStartedManuallyDoesNothing(t *testing.T) {
	for _, name := range []string{"mine", snapshot.ScratchPrefix + "1"} {
		dir := filepath.Join(t.TempDir(), name)
		must(t, os.Mkdir(dir, 0o700))
		must(t, os.WriteFile(filepath.Join(dir, "lock"), nil, 0o600))
		for _, stdin := range []string{"", "hello\n", `{"min_free":1}`} {
			cmd := exec.Command("/proc/self/exe", asChild)
			cmd.Dir, cmd.Stdin = dir, strings.NewReader(stdin)
			if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), "only this program itself may start this") {
				t.Errorf("%s, %q: %v, said %s", name, stdin, err, out)
			}
		}
		_, err := os.Stat(filepath.Join(dir, "lock"))
		must(t, err)
	}
}

// Without enough space no process is started, and the reason is reported.
func TestDrillWithoutSpaceStartsNoProcess(t *testing.T) {
	b := newBench(t, small(t))
	b.MinFree = 1 << 60
	b.Command = []string{"/no/such/program"}
	_, err := b.start(t)
	wantError(t, err, drill.ErrSkipped, "--min-free keeps")
}

// Whoever owns the directory may exchange the scratch directory for a link to another one. The drill writes and removes nothing there.
func TestDrillWritesNowhereElse(t *testing.T) {
	for _, stage := range []drill.Stage{drill.StageUnpack, drill.StageRestore, drill.StageBoot, drill.StageStop} {
		b := newBench(t, small(t))
		b.dir = t.TempDir() // b.start wants it empty: the scratch directory has another name now
		elsewhere := t.TempDir()
		must(t, os.WriteFile(elsewhere+"/mine", nil, 0o600))
		b.at(t, func(int) {
			l, err := filepath.Glob(filepath.Join(b.Scratch.Path(), snapshot.ScratchPrefix+"*"))
			must(t, err)
			must(t, os.Rename(l[0], filepath.Join(b.Scratch.Path(), "gone")))
			must(t, os.Symlink(elsewhere, l[0]))
		}, stage)
		r, err := b.start(t)
		must(t, err)
		if r.Keys != 20 {
			t.Errorf("%s: %+v", stage, r)
		}
		must(t, os.Remove(elsewhere+"/mine"))
		wantEmpty(t, elsewhere)
	}
}
