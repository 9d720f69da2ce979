package drill

import (
	"errors"
	"fmt"
	"os"

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
	return room{disk: 2*rawSize + walSpace, memory: baseMemory + rawSize/4}
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

func enoughMemory(need int64) error {
	if has, where, known := available(os.DirFS("/")); known && has < need {
		return fmt.Errorf("%w: it needs %s of memory for a while; %s has %s available", ErrMemory, size(need), where, size(has))
	}
	return nil
}

func size(n int64) string { return humanize.IBytes(uint64(max(n, 0))) }
