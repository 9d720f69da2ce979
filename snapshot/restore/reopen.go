package restore

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// throughFD returns a path to an open file, which need not have a name.
func throughFD(f *os.File) string { return fmt.Sprintf("/proc/self/fd/%d", f.Fd()) }

// reopens reports whether the file can be opened again. A file without a name can't on some FUSE file systems.
func reopens(f *os.File) bool {
	again, err := os.Open(throughFD(f))
	return err == nil && again.Close() == nil
}

// source returns a path under which etcd's library can open the decompressed database. If the file can't be opened again, that is a
// copy in the staging directory, which is removed with it.
func (p *Plan) source(s *stage) (string, error) {
	if reopens(p.scratch) {
		return throughFD(p.scratch), nil
	}
	f, err := s.root.OpenFile("snapshot.db", os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return "", err
	}
	_, err = io.Copy(f, io.NewSectionReader(p.scratch, 0, p.Database.Size))
	if err = errors.Join(err, f.Close()); err != nil {
		return "", fmt.Errorf("copy the database: %w", err)
	}
	return filepath.Join(throughFD(s.lock), "snapshot.db"), nil
}
