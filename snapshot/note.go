package snapshot

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	// statusPrefix begins the name of the file in which a daemon keeps its state across restarts.
	statusPrefix = ".status_"
	// quietPrefix begins the name of the file that says until when nothing has changed after the end of a node's journal.
	quietPrefix = ".quiet_"
	// notePrefix begins the names of the files that earlier versions used instead.
	notePrefix = ".last-"
	// maxNote is much larger than any note, in bytes.
	maxNote = 64 << 20
	// maxRestored is larger than the records of as many restores as are kept, in bytes.
	maxRestored = 1 << 20
)

// StatusFile returns the name of the file with the state of a node's daemon. It contains the node because nodes may share a
// directory.
func StatusFile(node string) string { return statusPrefix + node + ".json" }

// QuietNote returns the name of the file that says until when nothing has changed after the end of a node's journal.
func QuietNote(node string) string { return quietPrefix + node + ".json" }

// RunNote returns the name of the note that earlier versions wrote about a node's last scheduled run.
func RunNote(node string) string { return notePrefix + "run_" + node + ".json" }

// DrillNote returns the name of their note about the last restore drill.
func DrillNote(node string) string { return notePrefix + "drill_" + node + ".json" }

// DamageNote returns the name of their note about damaged copies.
func DamageNote(node string) string { return notePrefix + "damage_" + node + ".json" }

// isNote reports whether a file is a note, a note that is being written, or what daemons lock.
func isNote(name string) bool {
	return strings.HasPrefix(name, statusPrefix) || strings.HasPrefix(name, quietPrefix) || strings.HasPrefix(name, presencePrefix) || strings.HasPrefix(name, notePrefix) || strings.TrimSuffix(name, partSuffix) == restoredNote
}

// ReadNote reads into v what KeepNote last wrote under that name. If there is nothing, v does not change.
func (d *Dir) ReadNote(name string, v any) error {
	longest := int64(maxNote)
	if name == restoredNote {
		longest = maxRestored
	}
	data, err := readOwn(filepath.Join(d.path, name), longest)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = json.Unmarshal(data, v)
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	return nil
}

// KeepNote writes v as JSON. A crash leaves either the previous note or this one. Of two processes that write the same note, one waits for
// the other. A lock that can't be had prevents nothing: the state matters most when something is wrong with the directory.
func (d *Dir) KeepNote(name string, v any) (err error) {
	locked := d.locked(context.Background(), func() error {
		err = d.writeNote(name, v)
		return nil
	})
	if locked != nil {
		err = d.writeNote(name, v)
	}
	return err
}

// writeNote is KeepNote without the lock, whose file root would leave in another user's directory.
func (d *Dir) writeNote(name string, v any) error {
	data, err := json.Marshal(v)
	if err == nil {
		err = keep(filepath.Join(d.path, name), append(data, '\n'))
	}
	if err != nil {
		return d.explainSpace(fmt.Errorf("write %s: %w", name, err))
	}
	return nil
}

// RemoveNote removes a note, and what a crash left of one that was being written. A missing note is no error.
func (d *Dir) RemoveNote(name string) error {
	var errs []error
	for _, file := range []string{name, name + partSuffix} {
		if err := os.Remove(filepath.Join(d.path, file)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, fmt.Errorf("remove note: %w", err))
		}
	}
	return errors.Join(append(errs, d.sync())...)
}

// keep replaces a file, or overwrites it if there is no space for a second one.
func keep(path string, data []byte) error {
	err := replace(path, data)
	if !errors.Is(err, unix.ENOSPC) && !errors.Is(err, unix.EDQUOT) {
		return err
	}
	removed := os.Remove(path + partSuffix)
	if errors.Is(removed, fs.ErrNotExist) { // there was not even space for its name
		removed = nil
	}
	overwritten := overwrite(path, data)
	if errors.Is(overwritten, fs.ErrNotExist) { // there was no note yet: report the lack of space
		overwritten = err
	}
	return errors.Join(removed, overwritten)
}

func replace(path string, data []byte) error {
	if err := os.Remove(path + partSuffix); err != nil && !errors.Is(err, fs.ErrNotExist) { // of a process that was killed
		return err
	}
	f, err := openOwn(path+partSuffix, os.O_CREATE|os.O_EXCL|os.O_WRONLY)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = syncFile(f)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(path+partSuffix, path)
}

// overwrite changes a file within the space that it has: the state matters most when the disk is full. A crash during this loses
// the note.
func overwrite(path string, data []byte) error {
	f, err := openOwn(path, os.O_WRONLY)
	if err != nil {
		return err
	}
	if err = onlyName(f); err == nil {
		_, err = f.WriteAt(data, 0)
	}
	if err == nil {
		err = f.Truncate(int64(len(data)))
	}
	return errors.Join(err, syncFile(f), f.Close())
}
