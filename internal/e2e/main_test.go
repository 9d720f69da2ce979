package e2e_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"testing"

	"etcd-rolling-backup/internal/s3test"
)

var seed = flag.Uint64("seed", 0, "seed of the random moments and damage, as a failed run logged it")

// The programs under test: lean as people run it, and one with the race detector for daemons that do much at once, where our goroutines meet
// real servers. The latter takes a while to build, while tests that do without it run.
var (
	lean    string
	checked func() (string, error)
)

// atOnce is how many tests run side by side for each core: most of them wait most of the time.
const atOnce = 4

// slots are taken by tests that are run side by side.
var slots = make(chan struct{}, atOnce*runtime.GOMAXPROCS(0))

// parallel lets a test run alongside others, as many as the machine can bear. One that takes minutes and next to no time of the processor
// calls t.Parallel itself: it waits for no slot, and so is not what all wait for in the end.
func parallel(t *testing.T) {
	t.Helper()
	t.Parallel()
	slots <- struct{}{}
	t.Cleanup(func() { <-slots })
}

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
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	lean = filepath.Join(dir, "lean", "etcd-rolling-backup")
	checked = sync.OnceValues(func() (string, error) {
		path := filepath.Join(dir, "checked", "etcd-rolling-backup")
		return path, build(ctx, path, "-race")
	})
	// The slots bound them.
	if err = errors.Join(build(ctx, lean), flag.Set("test.parallel", "1000")); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	go func() { _, _ = checked() }() // who needs it sees the error
	defer func() {
		stop() // a build that nobody has waited for
		_, _ = checked()
	}()
	defer plainServer.close()
	defer secureServer.close()
	return m.Run()
}

func build(ctx context.Context, output string, flags ...string) error {
	args := slices.Concat([]string{"build", "-ldflags=-X main.version=e2e", "-o", output}, flags, []string{"etcd-rolling-backup"})
	if out, err := exec.CommandContext(ctx, "go", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("build the program: %w\n%s", err, out)
	}
	return nil
}

// sharedServer is a MinIO that is started for the first test that wants it, and serves all that do, each with its own buckets and users.
type sharedServer struct {
	options s3test.Options
	once    sync.Once
	server  *s3test.Server
	err     error
}

var (
	plainServer  = &sharedServer{}
	secureServer = &sharedServer{options: s3test.Options{TLS: true, KMS: true}}
)

func (s *sharedServer) get(t testing.TB) *s3test.Server {
	t.Helper()
	s.once.Do(func() { s.server, s.err = s3test.Start(context.Background(), s.options) })
	must(t, s.err)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("end of the log of minio:\n%s", s.server.Tail(0))
		}
	})
	return s.server
}

func (s *sharedServer) close() {
	if s.server != nil {
		_ = s.server.Close() // the tests have had what they wanted of it
	}
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
