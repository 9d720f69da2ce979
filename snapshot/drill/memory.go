package drill

import (
	"bufio"
	"bytes"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

// available is how much memory this process may take more, in bytes, and whose limit that is: the machine's or that of one
// of the control groups around it (cgroup v2, v1 or both), whichever is least. root is the file system's.
func available(root fs.FS) (least int64, where string, known bool) {
	consider := func(n int64, of string) {
		if !known || n < least {
			least, where, known = max(n, 0), of, true
		}
	}
	if n, ok := field(root, "proc/meminfo", "MemAvailable:"); ok {
		consider(n<<10, "the machine")
	}
	groups, err := fs.ReadFile(root, "proc/self/cgroup")
	if err != nil {
		return least, where, known
	}
	for _, line := range strings.Split(strings.TrimSpace(string(groups)), "\n") {
		// number:controllers:path, the controllers of v2 are none
		parts := strings.SplitN(line, ":", 3)
		if len(parts) != 3 {
			continue
		}
		c := v2()
		if parts[1] != "" {
			if !slices.Contains(strings.Split(parts[1], ","), "memory") {
				continue
			}
			c = v1()
		}
		for _, mount := range c.mounts {
			// Within a container the path may be the host's, and only the mount itself is there.
			for dir := path.Join(mount, path.Clean("/"+parts[2])); strings.HasPrefix(dir, mount); dir = path.Dir(dir) {
				if n, ok := c.room(root, dir); ok {
					consider(n, "the control group /"+dir)
				}
			}
		}
	}
	return least, where, known
}

// groups are the names of one version of control groups.
type groups struct {
	mounts []string
	limits []string
	usage  string
	cache  []string // fields of memory.stat that count as used and give way
}

func v2() groups {
	return groups{
		mounts: []string{"sys/fs/cgroup", "sys/fs/cgroup/unified"}, limits: []string{"memory.max", "memory.high"},
		usage: "memory.current", cache: []string{"inactive_file", "active_file"},
	}
}

func v1() groups {
	return groups{
		mounts: []string{"sys/fs/cgroup/memory"}, limits: []string{"memory.limit_in_bytes"},
		usage: "memory.usage_in_bytes", cache: []string{"total_inactive_file", "total_active_file"},
	}
}

// room is what one group has left; false where it sets no limit or is not there.
func (g groups) room(root fs.FS, dir string) (int64, bool) {
	used, ok := number(root, path.Join(dir, g.usage))
	if !ok {
		return 0, false
	}
	for _, name := range g.cache {
		if n, ok := field(root, path.Join(dir, "memory.stat"), name); ok {
			used -= n
		}
	}
	var least int64
	limited := false
	for _, name := range g.limits {
		// v2 writes "max" for no limit, v1 a number beyond all machines.
		if limit, ok := number(root, path.Join(dir, name)); ok && (!limited || limit < least) {
			least, limited = limit, true
		}
	}
	return least - max(used, 0), limited
}

func number(root fs.FS, name string) (int64, bool) {
	text, err := fs.ReadFile(root, name)
	if err != nil {
		return 0, false
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	return n, err == nil
}

// field reads the number behind a name that begins a line.
func field(root fs.FS, file, name string) (int64, bool) {
	text, err := fs.ReadFile(root, file)
	if err != nil {
		return 0, false
	}
	for s := bufio.NewScanner(bytes.NewReader(text)); s.Scan(); {
		if words := strings.Fields(s.Text()); len(words) > 1 && words[0] == name {
			n, err := strconv.ParseInt(words[1], 10, 64)
			return n, err == nil
		}
	}
	return 0, false
}
