package service

import (
	"os"
	"sync/atomic"
)

// sameDir watches that a directory stays the same as at the start. When its disk is unmounted, or another is mounted over it, snapshots
// continue, in another place and without their history.
type sameDir struct {
	dir   string
	first os.FileInfo // nil: it could not be read, and nothing is reported
	busy  atomic.Bool // a look is under way, for as long as the file system takes
	other atomic.Bool
}

func newSameDir(dir string) *sameDir {
	first, err := os.Stat(dir)
	if err != nil {
		first = nil
	}
	return &sameDir{dir: dir, first: first}
}

// look starts a look and returns immediately, for a file system whose server is down may never answer. A directory that cannot be read is
// reported by whoever lists it.
func (d *sameDir) look() {
	if d.first == nil || !d.busy.CompareAndSwap(false, true) {
		return
	}
	go func() {
		defer d.busy.Store(false)
		if now, err := os.Stat(d.dir); err == nil {
			d.other.Store(!os.SameFile(d.first, now))
		}
	}()
}

// problems are what was seen at the last look.
func (d *sameDir) problems() []string {
	if !d.other.Load() {
		return nil
	}
	return []string{d.dir + " is not the same directory as at the start: its disk was unmounted, or another was mounted over it: mount it again, or restart the daemon if this is intended"}
}
