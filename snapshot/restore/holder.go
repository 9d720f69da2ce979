package restore

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"etcd-rolling-backup/internal/regular"
)

// ErrHeld marks a data directory whose database is open in a running process.
var ErrHeld = errors.New("in use")

// checkFree refuses a data directory that an etcd uses: bbolt holds a lock on its database while it is open. The lock is only
// tried and never kept: an etcd started meanwhile would wait for it, and then continue with half of the old data and half of the
// new. A second check just before the rename finds an etcd that was started later.
func checkFree(dataDir string) error {
	path := filepath.Join(dataDir, "member", "snap", "db")
	f, err := regular.Open(path, os.O_RDONLY|unix.O_NOFOLLOW)
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ELOOP) { // a link is refused with all others, by checkTree
		return nil
	}
	if err != nil {
		return fmt.Errorf("check whether an etcd uses %s: %w", dataDir, err)
	}
	defer f.Close()
	err = unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return fmt.Errorf("%w: %s: %s has its database open: stop it first", ErrHeld, dataDir, holder(path))
	}
	if err != nil {
		return fmt.Errorf("try the lock of %s: %w", path, err)
	}
	return nil
}

// holder names the process that has locked a file or directory, if it is visible from here.
func holder(path string) string {
	pid := lockedBy(path)
	if pid <= 0 {
		return "a process that is not visible from here, maybe in another container,"
	}
	name, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "comm"))
	if err != nil {
		return fmt.Sprintf("process %d", pid)
	}
	return fmt.Sprintf("process %d (%s)", pid, strings.TrimSpace(string(name)))
}

// lockedBy reads /proc/locks, whose lines look like "1: FLOCK ADVISORY WRITE 710 fe:00:5242891 0 EOF". On Btrfs and overlayfs
// their device differs from stat's: there the process must also have the file open.
func lockedBy(path string) int {
	var s unix.Stat_t
	if err := unix.Stat(path, &s); err != nil {
		return 0
	}
	exact := fmt.Sprintf("%02x:%02x:%d", unix.Major(s.Dev), unix.Minor(s.Dev), s.Ino)
	locks, err := os.Open("/proc/locks")
	if err != nil {
		return 0
	}
	defer locks.Close()
	lines := bufio.NewScanner(locks)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 6 || fields[1] != "FLOCK" || !strings.HasSuffix(fields[5], fmt.Sprintf(":%d", s.Ino)) {
			continue
		}
		if pid, err := strconv.Atoi(fields[4]); err == nil && (fields[5] == exact || hasOpen(pid, &s)) {
			return pid
		}
	}
	return 0
}

// hasOpen reports whether a process has a file open, as far as we may see that.
func hasOpen(pid int, file *unix.Stat_t) bool {
	dir := filepath.Join("/proc", strconv.Itoa(pid), "fd")
	open, err := os.ReadDir(dir)
	if err != nil {
		return false
	}
	for _, fd := range open {
		var s unix.Stat_t
		if unix.Stat(filepath.Join(dir, fd.Name()), &s) == nil && s.Dev == file.Dev && s.Ino == file.Ino {
			return true
		}
	}
	return false
}
