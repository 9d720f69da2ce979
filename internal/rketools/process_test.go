package rketools_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"etcd-rolling-backup/internal/rketools"
)

func TestOutputOfAGibibyteIsCutOff(t *testing.T) {
	for situation, script := range map[string]string{
		"exit 1": "exec 3>&1; head -c 1073741824 /dev/zero; status=$?; stat -L -c %b /proc/self/fd/3 > blocks; exit $status",
		"exit 0": "exec 3>&1; head -c 1073741824 /dev/zero; stat -L -c %b /proc/self/fd/3 > blocks; exit 0",
	} {
		t.Run(situation, func(t *testing.T) {
			b := newKubectlBed(t, script)
			wantAbsent(t, b.fetch(t.Context()), "the output is longer than 16 MiB")
			text, err := os.ReadFile(b.path("blocks"))
			if err != nil {
				t.Fatal(err)
			}
			if blocks, err := strconv.Atoi(strings.TrimSpace(string(text))); err != nil || blocks < 16<<20/512 || blocks > 32<<20/512 {
				t.Errorf("kubectl could write %d blocks of 512 bytes, %v", blocks, err)
			}
			if len(b.calls()) != 1 {
				t.Errorf("kubectl was called with %q", b.calls())
			}
		})
	}
	t.Run("stderr", func(t *testing.T) {
		b := newKubectlBed(t, "[ $(wc -l < calls) -lt 9 ] || head -c 1073741824 /dev/zero >&2; exit 1") // in the last try
		wantAbsent(t, b.fetch(t.Context()), "its message is not shown")
	})
}

// hang is a script that starts a child, which keeps its output open, writes both IDs into a pipe and waits.
const hang = "sleep 1000 & echo $$ $! > ready; wait"

// hanging waits until the script has written its IDs.
func (b *kubectlBed) hanging() (pids []int) {
	b.t.Helper()
	text, err := os.ReadFile(b.path("ready")) // returns when the script has closed the pipe
	if err != nil {
		b.t.Fatal(err)
	}
	for _, word := range strings.Fields(string(text)) {
		pid, err := strconv.Atoi(word)
		if err != nil {
			b.t.Fatal(err)
		}
		pids = append(pids, pid)
	}
	return pids
}

func newHangingBed(t *testing.T, script string) *kubectlBed {
	t.Helper()
	b := newKubectlBed(t, script)
	if err := unix.Mkfifo(b.path("ready"), 0o600); err != nil {
		t.Fatal(err)
	}
	return b
}

// wantDead waits until the processes are dead; a dead one may not have been reaped by the system's first process.
func wantDead(t *testing.T, pids []int) {
	t.Helper()
	for _, pid := range pids {
		alive := func() bool {
			stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
			return err == nil && !strings.HasPrefix(string(stat[bytes.LastIndexByte(stat, ')')+1:]), " Z")
		}
		for deadline := time.Now().Add(20 * time.Second); alive(); time.Sleep(5 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Errorf("process %d is alive", pid)
				_ = syscall.Kill(pid, syscall.SIGKILL)
				break
			}
		}
	}
}

func TestHangingKubectlIsKilledWithItsGroup(t *testing.T) {
	stop := errors.New("stopped by a signal")
	for situation, c := range map[string]struct {
		end  func(b *kubectlBed, cancel context.CancelCauseFunc)
		want string
	}{
		"limit of the fetch": {func(b *kubectlBed, _ context.CancelCauseFunc) { b.end(rketools.FetchLimit) }, "not fetched within 40s"},
		"signal":             {func(_ *kubectlBed, cancel context.CancelCauseFunc) { cancel(stop) }, stop.Error()},
	} {
		t.Run(situation, func(t *testing.T) {
			b := newHangingBed(t, hang)
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			result := make(chan rketools.StateFile, 1)
			go func() { result <- b.fetch(ctx) }()
			pids := b.hanging()
			c.end(b, cancel)
			wantAbsent(t, <-result, c.want)
			if len(pids) != 2 || len(b.calls()) != 1 || b.pauses != 0 {
				t.Errorf("processes %v, calls %q, %d pauses", pids, b.calls(), b.pauses)
			}
			wantDead(t, pids)
		})
	}
}

func TestTryThatHangsIsFollowedByAnother(t *testing.T) {
	compact, indented := exampleState(t)
	b := newHangingBed(t, "[ $(wc -l < calls) -gt 1 ] || { "+hang+"; }; cat object")
	b.write("object", kubeObject(t, base64.StdEncoding.EncodeToString([]byte(compact))), 0o600)
	result := make(chan rketools.StateFile, 1)
	go func() { result <- b.fetch(t.Context()) }()
	pids := b.hanging()
	b.end(rketools.TryLimit)
	if got := <-result; string(got.Data) != indented || got.Err != nil {
		t.Errorf("the state file is %q, %v", got.Data, got.Err)
	}
	if len(b.calls()) != 2 || b.pauses != 1 { // not for the ConfigMap
		t.Errorf("kubectl was called with %q, %d pauses", b.calls(), b.pauses)
	}
	wantDead(t, pids)
}

func TestFetchDelaysNoSnapshotByMoreThanAMinute(t *testing.T) {
	if rketools.FetchLimit > time.Minute || rketools.TryLimit > rketools.FetchLimit/2 {
		t.Errorf("%s in all, %s a try", rketools.FetchLimit, rketools.TryLimit)
	}
}

func TestFetchEndsInAPause(t *testing.T) {
	b := newKubectlBed(t, "exit 1")
	paused := make(chan func(), 1) // ends the fetch
	k := rketools.NewKubectl(rketools.Paths{Root: b.root}).WithClock(func(d time.Duration, f func()) func() bool {
		if d == rketools.Pause {
			paused <- nil
			return func() bool { return true }
		}
		return b.after(d, f)
	})
	result := make(chan rketools.StateFile, 1)
	go func() { result <- k.Fetch(t.Context()) }()
	<-paused
	b.end(rketools.FetchLimit)
	wantAbsent(t, <-result, "not fetched within 40s; kubectl get secret full-cluster-state: exit status 1")
	b.wantClean()
}

func TestChildThatStaysIsKilledAndDelaysNothing(t *testing.T) {
	compact, indented := exampleState(t)
	b := newHangingBed(t, "sleep 1000 & echo $! > ready; cat object")
	b.write("object", kubeObject(t, base64.StdEncoding.EncodeToString([]byte(compact))), 0o600)
	result := make(chan rketools.StateFile, 1)
	go func() { result <- b.fetch(t.Context()) }()
	pids := b.hanging()
	if got := <-result; string(got.Data) != indented || got.Err != nil {
		t.Errorf("the state file is %q, %v", got.Data, got.Err)
	}
	wantDead(t, pids)
}

// TestProcessOutsideOfTheGroupDelaysNothing: it can't be found, but what it keeps open must not matter.
func TestProcessOutsideOfTheGroupDelaysNothing(t *testing.T) {
	compact, indented := exampleState(t)
	b := newHangingBed(t, "setsid sh -c 'echo $$ > ready; exec sleep 1000' & while [ ! -e go ]; do :; done; cat object")
	b.write("object", kubeObject(t, base64.StdEncoding.EncodeToString([]byte(compact))), 0o600)
	result := make(chan rketools.StateFile, 1)
	go func() { result <- b.kubectl().Fetch(t.Context()) }()
	pids := b.hanging()
	b.write("go", "", 0o600)
	got := <-result
	for _, pid := range pids {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Error(err)
		}
	}
	wantDead(t, pids)
	if string(got.Data) != indented || got.Err != nil {
		t.Errorf("the state file is %q, %v", got.Data, got.Err)
	}
	b.wantClean()
}

func TestKilledProcessLeavesNothing(t *testing.T) {
	b := newHangingBed(t, "cat object; echo $$ > ready; exec sleep 1000")
	b.write("object", privateKey, 0o600)
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program)
	cmd.Env = append(os.Environ(), helper+"="+b.root)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	pids := b.hanging()
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // killed
	wantDead(t, pids)
	b.wantClean()
	for _, dir := range []string{"etc/kubernetes", "etc/kubernetes/ssl", "."} {
		files, err := os.ReadDir(b.path(dir))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			if !slices.Contains([]string{"etc", "usr", "ssl", "kubecfg-kube-node.yaml", "calls", "object", "ready"}, f.Name()) {
				t.Errorf("%s is left in %s", f.Name(), dir)
			}
		}
	}
}
