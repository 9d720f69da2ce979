package proctest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"
)

const (
	// stopLimit bounds a graceful shutdown.
	stopLimit = 20 * time.Second
	// pauseLimit bounds the wait for the kernel to stop every thread.
	pauseLimit = 5 * time.Second
	// restartAttempts and restartPause bound the wait for a port that another process took while the server was down.
	restartAttempts = 20
	restartPause    = 250 * time.Millisecond
)

// Server is one program that runs until it is stopped. Its fields are set before the first start and changed only while
// it is down; its methods may be called from several goroutines.
type Server struct {
	Name    string   // for errors
	Program string   // path of the executable
	Args    []string // its arguments, without the program's name
	Env     []string // its complete environment
	Dir     string   // its working directory; empty means that of the test
	LogPath string   // every start appends the output; the directory must exist

	// Probe checks once whether the server is ready, and returns nil if it is. It is called until then.
	Probe func(ctx context.Context) error

	mu   sync.Mutex
	proc *process // the last process started; nil before the first
}

// PID returns the process ID, 0 if the server is not running.
func (s *Server) PID() int {
	if p := s.process(); p != nil && p.running() {
		return p.child.Pid
	}
	return 0
}

// Pause suspends the process with SIGSTOP: its sockets stay open, but it does not answer. It returns once the process is stopped.
func (s *Server) Pause() error {
	ctx, cancel := context.WithTimeout(context.Background(), pauseLimit)
	defer cancel()
	if s.PID() == 0 {
		return fmt.Errorf("pause %s: not running", s.Name)
	}
	if err := s.process().pause(ctx); err != nil {
		return fmt.Errorf("pause %s: %w", s.Name, err)
	}
	return nil
}

// Resume continues a paused process with SIGCONT.
func (s *Server) Resume() error {
	if s.PID() == 0 {
		return fmt.Errorf("resume %s: not running", s.Name)
	}
	if err := s.process().child.Signal(syscall.SIGCONT); err != nil {
		return fmt.Errorf("resume %s: %w", s.Name, err)
	}
	return nil
}

// Kill kills the process with SIGKILL, even if it is paused, and waits for it. If the server is not running, it returns nil.
func (s *Server) Kill() error {
	p := s.process()
	if p == nil {
		return nil
	}
	if err := p.kill(); err != nil {
		return fmt.Errorf("kill %s: %w", s.Name, err)
	}
	return nil
}

// Stop shuts the server down with SIGTERM, after Resume if it is paused, and waits for it. If it does not exit within 20 seconds,
// it is killed, and Stop returns an error.
func (s *Server) Stop() error {
	if s.PID() == 0 {
		return nil
	}
	p := s.process()
	err := errors.Join(p.child.Signal(syscall.SIGCONT), p.child.Signal(syscall.SIGTERM))
	if err != nil && p.running() {
		return fmt.Errorf("stop %s: %w", s.Name, err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), stopLimit)
	defer cancel()
	if err := p.wait(ctx); err != nil {
		return fmt.Errorf("stop %s: %w", s.Name, errors.Join(err, p.kill()))
	}
	return nil
}

// Restart starts the server again with its arguments, after Stop if it is running, and returns once it is ready.
func (s *Server) Restart(ctx context.Context) error {
	if err := s.Stop(); err != nil {
		return err
	}
	attempts := 0
	err := Poll(ctx, restartPause, func() (bool, error) {
		attempts++
		err := s.Run(ctx)
		if errors.Is(err, ErrPortTaken) && attempts < restartAttempts {
			return false, nil
		}
		return err == nil, err
	})
	if err != nil {
		return fmt.Errorf("restart %s: %w", s.Name, err)
	}
	return nil
}

// Run starts the process and waits until it is ready; the server must be down. The context bounds only the wait. After an error,
// no process remains; the error contains the end of the log, and is [ErrPortTaken] if another program uses the port.
func (s *Server) Run(ctx context.Context) error {
	offset, err := s.spawn()
	if err != nil {
		return err
	}
	if err := s.awaitReady(ctx, offset); err != nil {
		return errors.Join(err, s.Kill())
	}
	return nil
}

// spawn starts the process and returns the offset in the log at which its output begins.
func (s *Server) spawn() (offset int64, err error) {
	log, err := os.OpenFile(s.LogPath, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return 0, err
	}
	defer log.Close() // the child has its own descriptor
	info, err := log.Stat()
	if err != nil {
		return 0, err
	}
	p, err := startProcess(s.Program, s.Args, s.Env, s.Dir, log)
	if err != nil {
		return 0, fmt.Errorf("start %s: %w", s.Name, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.proc = p
	return info.Size(), nil
}

func (s *Server) process() *process {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.proc
}
