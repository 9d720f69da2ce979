package drill

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"

	"github.com/dustin/go-humanize"

	"etcd-rolling-backup/snapshot"
)

var (
	// ErrSkipped marks a drill that did not run, or was killed, because disk space or memory is low. It says nothing about the snapshot.
	ErrSkipped = errors.New("drill skipped")
	// ErrMemory is an ErrSkipped because of memory.
	ErrMemory = fmt.Errorf("%w", ErrSkipped)
)

const (
	// walSpace is the size of a new etcd's write-ahead log: one segment of 64 MB, the next one prepared, and the growth of two
	// database files by a step of 16 MiB.
	walSpace = 160 << 20
	// Measured without the mapped file: 6 MiB for an empty database, 80 MiB for one of 256 MiB and 48 000 keys, 160 to 220 MiB,
	// depending on the limit, for one of 137 MiB and 600 000 keys. Most of it is the index of all keys and revisions.
	baseMemory = 64 << 20
	keyMemory  = 256
	// maxRawSize is far more than any disk holds. The size is a stranger's, so nothing may overflow.
	maxRawSize = 1 << 60
)

// room is what a drill needs, in bytes.
type room struct {
	disk   int64
	memory int64 // of the process itself; the mapped database is page cache, which the kernel can drop
}

// needs returns the room for a drill on an archive of rawSize bytes after decompression (Manifest.RawSize). The database is on
// the disk twice during the restore. The number of keys is known only after decompression; with very many small keys a drill may
// be skipped then.
func needs(rawSize int64) room {
	rawSize = min(rawSize, maxRawSize)
	return room{disk: 2*rawSize + walSpace, memory: baseMemory + rawSize/4}
}

// needs returns the room for the drill, with its journal.
func (c Child) needs() room {
	j := c.Journal
	switch {
	case j == nil:
		return needs(c.RawSize)
	case j.Base == nil:
		return needs(min(c.RawSize, maxRawSize) + min(j.Size, maxRawSize))
	}
	merged := min(j.BaseSize, maxRawSize) + min(j.Size, maxRawSize)
	n := needs(max(min(c.RawSize, maxRawSize), merged))
	n.disk = min(c.RawSize, maxRawSize) + min(j.BaseSize, maxRawSize) + merged
	return n
}

// needsMemory returns the memory for a database whose number of keys is known.
func needsMemory(rawSize, keys int64) int64 {
	return max(needs(rawSize).memory, baseMemory+rawSize/8+keys*keyMemory)
}

// enough checks that a drill can run in dir and leave minFree bytes of the disk free. If not, the error wraps ErrSkipped and says
// what is missing. Memory that cannot be measured counts as enough.
func enough(dir *snapshot.Dir, minFree int64, need room) error {
	free, err := dir.Free()
	if err != nil {
		return err
	}
	if free-need.disk < minFree {
		return fmt.Errorf("%w: it needs %s of disk space for a while; %s has %s free, and --min-free keeps %s of that",
			ErrSkipped, size(need.disk), dir.Path(), size(free), size(minFree))
	}
	return enoughMemory(need.memory)
}

func enoughMemory(need int64) error { return enoughMemoryOf(os.DirFS("/"), need) }

// enoughMemoryOf is enoughMemory for the system whose files are below root. For a limit that can be raised, the error says by how much.
func enoughMemoryOf(root fs.FS, need int64) error {
	has, where, known := available(root)
	if !known || has >= need {
		return nil
	}
	remedy := "free memory, or test a copy of the snapshot on another machine with verify --restore"
	if where != machine {
		remedy = fmt.Sprintf("raise its limit by at least %s (systemd: MemoryMax=, Kubernetes: resources.limits.memory, Docker: --memory)", size(need-has))
	}
	return fmt.Errorf("%w: it needs %s of memory for a while; %s has %s available: %s", ErrMemory, size(need), where, size(has), remedy)
}

func size(n int64) string { return humanize.IBytes(uint64(max(n, 0))) }

const (
	// cgroupMount is where cgroup v2 is mounted, below a file system's root.
	cgroupMount = "sys/fs/cgroup"
	// machine is whose memory it is if no cgroup limits it further.
	machine = "the machine"
)

// available returns how much more memory this process can use, in bytes, and whose limit that is: the machine's (MemAvailable), or
// that of one of the cgroups (v2) around the process, whichever is the lowest. known is false if neither can be read. root is the
// file system's root.
func available(root fs.FS) (least int64, where string, known bool) {
	if n, ok := field(root, "proc/meminfo", "MemAvailable:"); ok {
		least, where, known = n<<10, machine, true
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
