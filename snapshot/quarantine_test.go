package snapshot_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"etcd-rolling-backup/snapshot"
)

// damaged is the golden archive with one byte of its data changed.
func damaged(t testing.TB) []byte {
	t.Helper()
	packed := golden(t)
	packed[100] ^= 1
	return packed
}

// laterFormat is an archive as a later version of the program might write it.
func laterFormat(t testing.TB) []byte {
	t.Helper()
	m := manifestA(1)
	m.Format = "etcd-rolling-backup/2"
	tail, err := snapshot.EncodeTail(m, 0)
	must(t, err)
	return tail
}

func TestQuarantineRenamesDamagedArchive(t *testing.T) {
	for name, content := range map[string][]byte{
		"one byte changed": damaged(t), "cut off": golden(t)[:500], "empty": nil,
	} {
		d, n := newDir(t), nameA()
		put(t, d, n.String(), content)
		put(t, d, n.String()+".broken", []byte("an older one"))
		broken, err := d.Quarantine(t.Context(), n)
		if !broken || err != nil {
			t.Errorf("%s: broken %t and %v", name, broken, err)
		}
		if got := in(t, d); !slices.Equal(got, []string{n.String() + ".broken"}) {
			t.Errorf("%s: there are %q", name, got)
		}
		kept, err := os.ReadFile(filepath.Join(d.Path(), n.String()+".broken"))
		must(t, err)
		if !bytes.Equal(kept, content) {
			t.Errorf("%s: NAME.broken has %d bytes, not the %d that were read", name, len(kept), len(content))
		}
		// The name is free for a good copy.
		must(t, receive(t, d))
	}
}

// An older program must not rename what a newer one wrote.
func TestQuarantineKeepsArchiveOfNewerVersion(t *testing.T) {
	d, n := newDir(t), nameA()
	put(t, d, n.String(), laterFormat(t))
	if broken, err := d.Quarantine(t.Context(), n); broken || !errors.Is(err, snapshot.ErrFormat) {
		t.Errorf("broken %t and %v", broken, err)
	}
	if got := in(t, d); !slices.Equal(got, []string{n.String()}) {
		t.Errorf("there are %q", got)
	}
}

func TestQuarantineKeepsIntactArchive(t *testing.T) {
	d, n := newDir(t), nameA()
	put(t, d, n.String(), golden(t))
	put(t, d, n.String()+".broken", []byte("an older one"))
	if broken, err := d.Quarantine(t.Context(), n); broken || err != nil {
		t.Errorf("broken %t and %v", broken, err)
	}
	if got := in(t, d); !slices.Equal(got, []string{n.String(), n.String() + ".broken"}) {
		t.Errorf("there are %q", got)
	}
}

func TestQuarantineOfMissingArchive(t *testing.T) {
	d, n := newDir(t), nameA()
	put(t, d, n.String()+".broken", nil)
	if broken, err := d.Quarantine(t.Context(), n); broken || !errors.Is(err, snapshot.ErrNotFound) {
		t.Errorf("broken %t and %v, want ErrNotFound", broken, err)
	}
}

// A disk that fails does not make an archive damaged. A directory is what opens here and fails to be read.
func TestQuarantineKeepsUnreadableArchive(t *testing.T) {
	d, n := newDir(t), nameA()
	must(t, os.MkdirAll(filepath.Join(d.Path(), n.String(), "so that its size is not 0"), 0o700))
	if broken, err := d.Quarantine(t.Context(), n); broken || !errors.Is(err, unix.EISDIR) || errors.Is(err, snapshot.ErrDamaged) {
		t.Errorf("broken %t and %v, want EISDIR", broken, err)
	}
	if got := in(t, d); !slices.Equal(got, []string{n.String()}) {
		t.Errorf("there are %q", got)
	}
}

func TestQuarantineStopsWithItsContext(t *testing.T) {
	d, n := newDir(t), nameA()
	put(t, d, n.String(), damaged(t))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if broken, err := d.Quarantine(ctx, n); broken || !errors.Is(err, context.Canceled) {
		t.Errorf("broken %t and %v, want context.Canceled", broken, err)
	}
}

// duringRead is a context that runs change once during the read: Quarantine asks for its error after each block.
func TestQuarantineThatCannotRename(t *testing.T) {
	d, n := newDir(t), nameA()
	put(t, d, n.String(), damaged(t))
	must(t, os.Mkdir(filepath.Join(d.Path(), n.String()+".broken"), 0o700))
	if broken, err := d.Quarantine(t.Context(), n); broken || !errors.Is(err, snapshot.ErrDamaged) || !errors.Is(err, unix.EEXIST) && !errors.Is(err, unix.EISDIR) {
		t.Errorf("broken %t and %v, want ErrDamaged and that a directory is in the way", broken, err)
	}
}

// Only the file that was read is renamed: one that replaced it may be intact.
type duringRead struct {
	context.Context
	once   *sync.Once
	change func()
}

func (c duringRead) Err() error {
	c.once.Do(c.change)
	return c.Context.Err()
}

// more than the resolution of the file system's clock
func TestQuarantineKeepsArchiveReplacedMeanwhile(t *testing.T) {
	for _, c := range []struct {
		how    string
		change func(path string) error
		left   []string
		want   string
	}{
		{"renamed over it", func(path string) error {
			return errors.Join(os.WriteFile(path+".new", golden(t), 0o600), os.Rename(path+".new", path))
		}, []string{nameA().String()}, "changed during the read"},
		{"written into it", func(path string) error {
			later := time.Now().Add(time.Second) // than the clock of the file system can tell apart
			return errors.Join(os.WriteFile(path, golden(t), 0o600), os.Chtimes(path, later, later))
		}, []string{nameA().String()}, "changed during the read"},
		{"removed", os.Remove, []string{}, "removed during the read"},
	} {
		d, n := newDir(t), nameA()
		put(t, d, n.String(), damaged(t))
		path := filepath.Join(d.Path(), n.String())
		ctx := duringRead{t.Context(), new(sync.Once), func() { must(t, c.change(path)) }}
		broken, err := d.Quarantine(ctx, n)
		if broken || err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: broken %t and %v, want that it %s", c.how, broken, err, c.want)
		}
		if errors.Is(err, snapshot.ErrNotFound) != (len(c.left) == 0) {
			t.Errorf("%s: %v, ErrNotFound only where nothing is left", c.how, err)
		}
		if got := in(t, d); !slices.Equal(got, c.left) {
			t.Errorf("%s: there are %q, want %q", c.how, got, c.left)
		}
	}
}

func TestListOfBrokenArchives(t *testing.T) {
	d := newDir(t)
	const older, newer = "rolling_a_20261121T220000Z.db.zst", "manual_b_20261121T230000Z.db.zst"
	put(t, d, older+".broken", []byte("old"))
	put(t, d, newer+".broken", []byte("new one"))
	foreign := []string{".last.broken", newer + ".broken.broken", newer + ".broken.part", newer + ".part.broken", "notes.broken"}
	for _, name := range foreign {
		put(t, d, name, nil)
	}
	link := "link_a_20261121T220000Z.db.zst.broken"
	must(t, os.Symlink(older+".broken", filepath.Join(d.Path(), link)))
	foreign = append(foreign, link)
	slices.Sort(foreign)

	l, err := d.List()
	must(t, err)
	if len(l.Broken) != 2 || l.Broken[0].Name.String() != newer || l.Broken[1].Name.String() != older || l.Broken[0].Size != 7 ||
		time.Since(l.Broken[0].Modified) > time.Minute {
		t.Errorf("broken are %+v", l.Broken)
	}
	if len(l.Snapshots)+len(l.Partials) > 0 || !slices.Equal(l.Foreign, foreign) {
		t.Errorf("snapshots %v, partials %q, foreign %q, want %q", l.Snapshots, l.Partials, l.Foreign, foreign)
	}
	removed, err := d.RemovePartials(t.Context())
	if err != nil || len(removed) > 0 {
		t.Errorf("removed %q and %v", removed, err)
	}
	must(t, d.RemoveBroken(t.Context(), l.Broken[0].Name))
	if err := d.RemoveBroken(t.Context(), l.Broken[0].Name); !errors.Is(err, snapshot.ErrNotFound) {
		t.Errorf("a second time: %v, want ErrNotFound", err)
	}
	if left, err := d.List(); err != nil || !slices.Equal(left.Broken, l.Broken[1:]) || !slices.Equal(left.Foreign, foreign) {
		t.Errorf("left are %+v and %v", left, err)
	}
}
