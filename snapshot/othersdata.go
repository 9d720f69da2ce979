package snapshot

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
)

// ErrNoDigest marks a database that has no digest to verify it with.
var ErrNoDigest = errors.New("no digest")

// OpenNamed opens the file of the snapshot n, which is an archive. If another program chose the name, it may instead be a zip, or a database
// as etcd sends it, without a manifest: then Manifest is zero, VerifyChecksum reads all of it and compares etcd's digest, and there is no
// other way to read it than snapshot/input. Errors are those of OpenArchive.
func OpenNamed(n Name, r io.ReaderAt, size int64) (*Archive, error) {
	a, err := OpenArchive(r, size)
	if err == nil || n.File == "" {
		return a, n.needManifest(err)
	}
	if errors.Is(err, ErrNoManifest) {
		return &Archive{Size: size, r: r, verify: verifyZip}, nil
	}
	head := make([]byte, min(size, HeadSize))
	if _, readErr := io.ReadFull(io.NewSectionReader(r, 0, size), head); readErr != nil {
		return nil, fmt.Errorf("read snapshot: %w", readErr)
	}
	if errors.Is(err, ErrDamaged) && IsDatabase(head) {
		return &Archive{Size: size, r: r, verify: verifyDatabase}, nil
	}
	return nil, err
}

// needManifest makes it damage that the file of one of our names has no manifest.
func (n Name) needManifest(err error) error {
	if n.File == "" && errors.Is(err, ErrNoManifest) {
		return fmt.Errorf("%w: it is a zip without a manifest", ErrDamaged)
	}
	return err
}

// HasManifest reports whether the file is an archive of ours.
func (a *Archive) HasManifest() bool { return a.verify == nil }

// verifyDatabase compares etcd's digest. Errors wrap ErrDamaged or ErrNoDigest.
func verifyDatabase(ctx context.Context, a *Archive, progress func(done, total int64)) error {
	sum := newDigest()
	if _, err := copyWithin(ctx, sum, io.NewSectionReader(a.r, 0, a.Size), copyPiece, a.Size, progress); err != nil {
		return fmt.Errorf("read snapshot: %w", err)
	}
	return sum.verdict()
}

// verdict is check for the database of another program.
func (d *digest) verdict() error {
	if d.size > 0 && d.size%sectorSize == 0 {
		return fmt.Errorf("%w: after the database there is no digest of etcd: it cannot be verified", ErrNoDigest)
	}
	if _, err := d.check(); err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return nil
}

// verifyZip reads all members: their checksums must match, and one of them must be a database that matches etcd's digest. Errors wrap
// ErrDamaged or ErrNoDigest.
func verifyZip(ctx context.Context, a *Archive, progress func(done, total int64)) error {
	disk := &Disk{ReaderAt: a.r}
	err := verifyMembers(ctx, disk, a.Size, progress)
	if disk.Err() != nil {
		return fmt.Errorf("read snapshot: %w", disk.Err())
	}
	return err
}

func verifyMembers(ctx context.Context, r io.ReaderAt, size int64, progress func(done, total int64)) error {
	members, err := ZipMembers(r, size)
	switch {
	case errors.Is(err, ErrDamaged):
		return err
	case err != nil:
		return fmt.Errorf("%w: zip: its directory: %w", ErrDamaged, err)
	}
	databases := 0
	var verdict error // on the database
	for _, m := range members {
		if strings.HasSuffix(m.Name, "/") || !ZipReadable(m) {
			continue
		}
		database, of, err := verifyMember(ctx, m, progress)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil:
			return fmt.Errorf("%w: zip: member %.100q: %w", ErrDamaged, m.Name, err)
		case database:
			databases++
			verdict = of
		}
	}
	if databases != 1 {
		return fmt.Errorf("%w: zip: %d of its %d members are databases, not one", ErrDamaged, databases, len(members))
	}
	return verdict
}

// verifyMember reads one member; if it is a database, verdict is what its digest proves.
func verifyMember(ctx context.Context, m *zip.File, progress func(done, total int64)) (database bool, verdict, err error) {
	sum, head := newDigest(), make([]byte, 0, HeadSize)
	err = VerifyZipMember(ctx, m, writerFunc(func(p []byte) (int, error) {
		head = append(head, p[:min(len(p), HeadSize-len(head))]...)
		return sum.Write(p)
	}), progress)
	if err != nil {
		return false, nil, err
	}
	return IsDatabase(head), sum.verdict(), nil
}

// TailReader reads a file of size bytes of which only the end is there; reading anything before it is ErrNotInTail.
func TailReader(tail []byte, size int64) io.ReaderAt {
	return tailReader{tail, size - int64(len(tail))}
}

// ErrNotInTail marks bytes before those that were fetched.
var ErrNotInTail = errors.New("not in the bytes that were fetched")

type tailReader struct {
	tail []byte
	from int64
}

func (t tailReader) ReadAt(p []byte, offset int64) (int, error) {
	if offset < t.from {
		return 0, ErrNotInTail
	}
	return bytes.NewReader(t.tail).ReadAt(p, offset-t.from)
}
