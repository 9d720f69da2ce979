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

// startLow starts a process at the lowest priority for processor and disk. Both belong to threads on Linux, and a process
// inherits them from the thread that forks it, so that all of its threads have them from their first instruction on. That
// thread ends here: what was lowered can't be raised again without privileges.
func startLow(cmd *exec.Cmd) error {
	started := make(chan error, 1)
	go func() { started <- startOnThread(cmd) }()
	return <-started
}

// startOnThread spends the thread of a goroutine that ends with it.
func startOnThread(cmd *exec.Cmd) error {
	runtime.LockOSThread() // and not unlocked, which ends the thread with its goroutine
	if unix.Gettid() == unix.Getpid() {
		// The main thread never ends, and the whole process is judged by it. Kept busy here, it can't be the other one's.
		defer runtime.UnlockOSThread()
		return startLow(cmd)
	}
	if err := lowerThread(); err != nil {
		return err
	}
	return cmd.Start()
}

// lowerThread lowers the calling thread. A sandbox that refuses it, as systemd's @resources does, is no reason not to drill:
// Result.Nice tells.
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

// niceness is that of the calling thread.
func niceness() (int, error) {
	// The system call gives 20 minus the niceness, so that no result is negative.
	raw, err := unix.Getpriority(unix.PRIO_PROCESS, 0)
	return 20 - raw, err
}
