package rketools_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"etcd-rolling-backup/internal/rketools"
)

// helper is set in the process that TestKilledProcessLeavesNothing kills: the root of its paths.
const helper = "RKETOOLS_TEST_FETCH"

// callHelper is set in the process that TestKilledOnceLeavesNoBrokenArchive kills: its arguments, a line each.
const callHelper = "RKETOOLS_TEST_CALL"

func TestMain(m *testing.M) {
	if root := os.Getenv(helper); root != "" {
		rketools.NewKubectl(rketools.Paths{Root: root}).Fetch(context.Background())
		return
	}
	if args := os.Getenv(callHelper); args != "" {
		os.Exit(rketools.Main(context.Background(), "test", strings.Split(args, "\n"), os.Stdout, os.Stderr))
	}
	os.Exit(runAll(m))
}

func runAll(m *testing.M) int {
	// Nothing of the caller's own keys, and no question after a role where there is no cloud.
	if err := os.Setenv("AWS_EC2_METADATA_DISABLED", "true"); err != nil {
		return 1
	}
	status := m.Run()
	if err := shared.close(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return status
}

// kubectlBed is a container of RKE with a shell script as kubectl.
type kubectlBed struct {
	t    *testing.T
	root string
	temp string // its TMPDIR

	mu     sync.Mutex
	timers []*timer // not stopped
	pauses int
}

type timer struct {
	d time.Duration
	f func()
}

func newKubectlBed(t *testing.T, script string) *kubectlBed {
	t.Helper()
	b := &kubectlBed{t: t, root: t.TempDir(), temp: t.TempDir()}
	t.Setenv("TMPDIR", b.temp)
	b.write("etc/kubernetes/ssl/kubecfg-kube-node.yaml", "", 0o600)
	b.write("usr/local/bin/kubectl", "#!/bin/sh\ncd "+b.root+"\necho \"$*\" >> calls\n"+script, 0o700)
	return b
}

func (b *kubectlBed) path(name string) string { return filepath.Join(b.root, name) }

func (b *kubectlBed) write(name, text string, mode fs.FileMode) {
	b.t.Helper()
	if err := os.MkdirAll(filepath.Dir(b.path(name)), 0o700); err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(b.path(name), []byte(text), mode); err != nil {
		b.t.Fatal(err)
	}
}

// after is a time.AfterFunc in whose time pauses last no time, and everything else lasts until end.
func (b *kubectlBed) after(d time.Duration, f func()) (stop func() bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if d == rketools.Pause {
		b.pauses++
		go f()
		return func() bool { return false }
	}
	x := &timer{d, f}
	b.timers = append(b.timers, x)
	return func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		n := len(b.timers)
		b.timers = slices.DeleteFunc(b.timers, func(y *timer) bool { return x == y })
		return len(b.timers) < n
	}
}

// end lets the running timer of that length end.
func (b *kubectlBed) end(d time.Duration) {
	b.t.Helper()
	b.mu.Lock()
	i := slices.IndexFunc(b.timers, func(x *timer) bool { return x.d == d })
	if i < 0 {
		b.mu.Unlock()
		b.t.Fatalf("no timer of %s runs", d)
	}
	f := b.timers[i].f
	b.mu.Unlock()
	f()
}

func (b *kubectlBed) kubectl() rketools.Kubectl {
	return rketools.NewKubectl(rketools.Paths{Root: b.root}).WithClock(b.after)
}

// fetch starts kubectl and returns its result; afterwards nothing is left behind.
func (b *kubectlBed) fetch(ctx context.Context) rketools.StateFile {
	b.t.Helper()
	got := b.kubectl().Fetch(ctx)
	b.wantClean()
	return got
}

func (b *kubectlBed) wantClean() {
	b.t.Helper()
	if len(b.timers) > 0 {
		b.t.Errorf("%d timers still run", len(b.timers))
	}
	if n := memoryFiles(b.t); n > 0 {
		b.t.Errorf("%d files in memory are open", n)
	}
	left, err := os.ReadDir(b.temp)
	if err != nil || len(left) > 0 {
		b.t.Errorf("the temporary directory has %v, %v", left, err)
	}
}

// memoryFiles counts the open ones of this process.
func memoryFiles(t *testing.T) (n int) {
	t.Helper()
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Error(err)
	}
	for _, f := range files {
		if target, err := os.Readlink("/proc/self/fd/" + f.Name()); err == nil && strings.HasPrefix(target, "/memfd:") {
			n++
		}
	}
	return n
}

func (b *kubectlBed) calls() []string {
	b.t.Helper()
	text, err := os.ReadFile(b.path("calls"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		b.t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(string(text)), "\n")
}

// wantAbsent demands no state file and an error of one line with each of the texts and without the key.
func wantAbsent(t *testing.T, got rketools.StateFile, texts ...string) {
	t.Helper()
	if got.Included() || got.Err == nil {
		t.Fatalf("the state file is %q, %v", got.Data, got.Err)
	}
	for _, text := range texts {
		if !strings.Contains(got.Err.Error(), text) {
			t.Errorf("the error lacks %q: %v", text, got.Err)
		}
	}
	if strings.Contains(got.Err.Error(), "\n") {
		t.Errorf("the error has several lines: %q", got.Err)
	}
	wantNoKey(t, got.Err)
}

func exampleState(t *testing.T) (compact, indented string) {
	t.Helper()
	in := map[string]any{"desiredState": map[string]any{"certificatesBundle": map[string]any{"kube-ca": map[string]any{"keyPEM": privateKey}}}, "currentState": map[string]any{}}
	one, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	two, err := json.MarshalIndent(in, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return string(one), string(two)
}

// kubeObject is what kubectl prints of a Secret or ConfigMap.
func kubeObject(t *testing.T, value string) string {
	t.Helper()
	out, err := json.MarshalIndent(map[string]any{"apiVersion": "v1", "data": map[string]string{"full-cluster-state": value}}, "", "    ")
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}
