package input

import (
	"archive/zip"
	"io"
	"math"
	"strings"

	"etcd-rolling-backup/snapshot"
)

// Directory is what the directory of a zip says, before anything in it was read.
type Directory struct {
	RawSize   int64 // of the database and its digest, bytes; 0: several members may be the database
	StateFile bool  // there is a state file of RKE
}

// ReadDirectory reads the directory of a zip of size bytes. f may have its end only: then an error wraps snapshot.ErrNotInTail if the
// directory begins before that. Other errors wrap ErrForm if no member can be a database, or snapshot.ErrDamaged, or come from f.
func ReadDirectory(f io.ReaderAt, size int64) (Directory, error) {
	s := &source{Disk: snapshot.Disk{ReaderAt: f}, size: size}
	members, err := s.members()
	if err != nil {
		return Directory{}, err
	}
	var d Directory
	databases := 0
	for _, m := range members {
		switch {
		case strings.HasSuffix(m.Name, snapshot.StateFileSuffix):
			d.StateFile = true
		case mayBeDatabase(m):
			databases++
			d.RawSize = int64(m.UncompressedSize64) //nolint:gosec // mayBeDatabase limits it
		}
	}
	if databases == 0 {
		return d, formError("a zip archive without a database")
	}
	if databases > 1 {
		d.RawSize = 0
	}
	return d, nil
}

// minDatabase is less than any database has: bbolt's four first pages.
const minDatabase = 4 * 512

// mayBeDatabase decides by the size of a member, which is that of complete sectors, with or without a digest.
func mayBeDatabase(m *zip.File) bool {
	size := m.UncompressedSize64
	return snapshot.ZipReadable(m) && size >= minDatabase && size <= math.MaxInt64 && (size%sectorSize == 0 || size%sectorSize == digestSize)
}
