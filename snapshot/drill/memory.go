package drill

import (
	"io/fs"
	"path"
	"strconv"
	"strings"
)

// cgroupMount is where cgroup v2 is mounted, below a file system's root.
const cgroupMount = "sys/fs/cgroup"

// available returns how much more memory this process can use, in bytes, and whose limit that is: the machine's (MemAvailable), or
// that of one of the cgroups (v2) around the process, whichever is the lowest. known is false if neither can be read. root is the
// file system's root.
func available(root fs.FS) (least int64, where string, known bool) {
	if n, ok := field(root, "proc/meminfo", "MemAvailable:"); ok {
		least, where, known = n<<10, "the machine", true
	}
	groups, err := fs.ReadFile(root, "proc/self/cgroup")
	if err != nil {
		return least, where, known
	}
	for line := range strings.Lines(string(groups)) {
		group, ok := strings.CutPrefix(strings.TrimSpace(line), "0::")
		if !ok {
			continue // of cgroup v1
		}
		// In a container this may be the host's path, of which only the mount itself is visible.
		for dir := path.Join(cgroupMount, path.Clean("/"+group)); strings.HasPrefix(dir, cgroupMount); dir = path.Dir(dir) {
			if n, ok := cgroupFree(root, dir); ok && (!known || n < least) {
				least, where, known = n, "the cgroup /"+dir, true
			}
		}
	}
	return least, where, known
}

// cgroupFree returns how many bytes one cgroup may still use; false if it has no limit or does not exist. Its page cache counts as
// free, because the kernel drops that first.
func cgroupFree(root fs.FS, dir string) (int64, bool) {
	used, ok := number(root, path.Join(dir, "memory.current"))
	if !ok {
		return 0, false
	}
	for _, cache := range []string{"inactive_file", "active_file"} {
		if n, ok := field(root, path.Join(dir, "memory.stat"), cache); ok {
			used -= n
		}
	}
	var least int64
	limited := false
	for _, name := range []string{"memory.max", "memory.high"} { // "max" for no limit
		if limit, ok := number(root, path.Join(dir, name)); ok && (!limited || limit < least) {
			least, limited = limit, true
		}
	}
	return max(least-max(used, 0), 0), limited
}

// oomKills returns how many processes of this machine the kernel has killed because memory ran out, including those over the
// limit of a cgroup; false if the kernel does not count them.
func oomKills(root fs.FS) (int64, bool) { return field(root, "proc/vmstat", "oom_kill") }

func number(root fs.FS, name string) (int64, bool) {
	text, err := fs.ReadFile(root, name)
	if err != nil {
		return 0, false
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	return n, err == nil
}

// field reads the number after a name at the beginning of a line.
func field(root fs.FS, file, name string) (int64, bool) {
	text, err := fs.ReadFile(root, file)
	if err != nil {
		return 0, false
	}
	for line := range strings.Lines(string(text)) {
		if words := strings.Fields(line); len(words) > 1 && words[0] == name {
			n, err := strconv.ParseInt(words[1], 10, 64)
			return n, err == nil
		}
	}
	return 0, false
}
