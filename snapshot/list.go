package snapshot

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Entry is one archive of a store.
type Entry struct {
	Name     Name
	Size     int64     // bytes
	Modified time.Time // when the copy came to be that lies there; zero: not known
}

// NewestFirst is the order of every list of entries, for slices.SortFunc; those of one moment are in the order of their names.
func NewestFirst(a, b Entry) int {
	return cmp.Or(b.Name.Time.Compare(a.Name.Time), cmp.Compare(a.Name.String(), b.Name.String()))
}

// Listing is what lies in a directory.
type Listing struct {
	Snapshots []Entry  // newest first
	Broken    []Entry  // NAME.broken, named NAME here; newest first
	Partials  []string // file names of unfinished archives
	Foreign   []string // file names that are not ours; never touched
}

// changed is when the file came to be as it is: its content, or its name, which a copy that keeps the time of its model has later.
func changed(info fs.FileInfo) time.Time {
	t := info.ModTime()
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		if c := time.Unix(s.Ctim.Unix()); c.After(t) {
			return c
		}
	}
	return t
}

// List reads the directory. Errors of a missing one wrap ErrUnusableDir.
func (d *Dir) List() (Listing, error) {
	var l Listing
	files, err := os.ReadDir(d.path)
	if err != nil {
		return l, unusable(err)
	}
	for _, f := range files {
		base, broken := strings.CutSuffix(f.Name(), BrokenSuffix)
		base, partial := strings.CutSuffix(base, partSuffix)
		name, nameErr := ParseName(base)
		switch {
		case f.Name() == lockName || isNote(f.Name()) || namedScratch(f):
		case IsTemp(f.Name(), ScratchPrefix) && f.IsDir():
		case nameErr != nil || !f.Type().IsRegular() || partial && broken:
			l.Foreign = append(l.Foreign, f.Name())
		case partial:
			l.Partials = append(l.Partials, f.Name())
		default:
			info, err := f.Info()
			if errors.Is(err, fs.ErrNotExist) {
				continue // pruned by another process since ReadDir
			}
			if err != nil {
				return l, fmt.Errorf("list snapshot: %w", err)
			}
			entry := Entry{Name: name, Size: info.Size(), Modified: changed(info)}
			if broken {
				l.Broken = append(l.Broken, entry)
			} else {
				l.Snapshots = append(l.Snapshots, entry)
			}
		}
	}
	slices.SortFunc(l.Snapshots, NewestFirst)
	slices.SortFunc(l.Broken, NewestFirst)
	return l, nil
}

// Latest is the reference to the newest snapshot of any set and node.
const Latest = "latest"

// Find picks the snapshot that ref names: Latest, a full name, or a set (a label), of which the newest. One dated after
// now, by a clock that was wrong, is the newest only where there is no other.
// Errors wrap ErrNotFound, and ErrName where ref could name none.
func (l Listing) Find(ref string, now time.Time) (Entry, error) {
	name, parseErr := ParseName(ref)
	if parseErr != nil && CheckPart("label", ref) != nil {
		return Entry{}, fmt.Errorf("%w: %q: give latest, a label or a full name, as list shows them", ErrName, ref)
	}
	var future []Entry
	for _, e := range l.Snapshots {
		switch fits := ref == Latest || e.Name.Set == ref; {
		case parseErr == nil && e.Name == name:
			return e, nil
		case fits && e.Name.Time.After(now):
			future = append(future, e)
		case fits:
			return e, nil
		}
	}
	if len(future) > 0 {
		return future[0], nil
	}
	if ref == Latest {
		return Entry{}, fmt.Errorf("%w: none is there yet", ErrNotFound)
	}
	return Entry{}, fmt.Errorf("%w: %s: list shows what there is", ErrNotFound, ref)
}
