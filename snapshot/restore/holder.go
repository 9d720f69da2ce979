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
)

// ErrHeld marks a data directory whose database a living process holds.
var ErrHeld = errors.New("in use")

// checkFree refuses a data directory that an etcd works on: bbolt holds a lock on its database as long as it is open.
// The lock is only tried and never kept: an etcd that is started meanwhile would wait for it, and go on with half of the
// old data and half of the new. What starts before the renaming is found by asking again just before it.
func checkFree(dataDir string) error {
	path := filepath.Join(dataDir, "member", "snap", "db")
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look whether an etcd runs on %s: %w", dataDir, err)
	}
	defer f.Close()
	err = unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return fmt.Errorf("%w: %s: %s holds its database: stop it first", ErrHeld, dataDir, holder(f))
	}
	if err != nil {
		return fmt.Errorf("try the lock of %s: %w", path, err)
	}
	return nil
}

// holder names the process that has f locked, as far as it can be seen from here.
func holder(f *os.File) string {
	pid := lockedBy(f)
	if pid <= 0 {
		return "a process that can't be seen from here, maybe in another container,"
	}
	name, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "comm"))
	if err != nil {
		return fmt.Sprintf("process %d", pid)
	}
	return fmt.Sprintf("process %d (%s)", pid, strings.TrimSpace(string(name)))
}

// lockedBy reads /proc/locks, whose lines look like "1: FLOCK  ADVISORY  WRITE 710 fe:00:5242891 0 EOF". The device in them is
// another one than that of stat on Btrfs and overlays: there the process has to have the file open.
func lockedBy(f *os.File) int {
	var s unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &s); err != nil {
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

// hasOpen tells whether a process has a file open, as far as that may be seen.
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
