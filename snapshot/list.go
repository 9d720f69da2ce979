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
	Modified time.Time // when this copy was written or got its name; zero: unknown
}

// Taken is when the snapshot was taken, as far as is known: when this copy was written, if its name does not say it.
func (e Entry) Taken() time.Time {
	if e.Name.Time.IsZero() {
		return e.Modified.UTC().Truncate(time.Second)
	}
	return e.Name.Time
}

// NewestFirst is the order of every list of entries, for slices.SortFunc. Entries of the same time are ordered by name.
func NewestFirst(a, b Entry) int {
	return cmp.Or(b.Name.Time.Compare(a.Name.Time), cmp.Compare(a.Name.String(), b.Name.String()))
}

// SegmentEntry is one segment of the journal in a store.
type SegmentEntry struct {
	Name     SegmentName
	Size     int64     // bytes
	Modified time.Time // as that of Entry
}

// Listing is the content of a directory.
type Listing struct {
	Snapshots []Entry        // newest first
	Segments  []SegmentEntry // of the journal, in the order of their first revisions; also those that are being written
	Broken    []Entry        // files NAME.broken, listed under NAME; newest first
	Partials  []string       // names of incomplete archive files
	Foreign   []string       // names of files that are not ours; never touched
	Untrusted []string       // those of Foreign that look like archives, and belong to a user who may have planted them

	temp []fs.DirEntry // of Scratch and Probe
}

// Newest is the node's newest rolling archive that is not dated in the future, which only a wrong clock does.
func (l Listing) Newest(node string, now time.Time) (Entry, bool) {
	for _, e := range l.Snapshots {
		if e.Name.Rolling(node) && !e.Name.Raw() && !e.Name.Time.After(now) {
			return e, true
		}
	}
	return Entry{}, false
}

// changed returns when the file was last written or renamed. A copy may keep the modification time of its source, but not the
// time of its own inode.
func changed(info fs.FileInfo) time.Time {
	t := info.ModTime()
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		if c := time.Unix(s.Ctim.Unix()); c.After(t) {
			return c
		}
	}
	return t
}

// List reads the directory. If it is missing, the error wraps ErrUnusableDir.
func (d *Dir) List() (Listing, error) {
	var l Listing
	files, err := os.ReadDir(d.path)
	if err != nil {
		return l, unusable(err)
	}
	h, err := hostOf(d.path)
	if err != nil {
		return l, unusable(err)
	}
	for _, f := range files {
		if n, err := ParseSegmentName(f.Name()); err == nil && f.Type().IsRegular() {
			if err := l.addSegment(n, f, h); err != nil {
				return l, err
			}
			continue
		}
		base, broken := strings.CutSuffix(f.Name(), BrokenSuffix)
		final, partial := finalName(base)
		if partial {
			base = final
		}
		name, nameErr := ParseName(base)
		switch {
		case f.Name() == lockName || isNote(f.Name()):
		case isTempFile(f):
			l.temp = append(l.temp, f)
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
			if s, ok := info.Sys().(*syscall.Stat_t); ok && !h.trusts(s.Uid) { // planted: latest would mean it
				l.Foreign, l.Untrusted = append(l.Foreign, f.Name()), append(l.Untrusted, f.Name())
				continue
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
	slices.SortFunc(l.Segments, func(a, b SegmentEntry) int { return CompareSegments(a.Name, b.Name) })
	return l, nil
}

func (l *Listing) addSegment(n SegmentName, f fs.DirEntry, h host) error {
	info, err := f.Info()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil // completed or pruned since ReadDir
	case err != nil:
		return fmt.Errorf("list journal: %w", err)
	}
	if s, ok := info.Sys().(*syscall.Stat_t); ok && !h.trusts(s.Uid) {
		l.Foreign, l.Untrusted = append(l.Foreign, f.Name()), append(l.Untrusted, f.Name())
		return nil
	}
	l.Segments = append(l.Segments, SegmentEntry{Name: n, Size: info.Size(), Modified: changed(info)})
	return nil
}

// Latest refers to the newest snapshot of any set and node.
const Latest = "latest"

// Named returns the snapshot whose name is ref, or ref and .zip.
func (l Listing) Named(ref string) (Entry, bool) {
	i := slices.IndexFunc(l.Snapshots, func(e Entry) bool {
		return e.Name.String() == ref || e.Name.Zip() && e.Name.File == ref+zipSuffix
	})
	if i < 0 {
		return Entry{}, false
	}
	return l.Snapshots[i], true
}

// Find returns the snapshot that ref names: Latest, a full name, that of a zip without .zip, or the newest of a set (a label). A snapshot
// dated after now, because of a wrong clock, is chosen only if there is no other. Neither Latest nor a set means a file whose name does not
// say its time. Errors wrap ErrNotFound, or ErrName if ref cannot be a name.
func (l Listing) Find(ref string, now time.Time) (Entry, error) {
	if e, ok := l.Named(ref); ok {
		return e, nil
	}
	if _, err := ParseName(ref); err != nil && CheckPart("label", ref) != nil {
		return Entry{}, fmt.Errorf("%w: %q: use latest, a label or a full name, as list shows them", ErrName, ref)
	}
	var future []Entry
	for _, e := range l.Snapshots {
		switch {
		case !e.Name.MayBe(ref):
		case e.Name.Time.After(now):
			future = append(future, e)
		default:
			return e, nil
		}
	}
	if len(future) > 0 {
		return future[0], nil
	}
	if ref == Latest {
		return Entry{}, fmt.Errorf("%w: there is no snapshot yet%s", ErrNotFound, l.untrusted())
	}
	return Entry{}, fmt.Errorf("%w: %s: list shows what there is%s", ErrNotFound, ref, l.untrusted())
}

func (l Listing) untrusted() string {
	if len(l.Untrusted) == 0 {
		return ""
	}
	return fmt.Sprintf("; %s and possibly others belong to another user, and are used only by their path: if they are yours, chown them to root", l.Untrusted[0])
}
