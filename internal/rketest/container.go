package rketest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Limit bounds a container's run: RKE's own limit is 300 s.
const Limit = 2 * time.Minute

// path is the PATH of the original's image.
const path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// Container is a process with mounts, as Docker would run it.
type Container struct {
	Name   string
	Args   []string
	Env    []string
	Mounts map[string]string // path in the container -> file or directory of the test
}

// Engine runs containers.
type Engine interface {
	// Command is one that runs the container in the foreground, with the container's output and exit status.
	Command(ctx context.Context, c Container) *exec.Cmd
	// Stop does what `docker stop` does with a container that Command has started, with the signal that the image names.
	Stop(c Container, cmd *exec.Cmd) error
	// Kill does what `docker rm -f` does.
	Kill(c Container, cmd *exec.Cmd) error
}

// Namespaces is an engine whose containers see the machine's own programs, read-only, with RKE's mounts over them.
type Namespaces struct {
	StopSignal syscall.Signal // of the image: the original's is SIGQUIT
}

// Command starts this program again as the container's process 1, which [Main] makes the container's program.
func (Namespaces) Command(ctx context.Context, c Container) *exec.Cmd {
	text, err := json.Marshal(c)
	cmd := exec.CommandContext(ctx, "/proc/self/exe", string(text))
	cmd.Err = errors.Join(cmd.Err, err)
	cmd.Env = []string{path, stageEnv + "=" + stageContainer}
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWPID, Pdeathsig: syscall.SIGKILL}
	return cmd
}

// Stop sends the signal.
func (n Namespaces) Stop(_ Container, cmd *exec.Cmd) error { return cmd.Process.Signal(n.StopSignal) }

// Kill kills process 1 of the container, and so all of them.
func (Namespaces) Kill(_ Container, cmd *exec.Cmd) error { return cmd.Process.Kill() }

// begin makes this process that of the container. It returns only errors.
func begin() error {
	var c Container
	if err := json.Unmarshal([]byte(os.Args[len(os.Args)-1]), &c); err != nil {
		return fmt.Errorf("read the container: %w", err)
	}
	root, err := mountRoot()
	if err != nil {
		return fmt.Errorf("make the container's root: %w", err)
	}
	for at, from := range c.Mounts {
		if err := bind(from, filepath.Join(root, at)); err != nil {
			return fmt.Errorf("mount %s: %w", at, err)
		}
	}
	if err := errors.Join(unix.Chroot(root), unix.Chdir("/")); err != nil {
		return fmt.Errorf("enter the container: %w", err)
	}
	program := c.Args[0]
	if !strings.Contains(program, "/") {
		if program, err = exec.LookPath(program); err != nil {
			return err
		}
	}
	return fmt.Errorf("execute %s: %w", program, unix.Exec(program, c.Args, append([]string{path, "HOME=/root"}, c.Env...)))
}

// mountRoot makes a copy of the machine's root whose changes are in memory and end with the process.
func mountRoot() (string, error) {
	if err := privateMounts(); err != nil {
		return "", err
	}
	const scratch = "/mnt"
	if err := unix.Mount("tmpfs", scratch, "tmpfs", 0, ""); err != nil {
		return "", err
	}
	root := scratch + "/root"
	for _, dir := range []string{scratch + "/upper", scratch + "/work", root} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			return "", err
		}
	}
	err := unix.Mount("overlay", root, "overlay", 0, "lowerdir=/,upperdir="+scratch+"/upper,workdir="+scratch+"/work")
	if err != nil {
		return "", err
	}
	return root, errors.Join(
		unix.Mount("proc", root+"/proc", "proc", 0, ""),
		unix.Mount("/dev", root+"/dev", "", unix.MS_BIND|unix.MS_REC, ""),
		unix.Mount("tmpfs", root+"/tmp", "tmpfs", 0, ""),
	)
}

func bind(from, at string) error {
	info, err := os.Stat(from)
	if err != nil {
		return err
	}
	if info.IsDir() {
		err = os.MkdirAll(at, 0o755)
	} else if err = os.MkdirAll(filepath.Dir(at), 0o755); err == nil {
		err = os.WriteFile(at, nil, 0o600)
	}
	if err != nil {
		return err
	}
	return unix.Mount(from, at, "", unix.MS_BIND, "")
}

// start runs the command from a thread that lives as long as the child, for the kernel kills the child when that thread exits.
func start(cmd *exec.Cmd) (done <-chan struct{}, err error) {
	ended := make(chan struct{})
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // the process state has the same information
			close(ended)
		}
	}()
	return ended, <-started
}
