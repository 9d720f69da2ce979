// Package input reads a snapshot in whatever form somebody has it: an archive of ours, the bare database that etcdctl
// writes, and that one in gzip, zip or zstd.
//
// Invariant: what a file is is told by its content and never by its name, and names inside of it never become paths.
// Memory does not grow with the file, and no database passes that does not fit its digest unless the caller asked for it.
package input

import (
	"errors"
	"fmt"
	"io"

	"etcd-rolling-backup/snapshot"
)

// Form is how a snapshot is wrapped.
type Form string

// What Open reads.
const (
	FormArchive  Form = "archive"  // ours
	FormDatabase Form = "database" // bare bbolt, with etcd's digest behind it or without
	FormGzip     Form = "gzip"     // of one database
	FormZip      Form = "zip"      // of rke-tools, k3s and RKE2: one database among other members
	FormZstd     Form = "zstd"     // of one database; also an archive of ours whose end is lost
)

var (
	// ErrForm marks a file in which no snapshot is found.
	ErrForm = errors.New("no snapshot")
	// ErrNoDigest marks a database that nothing proves whole.
	ErrNoDigest = errors.New("no digest")
)

// Input is a snapshot that was recognized. Only Unpack tells whether all of it is whole.
type Input struct {
	Form     Form
	Manifest *snapshot.Manifest // of our archive, else nil
	Size     int64              // bytes once unpacked, as declared, a trailing digest included; -1: not known (gzip, zstd)
	Member   string             // zip: the name of the member that is the database

	source *source
	open   func() (io.ReadCloser, error) // the unpacked bytes from the first one on
}

// Open looks at a file of size bytes and tells what it is; of a gzip, zip or zstd it unpacks as much as shows that a
// database is inside. f must stay open until Unpack is done. Errors wrap ErrForm, snapshot.ErrDamaged or
// snapshot.ErrFormat, or are f's own.
func Open(f io.ReaderAt, size int64) (*Input, error) {
	if size <= 0 {
		return nil, formError("the file is empty")
	}
	s := &source{r: f, size: size}
	head, err := s.head()
	if err != nil {
		return nil, err
	}
	ours, err := s.hasFooter()
	switch {
	case err != nil:
		return nil, err
	case ours:
		return s.archive()
	case isDatabase(head):
		return &Input{Form: FormDatabase, Size: size, source: s, open: s.plain}, nil
	}
	switch looks := lookOf(head); looks {
	case lookGzip:
		return s.stream(FormGzip, s.gunzip)
	case lookZstd:
		return s.stream(FormZstd, s.unzstd)
	case lookZip:
		return s.zip()
	default:
		return nil, formError("the file is %s", looks)
	}
}

// formError names what is accepted as well.
func formError(format string, args ...any) error {
	return fmt.Errorf("%w: %s (accepted are archives of this program, databases as etcdctl snapshot save writes them, "+
		"and such a database in gzip, zip or zstd)", ErrForm, fmt.Sprintf(format, args...))
}

// archive opens one of ours.
func (s *source) archive() (*Input, error) {
	a, err := snapshot.OpenArchive(s, s.size)
	if err != nil {
		return nil, err
	}
	return &Input{Form: FormArchive, Manifest: &a.Manifest, Size: a.Manifest.RawSize, source: s, open: a.Contents}, nil
}

// stream opens what is compressed as a whole, when a database is what comes out of it.
func (s *source) stream(form Form, open func() (io.ReadCloser, error)) (*Input, error) {
	head, err := headOf(open)
	switch {
	case isDatabase(head):
		return &Input{Form: form, Size: -1, source: s, open: open}, nil
	case err != nil:
		return nil, s.fault(form, err)
	default:
		return nil, formError("a %s file, and what it holds is %s: unpack that by hand", form, lookOf(head))
	}
}

// headOf unpacks the first bytes.
func headOf(open func() (io.ReadCloser, error)) ([]byte, error) {
	r, err := open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(io.LimitReader(r, headSize))
}
