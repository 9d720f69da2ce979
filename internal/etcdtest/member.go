package etcdtest

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
	// stopLimit bounds an orderly shutdown; a leader first hands over its leadership.
	stopLimit = 20 * time.Second
	// pauseLimit bounds the wait for the kernel to stop every thread.
	pauseLimit = 5 * time.Second
	// restartAttempts and restartPause bound the wait for a port that another process took while the member was down.
	restartAttempts = 20
	restartPause    = 250 * time.Millisecond
)

// Member is one etcd server. Its fields do not change; its methods may be called from several goroutines.
type Member struct {
	Name      string // node1, node2, node3; learner1, ...
	ClientURL string // http://127.0.0.1:port, or https
	PeerURL   string // likewise
	Endpoint  string // the client URL's 127.0.0.1:port
	DataDir   string // etcd's --data-dir
	LogPath   string // the server's log, in JSON lines, appended to by every start

	cluster *Cluster
	args    []string

	mu   sync.Mutex
	proc *process // the last process started; nil before the first
}

// PID returns the process ID, 0 when the member does not run.
func (m *Member) PID() int {
	if p := m.process(); p != nil && p.running() {
		return p.child.Pid
	}
	return 0
}

// Pause stops the process with SIGSTOP: its sockets stay open and nothing answers. It returns once the process stands still.
func (m *Member) Pause() error {
	ctx, cancel := context.WithTimeout(context.Background(), pauseLimit)
	defer cancel()
	if m.PID() == 0 {
		return fmt.Errorf("pause %s: not running", m.Name)
	}
	if err := m.process().pause(ctx); err != nil {
		return fmt.Errorf("pause %s: %w", m.Name, err)
	}
	return nil
}

// Resume lets a paused process go on, with SIGCONT.
func (m *Member) Resume() error {
	if m.PID() == 0 {
		return fmt.Errorf("resume %s: not running", m.Name)
	}
	if err := m.process().child.Signal(syscall.SIGCONT); err != nil {
		return fmt.Errorf("resume %s: %w", m.Name, err)
	}
	return nil
}

// Kill ends the process with SIGKILL, paused or not, and waits for it. It is no error when the member does not run.
func (m *Member) Kill() error {
	p := m.process()
	if p == nil {
		return nil
	}
	if err := p.kill(); err != nil {
		return fmt.Errorf("kill %s: %w", m.Name, err)
	}
	return nil
}

// Stop ends the process in etcd's own orderly way, with SIGTERM, resuming it first when it is paused, and waits for it.
// A process that does not end within 20 seconds is killed, and that is an error.
func (m *Member) Stop() error {
	if m.PID() == 0 {
		return nil
	}
	p := m.process()
	err := errors.Join(p.child.Signal(syscall.SIGCONT), p.child.Signal(syscall.SIGTERM))
	if err != nil && p.running() {
		return fmt.Errorf("stop %s: %w", m.Name, err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), stopLimit)
	defer cancel()
	if err := p.wait(ctx); err != nil {
		return fmt.Errorf("stop %s: %w", m.Name, errors.Join(err, p.kill()))
	}
	return nil
}

// Restart starts the member again on its ports and data, after Stop if it runs, and returns when it reports to be healthy.
// That takes a quorum: restart members that are down together with [Cluster.Restart].
func (m *Member) Restart(ctx context.Context) error {
	if err := m.Stop(); err != nil {
		return err
	}
	attempts := 0
	err := poll(ctx, restartPause, func() (bool, error) {
		attempts++
		err := m.run(ctx)
		if errors.Is(err, errPortTaken) && attempts < restartAttempts {
			return false, nil
		}
		return err == nil, err
	})
	if err != nil {
		return fmt.Errorf("restart %s: %w", m.Name, err)
	}
	return nil
}

// run starts the process and waits until it is healthy; on an error it leaves none behind.
func (m *Member) run(ctx context.Context) error {
	offset, err := m.spawn()
	if err != nil {
		return err
	}
	if err := m.awaitHealthy(ctx, offset); err != nil {
		return errors.Join(err, m.Kill())
	}
	return nil
}

// spawn starts the process and returns the offset in the log at which its output begins.
func (m *Member) spawn() (offset int64, err error) {
	log, err := os.OpenFile(m.LogPath, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return 0, err
	}
	defer log.Close() // the child holds its own
	info, err := log.Stat()
	if err != nil {
		return 0, err
	}
	p, err := startProcess(m.cluster.etcd, m.args, log)
	if err != nil {
		return 0, fmt.Errorf("start %s: %w", m.Name, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.proc = p
	return info.Size(), nil
}

func (m *Member) process() *process {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.proc
}
