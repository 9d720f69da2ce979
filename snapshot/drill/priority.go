package drill

import (
	"errors"
	"fmt"
	"os/exec"
	"runtime"

	"golang.org/x/sys/unix"
)

const (
	lowestNice = 19

	// linux/ioprio.h
	ioprioWhoProcess = 1
	ioprioClassShift = 13
	ioprioClassIdle  = 3
)

// startLow starts a process at the lowest priority for CPU and disk. On Linux both belong to threads, and a process inherits them
// from the thread that forks it. So all its threads have them from their first instruction. That thread exits here, because
// raising the priority again needs privileges.
func startLow(cmd *exec.Cmd) error {
	started := make(chan error, 1)
	go func() { started <- startOnThread(cmd) }()
	return <-started
}

// startOnThread uses up the thread of its goroutine, which exits with it.
func startOnThread(cmd *exec.Cmd) error {
	runtime.LockOSThread() // never unlocked, so the thread exits with its goroutine
	if unix.Gettid() == unix.Getpid() {
		// The main thread never exits, and its priority counts as the whole process's. It stays busy here, so the next try gets
		// another thread.
		defer runtime.UnlockOSThread()
		return startLow(cmd)
	}
	if err := lowerThread(); err != nil {
		return err
	}
	return cmd.Start()
}

// lowerThread lowers the priority of the calling thread. A sandbox that refuses this, such as systemd's @resources, does not
// prevent the drill; Result.Nice shows it.
func lowerThread() error {
	if err := unix.Setpriority(unix.PRIO_PROCESS, 0, lowestNice); err != nil && !refused(err) {
		return fmt.Errorf("lower the priority: %w", err)
	}
	const idle = ioprioClassIdle << ioprioClassShift
	if _, _, err := unix.Syscall(unix.SYS_IOPRIO_SET, ioprioWhoProcess, 0, idle); err != 0 && !refused(err) {
		return fmt.Errorf("lower the priority for the disk: %w", err)
	}
	return nil
}

func refused(err error) bool {
	return errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) || errors.Is(err, unix.ENOSYS)
}

// niceness returns the niceness of the calling thread.
func niceness() (int, error) {
	// The system call returns 20 minus the niceness, so that no result is negative.
	raw, err := unix.Getpriority(unix.PRIO_PROCESS, 0)
	return 20 - raw, err
}
