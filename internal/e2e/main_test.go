package e2e_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
)

var seed = flag.Uint64("seed", 0, "seed of the random moments and damage, as a failed run logged it")

// The programs under test. checked has the race detector when the tests have it; lean never has, for what measures memory
// or needs the speed of the real one.
var checked, lean string

func TestMain(m *testing.M) {
	flag.Parse()
	if signal.Ignored(syscall.SIGHUP) {
		// Under nohup the programs under test would inherit that, and rightly respect it. A caught signal they don't inherit.
		signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
	}
	os.Exit(buildAndRun(m))
}

func buildAndRun(m *testing.M) int {
	dir, err := os.MkdirTemp("", "e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	lean = filepath.Join(dir, "lean", "etcd-rolling-backup")
	checked = lean
	err = build(lean)
	if raced && err == nil {
		checked = filepath.Join(dir, "checked", "etcd-rolling-backup")
		err = build(checked, "-race")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

func build(output string, flags ...string) error {
	args := slices.Concat([]string{"build", "-ldflags=-X main.version=e2e", "-o", output}, flags, []string{"etcd-rolling-backup"})
	if out, err := exec.Command("go", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("build the program: %w\n%s", err, out)
	}
	return nil
}

// random differs in each run; a failure is repeated with -seed.
func random(t testing.TB) *rand.Rand {
	t.Helper()
	s := *seed
	if s == 0 {
		s = rand.Uint64()
	}
	t.Logf("go test -run '^%s$' -args -seed %d", t.Name(), s)
	return rand.New(rand.NewPCG(s, 0))
}
