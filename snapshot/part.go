package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Part is an archive that is being written. Its writer holds a lock on its file until it exits. So RemovePartials, in this or
// another process, can distinguish the file of a dead writer from one in use.
type Part struct {
	dir  *Dir
	base string // the file's final name
	file *os.File
	over bool // an existing file of that name is replaced

	stays bool // also if it does not get its name

	steady           bool  // see writeSteadily
	written, started int64 // bytes: of all, and of those that the kernel has begun to write to the disk
}

// Create begins an archive under its partial name, 0600. If the name exists, the error wraps ErrExists; if the archive is being
// written, ErrInUse too.
func (d *Dir) Create(ctx context.Context, n Name) (*Part, error) {
	return d.create(ctx, n, false)
}

// create is Create for an archive that may replace an existing one.
func (d *Dir) create(ctx context.Context, n Name, replace bool) (*Part, error) {
	p := &Part{dir: d, base: n.String(), over: replace}
	return p, d.locked(ctx, p.begin)
}

// createAgain is Create for a transfer that is repeated after its first writer died: it replaces the partial file of that writer.
func (d *Dir) createAgain(ctx context.Context, base string) (*Part, error) {
	p := &Part{dir: d, base: base}
	return p, d.locked(ctx, func() error {
		if _, err := ParseName(base); err == nil { // otherwise the .part may be anybody's file
			if _, err := removeAbandoned(p.partial()); err != nil {
				return fmt.Errorf("remove partial: %w", err)
			}
		}
		return p.begin()
	})
}

// begin creates the file. The directory's lock hides it from others until its own lock is held.
func (p *Part) begin() (err error) {
	if err := p.nameFree(); err != nil {
		return err
	}
	p.file, err = os.OpenFile(p.partial(), os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return p.taken()
	}
	if err != nil {
		return p.dir.explainSpace(fmt.Errorf("create snapshot: %w", err))
	}
	if err := tryLock(p.file); err != nil {
		return errors.Join(lockFailed(p.file.Name(), err), p.Abort())
	}
	return nil
}

// taken explains whose partial file is in the way.
func (p *Part) taken() error {
	f, err := openAbandoned(p.partial())
	if errors.Is(err, unix.EWOULDBLOCK) {
		return fmt.Errorf("%w: %w is writing %s: wait until it exits, or stop it", ErrExists, ErrInUse, p.base)
	}
	if err == nil {
		defer f.Close()
	}
	return fmt.Errorf("%w: %s is in the way, left by a process that died or by another user: remove it", ErrExists, p.partial())
}

// Write appends to the archive.
func (p *Part) Write(b []byte) (int, error) {
	n, err := p.file.Write(b)
	p.written += int64(n)
	if p.steady && p.written-p.started >= steadyPiece {
		// Only a hint: Commit syncs everything, also where the file system lacks this call.
		_ = unix.SyncFileRange(int(p.file.Fd()), p.started, p.written-p.started, unix.SYNC_FILE_RANGE_WRITE)
		p.started = p.written
	}
	return n, p.dir.explainSpace(err)
}

// steadyPiece is how much of an archive the kernel may keep before it begins to write it to the disk, bytes.
const steadyPiece = 4 << 20

// writeSteadily lets the kernel write the archive to the disk while it grows. Otherwise the sync at the end writes hundreds of MiB in one go,
// behind which etcd's own syncs wait if it shares the disk.
func (p *Part) writeSteadily() { p.steady = true }

// Sync writes what was written so far to the disk.
func (p *Part) Sync() error { return p.dir.explainSpace(syncFile(p.file)) }

// Commit writes the archive to the disk, then renames it to its final name. A crash before the rename leaves a partial file, a
// crash after it the complete snapshot; there is no state in between. After an error the partial file is gone.
func (p *Part) Commit(ctx context.Context) error {
	if err := syncFile(p.file); err != nil {
		return errors.Join(p.dir.explainSpace(fmt.Errorf("sync snapshot: %w", err)), p.giveUp())
	}
	tried := false
	err := p.dir.locked(ctx, func() (err error) {
		tried = true
		if err = p.publish(); err != nil {
			err = errors.Join(p.dir.explainSpace(err), p.giveUp())
		}
		return err
	})
	if !tried {
		err = errors.Join(err, p.giveUp())
	}
	if err != nil {
		return fmt.Errorf("rename snapshot: %w", err)
	}
	return p.dir.sync()
}

// publish gives the file its final name. The directory's lock replaces that of the file, which is closed first: network file systems
// may report a full disk only then, and some rename no open file.
func (p *Part) publish() error {
	if err := p.nameFree(); err != nil {
		return err
	}
	if err := p.file.Close(); err != nil {
		return err
	}
	if p.over {
		return os.Rename(p.file.Name(), p.path())
	}
	return renameNew(p.file.Name(), p.path())
}

// giveUp ends a Commit that failed.
func (p *Part) giveUp() error {
	if !p.stays {
		return p.Abort()
	}
	if err := p.file.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		return err
	}
	return nil
}

// Abort removes the partial file, while its lock is held if it is still open.
func (p *Part) Abort() error {
	err := os.Remove(p.file.Name())
	closed := p.file.Close()
	if errors.Is(closed, os.ErrClosed) {
		closed = nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // some file systems remove no open file
		err = os.Remove(p.file.Name())
	}
	if err = errors.Join(err, closed); err != nil {
		return fmt.Errorf("remove partial: %w", err)
	}
	return nil
}

func (p *Part) path() string { return filepath.Join(p.dir.path, p.base) }

func (p *Part) partial() string { return filepath.Join(p.dir.path, partialOf(p.base)) }

// partialOf returns the name of the partial file of base.
func partialOf(base string) string {
	if isOther(base) {
		return otherPartPrefix + base + partSuffix
	}
	return base + partSuffix
}

// finalName is the reverse of partialOf; false: it is no partial file of ours.
func finalName(file string) (string, bool) {
	base, ok := strings.CutSuffix(file, partSuffix)
	if other, hidden := strings.CutPrefix(base, otherPartPrefix); hidden {
		return other, ok && isOther(other)
	}
	return base, ok && !isOther(base)
}

func (p *Part) nameFree() error {
	info, err := os.Lstat(p.path())
	if err == nil && p.over && !info.IsDir() {
		return nil
	}
	if err == nil {
		return fmt.Errorf("%w: %s", ErrExists, p.path())
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("check name %s: %w", p.base, err)
	}
	return nil
}

// RemovePartials removes what dead writers left and returns the file names. It skips what a running process is writing, in this
// daemon or a save at the same time, and what this user may not remove.
func (d *Dir) RemovePartials(ctx context.Context) (removed []string, err error) {
	err = d.locked(ctx, func() error {
		l, err := d.List()
		if err != nil {
			return err
		}
		for _, name := range l.Partials {
			gone, err := removeAbandoned(filepath.Join(d.path, name))
			if err != nil {
				return fmt.Errorf("remove partial: %w", err)
			}
			if gone {
				removed = append(removed, name)
			}
		}
		temp, err := d.removeTempFiles(l.temp)
		removed = append(removed, temp...)
		return err
	})
	return removed, err
}

func removeAbandoned(path string) (bool, error) {
	f, err := openAbandoned(path)
	if err == nil {
		defer f.Close()
		err = os.Remove(path)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist), // its writer has just finished
		errors.Is(err, unix.EWOULDBLOCK), // its writer is running
		errors.Is(err, fs.ErrPermission): // another user's
		return false, nil
	}
	return err == nil, err
}

// openAbandoned locks a partial file whose writer is dead; unix.EWOULDBLOCK means that the writer is running. It opens the file
// for writing, because NFS grants this lock to no reader. It does not block, because a directory like /tmp may contain anything
// under that name.
func openAbandoned(path string) (*os.File, error) {
	f, err := openFile(path, os.O_RDWR)
	if err != nil {
		return nil, err
	}
	if err := tryLock(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// tryLock takes a lock that the kernel releases when the last process with this open file exits.
func tryLock(f *os.File) error {
	return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
}

// Receive writes the archive n of size bytes, which comes from elsewhere, into the directory as the file base. The file gets its
// name only after every byte is verified. The Manifest of another program's file is zero. An existing file of that name stays (ErrExists), except for the partial file of a
// Receive of this snapshot that was killed. After an error nothing of the archive is left. A damaged archive wraps ErrDamaged.
// progress may be nil.
func (d *Dir) Receive(ctx context.Context, n Name, base string, r io.Reader, size, minFree int64, progress func(done, total int64)) (Manifest, error) {
	var m Manifest
	if base != filepath.Base(base) {
		return m, fmt.Errorf("%w: %q is not a file name", ErrName, base)
	}
	part, err := d.createAgain(ctx, base)
	if err != nil {
		return m, err
	}
	guard := &spaceGuard{dir: d, w: part, minFree: minFree}
	if err := guard.expect(size); err != nil {
		return m, errors.Join(err, part.Abort())
	}
	if m, err = part.fill(ctx, n, guard, r, size, progress); err != nil {
		return m, errors.Join(err, part.Abort())
	}
	return m, part.Commit(ctx)
}

// Fetch copies an archive of size bytes from elsewhere into an anonymous temporary file, in order to verify it.
func (d *Dir) Fetch(ctx context.Context, r io.Reader, size, minFree int64, progress func(done, total int64)) (*os.File, error) {
	f, err := d.Scratch()
	if err != nil {
		return nil, err
	}
	guard := &spaceGuard{dir: d, w: f, minFree: minFree}
	if err = guard.expect(size); err == nil {
		err = copyExactly(ctx, guard, r, size, progress)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("receive: %w", err), f.Close())
	}
	return f, nil
}

// fill copies and verifies.
func (p *Part) fill(ctx context.Context, n Name, w io.Writer, r io.Reader, size int64, progress func(done, total int64)) (Manifest, error) {
	if err := copyExactly(ctx, w, r, size, progress); err != nil {
		return Manifest{}, fmt.Errorf("receive %s: %w", p.base, err)
	}
	a, err := OpenNamed(n, p.file, size)
	if err != nil {
		return Manifest{}, err
	}
	return a.Manifest, a.VerifyChecksum(ctx)
}

// copyExactly writes size bytes, no more and no less.
func copyExactly(ctx context.Context, w io.Writer, r io.Reader, size int64, progress func(done, total int64)) error {
	// One byte more than announced is detected; the rest is not read.
	done, err := copyWithin(ctx, w, io.LimitReader(r, size+1), copyPiece, size, progress)
	if err != nil {
		return fmt.Errorf("after %d bytes: %w", done, err)
	}
	if done != size {
		return fmt.Errorf("%w: received %d bytes, not the %d announced", ErrDamaged, done, size)
	}
	return nil
}

// copyPiece is how many bytes are read at a time if the page cache does not matter.
const copyPiece = 1 << 20

// copyWithin copies pieces until io.EOF or until ctx ends. progress may be nil; it receives the bytes so far, and size.
func copyWithin(ctx context.Context, w io.Writer, r io.Reader, piece int, size int64, progress func(done, total int64)) (done int64, err error) {
	return io.CopyBuffer(writerFunc(func(b []byte) (int, error) {
		if ctx.Err() != nil {
			return 0, context.Cause(ctx)
		}
		n, err := w.Write(b)
		done += int64(n)
		if err == nil && progress != nil {
			progress(done, size)
		}
		return n, err
	}), r, make([]byte, piece))
}
