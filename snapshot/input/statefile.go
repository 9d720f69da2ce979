package input

import (
	"archive/zip"
	"errors"
	"fmt"
	"io"
	"strings"

	"etcd-rolling-backup/snapshot"
)

// maxStateFile is much larger than the state file of any cluster, in bytes.
const maxStateFile = 16 << 20

// StateFile returns RKE's state file in a zip of size bytes: the content of the member *.rkestate, in whatever directory. found is false
// if the file is no zip or has no such member. What is in it was only compared with the zip's own checksum. Errors wrap
// snapshot.ErrDamaged or ErrForm, or come from f.
func StateFile(f io.ReaderAt, size int64) (data []byte, found bool, err error) {
	s := &source{Disk: snapshot.Disk{ReaderAt: f}, size: size}
	head, err := s.part(0, min(size, snapshot.HeadSize))
	if err != nil || describe(head) != lookZip {
		return nil, false, err
	}
	members, err := s.members()
	if err != nil {
		return nil, false, err
	}
	for _, m := range members {
		if !strings.HasSuffix(m.Name, snapshot.StateFileSuffix) {
			continue
		}
		data, err = s.small(m, maxStateFile)
		return data, err == nil, err
	}
	return nil, false, nil
}

// small reads a member of at most limit bytes.
func (s *source) small(m *zip.File, limit int64) ([]byte, error) {
	if looks, err := s.describeMember(m); err == nil && looks == "" {
		return nil, formError("a zip archive whose member %s is a database", quote(m.Name))
	}
	r, err := m.Open()
	if errors.Is(err, zip.ErrAlgorithm) {
		return nil, formError("a zip archive whose member %s is compressed in a way that this program does not know", quote(m.Name))
	}
	if err != nil {
		return nil, s.fault(FormZip, err)
	}
	defer r.Close()
	data, err := io.ReadAll(io.LimitReader(r, limit+1))
	switch {
	case int64(len(data)) > limit:
		return nil, fmt.Errorf("%w: zip: member %s has more than %d MiB", snapshot.ErrDamaged, quote(m.Name), limit>>20)
	case err != nil:
		return nil, s.fault(FormZip, fmt.Errorf("member %s: %w", quote(m.Name), err))
	}
	return data, nil
}
