package snapshot_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"etcd-rolling-backup/snapshot"
)

// A note survives later notes and a full disk: a new one is written into the space of the old one.
func TestNotes(t *testing.T) {
	path := mountTmpfs(t, 1<<20)
	d := snapshot.NewDir(path)
	first, second := snapshot.RunNote("a"), snapshot.RunNote("b")
	read := func(name string) (v []int) {
		t.Helper()
		must(t, d.ReadNote(name, &v))
		return v
	}
	if got := read(first); got != nil {
		t.Errorf("%v before anything was kept", got)
	}
	must(t, d.KeepNote(first, []int{1, 2, 3}))

	filler, err := os.Create(filepath.Join(path, "filler"))
	must(t, err)
	_, err = filler.Write(make([]byte, 2<<20))
	must(t, filler.Close())
	if !errors.Is(err, unix.ENOSPC) {
		t.Fatalf("the disk is not full: %v", err)
	}
	for _, v := range [][]int{{4, 5, 6, 7, 8, 9}, {10}} { // a longer one and a shorter one
		must(t, d.KeepNote(first, v))
		if got := read(first); len(got) != len(v) || got[0] != v[0] {
			t.Errorf("read %v, kept %v", got, v)
		}
	}
	if err := d.KeepNote(second, 1); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("a note without room is kept: %v", err)
	}
	must(t, os.Remove(filepath.Join(path, "filler")))
	must(t, d.KeepNote(first, []int{11}))
	if got := read(first); len(got) != 1 || got[0] != 11 {
		t.Errorf("read %v", got)
	}
	l, err := d.List()
	must(t, err)
	if len(l.Foreign)+len(l.Partials)+len(l.Snapshots) > 0 {
		t.Errorf("notes are taken for something else: %+v", l)
	}
	must(t, os.WriteFile(filepath.Join(path, first), []byte("{"), 0o600))
	if err := d.ReadNote(first, new([]int)); err == nil {
		t.Error("half a note is read")
	}
}

// The same if there is not even an inode for another file.
func TestNoteWithoutInodes(t *testing.T) {
	path := mountTmpfs(t, 1<<20)
	must(t, unix.Mount("", path, "", unix.MS_REMOUNT, "nr_inodes=4")) // the directory and its lock are two
	d := snapshot.NewDir(path)
	note := snapshot.RunNote("a")
	must(t, d.KeepNote(note, "old"))
	put(t, d, "filler", nil)
	if f, err := os.Create(filepath.Join(path, "more")); !errors.Is(err, unix.ENOSPC) {
		t.Fatalf("one more file: %v, %v", f, err)
	}
	must(t, d.KeepNote(note, "new"))
	var got string
	must(t, d.ReadNote(note, &got))
	if got != "new" {
		t.Errorf("read %q", got)
	}
	if err := d.KeepNote(snapshot.RunNote("b"), "new"); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("a first note without room: %v", err)
	}
}

func TestRemoveNote(t *testing.T) {
	d := newDir(t)
	note, other := snapshot.StatusFile("a"), snapshot.StatusFile("b")
	must(t, d.KeepNote(note, 1))
	must(t, d.KeepNote(other, 2))
	put(t, d, note+".part", []byte("half"))
	for range 2 { // the second time there is none
		must(t, d.RemoveNote(note))
	}
	if got := in(t, d); !slices.Equal(got, []string{other}) {
		t.Errorf("there are %q, want %s", got, other)
	}
	must(t, os.Mkdir(filepath.Join(d.Path(), note), 0o700))
	put(t, d, filepath.Join(note, "file"), nil)
	if err := d.RemoveNote(note); !errors.Is(err, unix.ENOTEMPTY) {
		t.Errorf("a note that cannot be removed: %v", err)
	}
	if err := snapshot.NewDir(filepath.Join(t.TempDir(), "missing")).RemoveNote(note); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("in a missing directory: %v", err)
	}
}

func TestListSkipsNotes(t *testing.T) {
	d := newDir(t)
	if got := snapshot.StatusFile("node-a.example"); got != ".status_node-a.example.json" {
		t.Errorf("the status file is %s", got)
	}
	for _, note := range []string{snapshot.StatusFile("a"), snapshot.RunNote("a"), snapshot.DrillNote("a"), snapshot.DamageNote("a")} {
		must(t, d.KeepNote(note, 1))
		put(t, d, note+".part", nil)
	}
	l, err := d.List()
	must(t, err)
	if len(l.Foreign)+len(l.Partials)+len(l.Snapshots)+len(l.Broken) > 0 {
		t.Errorf("notes are listed: %+v", l)
	}
	removed, err := d.RemovePartials(t.Context())
	if err != nil || len(removed) > 0 {
		t.Errorf("removed %q and %v", removed, err)
	}
}

// Two daemons of one node, maybe of two clusters, write the same note.
func TestTwoProcessesWriteOneNoteWithoutAnError(t *testing.T) {
	path := t.TempDir()
	must(t, snapshot.NewDir(path).Prepare())
	var writers errgroup.Group
	for w := range 4 {
		writers.Go(func() error {
			dir := snapshot.NewDir(path) // each has its own lock, as in processes of their own
			for range 50 {
				if err := dir.KeepNote("note", strings.Repeat(strconv.Itoa(w), 10_000)); err != nil {
					return err
				}
				var text string
				if err := dir.ReadNote("note", &text); err != nil {
					return err
				}
			}
			return nil
		})
	}
	must(t, writers.Wait())
}
