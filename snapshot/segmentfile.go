package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// CreateSegment begins the file of a segment, 0600, locked until its writer exits. n.Last is 0, unless the segment is written a second time from what
// a dead writer left. Errors are those of Create.
func (d *Dir) CreateSegment(ctx context.Context, n SegmentName) (*Part, error) {
	p := &Part{dir: d, base: strings.TrimSuffix(n.String(), partSuffix)}
	return p, d.locked(ctx, func() error {
		if n.Last != 0 {
			if _, err := removeAbandoned(p.partial()); err != nil {
				return fmt.Errorf("remove partial: %w", err)
			}
		}
		return p.begin()
	})
}

// CommitAs is Commit for a segment, whose name was not known when it was begun. After an error its file stays under its partial name: nobody could record
// again what is in it.
func (p *Part) CommitAs(ctx context.Context, n SegmentName) error {
	p.base, p.stays = n.String(), true
	return p.Commit(ctx)
}

// Leave closes the file under its partial name, as if its writer had died.
func (p *Part) Leave() error { return p.file.Close() }

// OpenSegment opens the file of a segment for reading. A missing one wraps ErrNotFound.
func (d *Dir) OpenSegment(n SegmentName) (*os.File, error) {
	f, err := openFile(filepath.Join(d.path, n.String()), os.O_RDONLY)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s", ErrNotFound, n)
	}
	return f, err
}

// Sealed reads the manifest of a complete segment. A missing one wraps ErrNotFound. Its data can't be read through what is returned.
func (d *Dir) Sealed(_ context.Context, n SegmentName) (*SealedSegment, error) {
	f, err := d.OpenSegment(n)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return OpenSegmentFile(f, n)
}

// SegmentEnd is when the last revision of a complete segment was received; zero: it can't be read.
func (d *Dir) SegmentEnd(n SegmentName) time.Time {
	f, err := d.OpenSegment(n)
	if err != nil {
		return time.Time{}
	}
	defer f.Close()
	s, err := OpenSegmentFile(f, n)
	if err != nil {
		return time.Time{}
	}
	return s.To
}

// TakeSegment opens the file of a segment whose writer died, and locks it. If the writer is running, the error wraps ErrInUse.
func (d *Dir) TakeSegment(n SegmentName) (*os.File, error) {
	f, err := openAbandoned(filepath.Join(d.path, n.String()))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%w: %s", ErrNotFound, n)
	case errors.Is(err, unix.EWOULDBLOCK):
		return nil, fmt.Errorf("%w is writing %s", ErrInUse, n)
	}
	return f, err
}

// RemoveSegment deletes a segment permanently. A missing one wraps ErrNotFound.
func (d *Dir) RemoveSegment(ctx context.Context, n SegmentName) error {
	return d.remove(ctx, filepath.Join(d.path, n.String()))
}
