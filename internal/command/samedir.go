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
	other atomic.Bool
}

func newSameDir(dir string) *sameDir {
	first, err := os.Stat(dir)
	if err != nil {
		first = nil
	}
	return &sameDir{dir: dir, first: first}
}

// look may take as long as the file system does. A directory that can't be looked at is told of by who lists it.
func (d *sameDir) look() {
	if now, err := os.Stat(d.dir); err == nil && d.first != nil {
		d.other.Store(!os.SameFile(d.first, now))
	}
}

// reasons are what was seen at the last look.
func (d *sameDir) reasons() []string {
	if !d.other.Load() {
		return nil
	}
	return []string{d.dir + " is another directory than at the start, its disk was unmounted or another mounted over it: mount it anew, or start the daemon anew if it is right"}
}
