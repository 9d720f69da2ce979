package kubernetes_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// containerEnv makes this test program a container runtime: the variable has a container in JSON.
const containerEnv = "ERB_TEST_CONTAINER"

// container is a process as a runtime starts it: in a root of its own, with mounts, with few capabilities or none, in the node's network.
type container struct {
	Root         string // a directory with the image's files
	ReadOnlyRoot bool
	HostName     string
	UID, GID     int
	Capabilities []string
	Mounts       []mount
	Args         []string
	Env          []string
}

type mount struct {
	From, To string
	ReadOnly bool
}

func TestMain(m *testing.M) {
	if text := os.Getenv(containerEnv); text != "" {
		var c container
		err := json.Unmarshal([]byte(text), &c)
		if err == nil {
			err = c.become()
		}
		fmt.Fprintln(os.Stderr, "container:", err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// become replaces this process by the container's, and returns only if it can't.
func (c container) become() error {
	runtime.LockOSThread() // namespaces and capabilities are a thread's
	if err := errors.Join(unix.Unshare(unix.CLONE_NEWNS|unix.CLONE_NEWUTS), unix.Sethostname([]byte(c.HostName)),
		unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""), unix.Mount(c.Root, c.Root, "", unix.MS_BIND, "")); err != nil {
		return fmt.Errorf("namespaces: %w", err)
	}
	mounts := append([]mount{{From: "/proc", To: "/proc"}, {From: "/dev/null", To: "/dev/null"}}, c.Mounts...)
	for _, m := range mounts {
		if err := m.in(c.Root); err != nil {
			return fmt.Errorf("mount %s: %w", m.To, err)
		}
	}
	if c.ReadOnlyRoot {
		if err := readOnly(c.Root); err != nil {
			return err
		}
	}
	if err := errors.Join(unix.Chroot(c.Root), unix.Chdir("/")); err != nil {
		return fmt.Errorf("root: %w", err)
	}
	if err := c.dropRights(); err != nil {
		return err
	}
	return unix.Exec(c.Args[0], c.Args, c.Env)
}

// in mounts a file or a directory below a root.
func (m mount) in(root string) error {
	to := filepath.Join(root, m.To)
	info, err := os.Stat(m.From)
	if err != nil {
		return err
	}
	if info.IsDir() {
		err = os.MkdirAll(to, 0o755)
	} else if err = os.MkdirAll(filepath.Dir(to), 0o755); err == nil {
		err = os.WriteFile(to, nil, 0o644)
	}
	if err == nil {
		err = unix.Mount(m.From, to, "", unix.MS_BIND|unix.MS_REC, "")
	}
	if err == nil && m.ReadOnly {
		err = readOnly(to)
	}
	return err
}

func readOnly(path string) error {
	return unix.Mount("", path, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, "")
}

// dropRights leaves a user with the container's capabilities only, who gets no other by running a program either.
func (c container) dropRights() error {
	names := map[uintptr]string{unix.CAP_DAC_READ_SEARCH: "DAC_READ_SEARCH"}
	for capability := uintptr(0); unix.Prctl(unix.PR_CAPBSET_READ, capability, 0, 0, 0) == nil; capability++ {
		if slices.Contains(c.Capabilities, names[capability]) {
			continue
		}
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, capability, 0, 0, 0); err != nil {
			return fmt.Errorf("capability %d: %w", capability, err)
		}
	}
	if err := errors.Join(unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), unix.Setgroups(nil),
		unix.Setresgid(c.GID, c.GID, c.GID), unix.Setresuid(c.UID, c.UID, c.UID)); err != nil {
		return fmt.Errorf("user: %w", err)
	}
	return nil
}
