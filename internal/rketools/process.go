package rketools

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"etcd-rolling-backup/internal/printable"
)

// run runs a program and returns its output, of at most stateLimit bytes. When it returns, no process of the program's group is alive: it
// kills all of them when ctx ends and when the program has exited. If this process dies, the kernel kills the program.
//
// The output goes to an anonymous file in memory and not to a pipe: a process that keeps it open can't delay anything, it is on no disk,
// and it is gone when it is closed, however this process ends.
func run(ctx context.Context, program string, args ...string) (out []byte, err error) {
	file, err := memoryFile(2 * stateLimit)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	messages := &lastBytes{}
	cmd := exec.CommandContext(context.WithoutCancel(ctx), program, args...) // the whole group is killed below
	cmd.Stdout, cmd.Stderr = file, messages
	cmd.WaitDelay = time.Second // for a process outside of the group that keeps stderr open
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	// Pdeathsig means the death of this thread.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	waitErr := waitGroup(ctx, cmd)
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	size, err := file.Seek(0, io.SeekCurrent) // the position is shared with the program
	if err != nil {
		return nil, fmt.Errorf("read the output: %w", err)
	}
	if size > stateLimit {
		return nil, tooLong("the output", stateLimit)
	}
	if waitErr != nil && !errors.Is(waitErr, exec.ErrWaitDelay) {
		if message := messages.line(); message != "" {
			waitErr = fmt.Errorf("%w: %s", waitErr, message)
		}
		return nil, waitErr
	}
	out = make([]byte, size)
	if _, err := file.ReadAt(out, 0); err != nil {
		return nil, fmt.Errorf("read the output: %w", err)
	}
	return out, nil
}

// waitGroup waits for the program and kills its group, at the latest when ctx ends. As long as the program is not reaped, no other group
// can get its ID.
func waitGroup(ctx context.Context, cmd *exec.Cmd) error {
	pid := cmd.Process.Pid
	kill := func() { _ = unix.Kill(-pid, unix.SIGKILL) } // ESRCH: nobody is left
	killed := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(killed)
		kill()
	})
	for {
		if err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil); !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if !stop() {
		<-killed
	}
	kill()
	return cmd.Wait()
}

// memoryFile makes an anonymous file of mode 0600 in memory, which can't become longer than size. Bytes are taken when they are written.
func memoryFile(size int64) (*os.File, error) {
	const flags = unix.MFD_CLOEXEC | unix.MFD_ALLOW_SEALING
	fd, err := unix.MemfdCreate("state-file", flags|unix.MFD_NOEXEC_SEAL) // vm.memfd_noexec can demand this
	if errors.Is(err, unix.EINVAL) {                                      // before Linux 6.3
		fd, err = unix.MemfdCreate("state-file", flags)
	}
	if err != nil {
		return nil, fmt.Errorf("create a file in memory: %w", err)
	}
	f := os.NewFile(uintptr(fd), "state-file")
	err = errors.Join(f.Chmod(0o600), f.Truncate(size))
	if err == nil {
		_, err = unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, unix.F_SEAL_GROW|unix.F_SEAL_SHRINK)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("create a file in memory: %w", err), f.Close())
	}
	return f, nil
}

const (
	longestMessage = 300
	shortestSecret = 40
)

// lastBytes keeps the end of what is written to it.
type lastBytes struct{ end []byte }

// Write implements io.Writer.
func (l *lastBytes) Write(p []byte) (int, error) {
	l.end = append(l.end, p[max(0, len(p)-2*longestMessage):]...)
	l.end = bytes.Clone(l.end[max(0, len(l.end)-2*longestMessage):])
	return len(p), nil
}

// line returns the last line, as far as it can be a message: a long one or JSON may be the state file, and a long word a key.
func (l *lastBytes) line() string {
	text := bytes.TrimSpace(l.end)
	text = bytes.TrimSpace(text[bytes.LastIndexByte(text, '\n')+1:])
	if len(text) > longestMessage || bytes.HasPrefix(text, []byte("{")) || bytes.Contains(text, []byte("PRIVATE KEY")) {
		return "(its message is not shown: it is long, or may contain a key)"
	}
	words := regexp.MustCompile(fmt.Sprintf(`[A-Za-z0-9+/=_]{%d,}`, shortestSecret))
	return printable.Text(string(words.ReplaceAll(text, []byte("(…)"))))
}
