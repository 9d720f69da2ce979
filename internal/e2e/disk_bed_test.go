package e2e_test

import (
	"os"
	"os/exec"
	"slices"
	"syscall"
	"testing"
)

// smallDisk mounts a tmpfs of size $1 on $2, runs the rest there and prints, after "--", the names in $2.
const smallDisk = `
mount -t tmpfs -o "size=$1,mode=700" tmpfs "$2" || exit 99
dir=$2
shift 2
"$@"
status=$?
echo -- && ls -A "$dir"
exit $status
`

// onSmallDisk runs the program with a directory on a file system of its own, in a mount namespace that ends with the process
// and so leaves no mount behind. Without root it takes a user namespace as well.
func onSmallDisk(t *testing.T, size string, args func(dir string) []string) *process {
	t.Helper()
	dir := t.TempDir()
	cmd := exec.Command("sh", slices.Concat([]string{"-c", smallDisk, "sh", size, dir, lean}, args(dir))...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	if os.Getuid() != 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
			UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
		}
	}
	return launch(t, cmd)
}
