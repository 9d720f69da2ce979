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
	// walSpace is what a fresh etcd's write-ahead log takes: a segment of 64 MB, the next one prepared, and the growth of two
	// database files by a step of 16 MiB.
	walSpace = 160 << 20
	// Measured, without the mapped file: 6 MiB for an empty database, 80 MiB for one of 256 MiB and 48 000 keys, 160 to
	// 220 MiB, as the limit allows, for one of 137 MiB and 600 000 keys. The index of all keys and revisions is what counts.
	baseMemory = 64 << 20
	keyMemory  = 256
)

// room is what a drill takes, in bytes.
type room struct {
	disk   int64
	memory int64 // held by the process itself; the mapped database is page cache, which gives way
}

// needs is the room for a drill on an archive of rawSize bytes once unpacked (Manifest.RawSize): the database lies on the
// disk twice while it is restored. How many keys it has is known only once it is unpacked; with very many small ones a drill
// may be skipped then.
func needs(rawSize int64) room {
	return room{disk: 2*rawSize + walSpace, memory: baseMemory + rawSize/4}
}

// needsMemory is the memory for a database of which all is known.
func needsMemory(rawSize, keys int64) int64 {
	return max(needs(rawSize).memory, baseMemory+rawSize/8+keys*keyMemory)
}

// enough tells whether a drill can be begun in dir and would leave minFree bytes of the disk free. When not, the error
// wraps ErrSkipped and says what is short. Memory that can't be measured counts as enough.
func enough(dir *snapshot.Dir, minFree int64, need room) error {
	free, err := dir.Free()
	if err != nil {
		return err
	}
	if free-need.disk < minFree {
		return fmt.Errorf("%w: it takes %s of disk for a while, and %s has %s free of which --min-free keeps %s",
			ErrSkipped, size(need.disk), dir.Path(), size(free), size(minFree))
	}
	return enoughMemory(need.memory)
}

func enoughMemory(need int64) error {
	if has, where, known := available(os.DirFS("/")); known && has < need {
		return fmt.Errorf("%w: it takes %s of memory for a while, and %s has %s to give", ErrMemory, size(need), where, size(has))
	}
	return nil
}

func size(n int64) string { return humanize.IBytes(uint64(max(n, 0))) }
