package proctest

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// shell returns a server that is a script, ready when it has written the word "ready" to its log.
func shell(t *testing.T, script string) *Server {
	t.Helper()
	program, err := exec.LookPath("sh")
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{Name: "script", Program: program, Args: []string{"-c", script}, Env: Environ(), LogPath: filepath.Join(t.TempDir(), "log")}
	s.Probe = func(context.Context) error {
		if !slices.Contains(strings.Fields(string(s.Tail(0))), "ready") { // no "already"
			return errors.New("not yet")
		}
		return nil
	}
	t.Cleanup(func() {
		if err := s.Kill(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestLife(t *testing.T) {
	s := shell(t, "echo ready; exec sleep 1000")
	for name, act := range map[string]func() error{"pause": s.Pause, "resume": s.Resume} {
		if err := act(); err == nil {
			t.Errorf("%s before the start: no error", name)
		}
	}
	if err := errors.Join(s.Kill(), s.Stop()); err != nil {
		t.Errorf("end before the start: %v", err)
	}
	if err := s.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	for name, act := range map[string]func() error{"pause": s.Pause, "resume": s.Resume} {
		if err := act(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	first := s.PID()
	if err := errors.Join(s.Pause(), s.Restart(t.Context())); err != nil { // a paused process has to hear the SIGTERM
		t.Fatal(err)
	}
	if second := s.PID(); second == 0 || second == first {
		t.Errorf("process %d after a restart, before %d", second, first)
	}
	if err := errors.Join(s.Pause(), s.Kill()); err != nil || s.PID() != 0 {
		t.Errorf("killed while paused: process %d, %v", s.PID(), err)
	}
}

func TestRunErrors(t *testing.T) {
	s := shell(t, "echo some reason; exit 3")
	if err := s.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "exit status 3") || !strings.Contains(err.Error(), "some reason") {
		t.Errorf("a program that ends: %v, want its status and log", err)
	}
	s = shell(t, "echo listen tcp 127.0.0.1:1: bind: address already in use; exit 1")
	if err := s.Run(t.Context()); !errors.Is(err, ErrPortTaken) {
		t.Errorf("a port taken: %v", err)
	}
	s = shell(t, "echo some words; exec sleep 1000")
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := s.Run(ctx); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "not yet") || s.PID() != 0 {
		t.Errorf("never ready: %v, process %d", err, s.PID())
	}
	s.Program = filepath.Join(t.TempDir(), "none")
	if err := s.Run(t.Context()); !os.IsNotExist(errors.Unwrap(err)) {
		t.Errorf("no program: %v", err)
	}
}

func TestReservePorts(t *testing.T) {
	addresses, err := ReservePorts(20)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, a := range addresses {
		host, port, err := net.SplitHostPort(a)
		n, _ := strconv.Atoi(port)
		if err != nil || host != "127.0.0.1" || n == 0 || seen[a] {
			t.Errorf("address %q: not a new port of 127.0.0.1 (%v)", a, err)
		}
		seen[a] = true
	}
}

func TestEnviron(t *testing.T) {
	t.Setenv("PROCTEST_A", "1")
	t.Setenv("NOTIFY_SOCKET", "/run/none")
	t.Setenv("OTHER", "1")
	env := strings.Join(Environ("PROCTEST_"), "\n")
	if strings.Contains(env, "PROCTEST_A=") || strings.Contains(env, "NOTIFY_SOCKET=") || !strings.Contains(env, "OTHER=1") {
		t.Errorf("environment:\n%s", env)
	}
}

// A reserved port is nobody's who asks for any, and is had by who names it.
func TestReservedPortIsKept(t *testing.T) {
	addresses, err := ReservePorts(2)
	if err != nil {
		t.Fatal(err)
	}
	for _, address := range addresses {
		// The kernel's search for a free port asks the same question as a bind without SO_REUSEADDR.
		strict := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) (err error) {
			return errors.Join(c.Control(func(fd uintptr) { err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 0) }), err)
		}}
		if l, err := strict.Listen(t.Context(), "tcp", address); err == nil {
			t.Errorf("%s can be had by anybody", address)
			_ = l.Close()
		}
		l, err := net.Listen("tcp", address)
		if err != nil {
			t.Errorf("reserved, and yet: %v", err)
			continue
		}
		_ = l.Close()
	}
}
