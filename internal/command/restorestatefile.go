package command

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/input"
)

// stateFile is RKE's state file on its way to where --state-file says. It has private keys, so only its owner can read it.
type stateFile struct {
	path string
	data []byte
	part *snapshot.Part // nil: not written, or the same file is there already
}

// checkStateFile refuses a path that cannot get the state file, before anything is fetched.
func checkStateFile(path string) error {
	if path == "" {
		return nil
	}
	info, err := os.Stat(path)
	switch {
	case strings.HasSuffix(path, "/") || err == nil && info.IsDir():
		return config.Usagef("--state-file: %s is a directory: give the path of the file", path)
	case err == nil && !info.Mode().IsRegular():
		return config.Usagef("--state-file: %s is not a file", path)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	}
	if _, err := snapshot.OtherName(filepath.Base(path)); err != nil {
		return config.Usagef("--state-file: %s: give it a name that does not begin with a dot", path)
	}
	return snapshot.Foreign(filepath.Dir(path)).Writable()
}

// findStateFile reads the state file in the snapshot. An existing file with other contents is refused.
func (r *restoring) findStateFile() error {
	path := r.o.StateFile
	if path == "" {
		return nil
	}
	info, err := r.from.File.Stat()
	if err != nil {
		return err
	}
	data, found, err := input.StateFile(r.from.File, info.Size())
	if err != nil {
		return err
	}
	if !found {
		return config.Usagef("the snapshot has no state file of RKE: remove --state-file")
	}
	r.state = stateFile{path: path, data: data}
	_, err = r.state.exists()
	return err
}

// exists reports whether the path has the same file already. Another one is an error.
func (s *stateFile) exists() (bool, error) {
	info, err := os.Stat(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	var there []byte
	if err == nil && info.Size() == int64(len(s.data)) {
		there, err = os.ReadFile(s.path)
	}
	switch {
	case err != nil:
		return false, err
	case !bytes.Equal(there, s.data):
		return false, config.Usagef("--state-file: %s exists and has other contents: rename it, or give another path", s.path)
	}
	return true, nil
}

// write writes the file, before the restore, under its partial name.
func (s *stateFile) write(ctx context.Context) error {
	if s.path == "" {
		return nil
	}
	if same, err := s.exists(); same || err != nil {
		return err
	}
	name, err := snapshot.OtherName(filepath.Base(s.path))
	if err != nil {
		return err
	}
	part, err := snapshot.Foreign(filepath.Dir(s.path)).Create(ctx, name)
	if err != nil {
		return err
	}
	if _, err := part.Write(s.data); err != nil {
		return errors.Join(err, part.Abort())
	}
	s.part = part
	return nil
}

// abort removes what write wrote.
func (s *stateFile) abort() error {
	if s.part == nil {
		return nil
	}
	return s.part.Abort()
}

// publish gives the file its name, after the restore.
func (s *stateFile) publish(ctx context.Context) error {
	if s.part == nil {
		return nil
	}
	return s.part.Commit(ctx)
}
