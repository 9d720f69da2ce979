package input

import (
	"archive/zip"
	"cmp"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"

	"github.com/klauspost/compress/flate"

	"etcd-rolling-backup/snapshot"
)

const (
	maxMembers = 10_000
	// maxDirectory limits how many bytes of a zip's directory are read, and so the memory for its entries: 800 bytes for each of
	// maxMembers.
	maxDirectory = 8 << 20

	encryptedFlag = 1   // APPNOTE.TXT of PKWARE, section 4.4.4, bit 0
	namesTold     = 5   // names listed in an error
	nameTold      = 100 // bytes of one name in an error
)

// frugal refuses to read more than left bytes; below zero there is no limit.
type frugal struct {
	io.ReaderAt
	left int64
}

var errDirectory = errors.New("its directory is too large")

func (f *frugal) ReadAt(p []byte, off int64) (int, error) {
	if f.left >= 0 {
		if f.left -= int64(len(p)); f.left < 0 {
			f.left = 0
			return 0, errDirectory
		}
	}
	return f.ReaderAt.ReadAt(p, off)
}

// zip finds the one member that is a database, by the first bytes of each member.
func (s *source) zip() (*Input, error) {
	members, err := s.members()
	if err != nil {
		return nil, err
	}
	return s.choose(members)
}

// members reads the directory of a zip.
func (s *source) members() ([]*zip.File, error) {
	directory := &frugal{ReaderAt: s, left: maxDirectory}
	z, err := zip.NewReader(directory, s.size)
	directory.left = -1
	switch {
	case errors.Is(err, zip.ErrInsecurePath): // names never become paths here
	case errors.Is(err, errDirectory):
		return nil, formError("a zip archive with more than %d members", maxMembers)
	case errors.Is(err, zip.ErrFormat):
		return nil, fmt.Errorf("%w: zip: no directory at its end: the file is cut off", snapshot.ErrDamaged)
	case err != nil:
		return nil, s.fault(FormZip, err)
	}
	if len(z.File) > maxMembers {
		return nil, formError("a zip archive with more than %d members", maxMembers)
	}
	z.RegisterDecompressor(zip.Deflate, flate.NewReader) // twice as fast as the standard library
	return z.File, nil
}

func (s *source) choose(members []*zip.File) (*Input, error) {
	var found *zip.File
	var others []string
	var damage error
	lost := "" // what a member looks like that lost its content
	for _, m := range members {
		if strings.HasSuffix(m.Name, "/") {
			continue
		}
		looks, err := s.describeMember(m)
		switch {
		case s.Err() != nil:
			return nil, s.fault(FormZip, err)
		case err != nil:
			damage = cmp.Or(damage, fmt.Errorf("member %s: %w", quote(m.Name), err))
			looks = "damaged"
		case isLost(looks):
			lost = looks
		}
		switch {
		case looks != "":
			others = append(others, fmt.Sprintf("%s is %s", quote(m.Name), looks))
		case found != nil:
			return nil, formError("a zip archive with two databases, %s and %s: unpack the one that you want to restore", quote(found.Name), quote(m.Name))
		default:
			found = m
		}
	}
	switch {
	case found == nil && damage != nil:
		return nil, s.fault(FormZip, damage)
	case found == nil:
		return nil, orLost(lost, formError("a zip archive without a database: %s", list(others)))
	case found.UncompressedSize64 > math.MaxInt64:
		return nil, fmt.Errorf("%w: zip: member %s declares %d bytes", snapshot.ErrDamaged, quote(found.Name), found.UncompressedSize64)
	}
	in := &Input{Form: FormZip, Size: int64(found.UncompressedSize64), Member: found.Name, source: s, open: found.Open}
	if damage != nil {
		in.Damage = s.fault(FormZip, damage)
	}
	return in, nil
}

// describeMember describes a member; nothing for a database.
func (s *source) describeMember(m *zip.File) (string, error) {
	switch {
	case m.Flags&encryptedFlag != 0:
		return "encrypted: unpack it with its password first", nil
	case m.Method != zip.Store && m.Method != zip.Deflate:
		return fmt.Sprintf("compressed with method %d, which this program does not know: unpack it first", m.Method), nil
	}
	head, err := headOf(m.Open)
	switch {
	case isDatabase(head):
		return "", nil // Unpack reports any other fault
	case err != nil:
		return "", err
	}
	return describe(head), nil
}

// list returns the first few names.
func list(others []string) string {
	if len(others) == 0 {
		return "it contains no files"
	}
	text := strings.Join(others[:min(len(others), namesTold)], ", ")
	if more := len(others) - namesTold; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// quote makes an untrusted name safe to print on a terminal.
func quote(name string) string {
	if len(name) > nameTold {
		name = name[:nameTold] + "..."
	}
	return fmt.Sprintf("%q", name)
}
