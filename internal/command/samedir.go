package command

import (
	"os"
	"sync/atomic"
)

// sameDir watches that a directory stays the one of the start. When its disk is unmounted, or another is mounted over it, snapshots go on,
// in another place and without their past.
type sameDir struct {
	dir   string
	first os.FileInfo // nil: it could not be looked at, and nothing is told
	looks atomic.Bool // somebody does, for as long as the file system takes
	other atomic.Bool
}

func newSameDir(dir string) *sameDir {
	first, err := os.Stat(dir)
	if err != nil {
		first = nil
	}
	return &sameDir{dir: dir, first: first}
}

// look has somebody look and returns at once, for a file system whose server is away may never answer. A directory that can't be looked at is
// told of by who lists it.
func (d *sameDir) look() {
	if d.first == nil || !d.looks.CompareAndSwap(false, true) {
		return
	}
	go func() {
		defer d.looks.Store(false)
		if now, err := os.Stat(d.dir); err == nil {
			d.other.Store(!os.SameFile(d.first, now))
		}
	}()
}

// reasons are what was seen at the last look.
func (d *sameDir) reasons() []string {
	if !d.other.Load() {
		return nil
	}
	return []string{d.dir + " is another directory than at the start, its disk was unmounted or another mounted over it: mount it anew, or start the daemon anew if it is right"}
}
