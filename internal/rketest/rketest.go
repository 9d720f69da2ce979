// Package rketest is RKE as far as etcd's snapshots are concerned: its nine calls of rke-tools with their exact arguments, the
// containers in which it makes them, its certificates, its three nodes with a real etcd each, and the archives that the original writes.
//
// Its invariants: a container sees the paths that RKE mounts, at their real places, and nothing of them is on the machine itself; it is
// process 1 of its own. Everything runs in a network of its own, so that port 2379 is free whatever else the machine does. Nothing
// outlives the test: neither a process nor a mount nor a file.
//
// A package that uses it has a TestMain that calls [Main]. It needs root.
package rketest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// stageEnv says what this process is: the go command's child (not set), the process with the tests, or a container that begins.
const stageEnv = "RKETEST_STAGE"

const (
	stageTests     = "tests"
	stageContainer = "container"
)

// Main runs the tests of a package in a network and with mounts of their own, and returns the exit status. For that the test's program
// starts itself once more.
func Main(m *testing.M) int {
	var err error
	switch os.Getenv(stageEnv) {
	case stageTests:
		if err = errors.Join(os.Unsetenv(stageEnv), loopbackUp(), privateMounts()); err == nil {
			return m.Run()
		}
	case stageContainer:
		err = begin()
	default:
		var status int
		if status, err = enclosed(); err == nil {
			return status
		}
	}
	fmt.Fprintln(os.Stderr, "rketest:", err)
	return 1
}

// enclosed starts this program again in its own network and returns its exit status.
func enclosed() (int, error) {
	// The kernel kills the child when the thread that started it exits.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr //nolint:forbidigo // they are the go command's
	cmd.Env = append(os.Environ(), stageEnv+"="+stageTests)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET | unix.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return max(exit.ExitCode(), 1), nil
	}
	if err != nil {
		return 0, fmt.Errorf("start the tests in their own network (needs root): %w", err)
	}
	return 0, nil
}

// loopbackUp brings up the loopback device, which is down in a new network. All of 127.0.0.0/8 is on it.
func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("bring up lo: %w", err)
	}
	defer func() { _ = unix.Close(fd) }() // nothing was written
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return fmt.Errorf("bring up lo: %w", err)
	}
	lo.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo); err != nil {
		return fmt.Errorf("bring up lo: %w", err)
	}
	return nil
}

// privateMounts keeps the mounts of this process from the machine's.
func privateMounts() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make the mounts private: %w", err)
	}
	return nil
}
