package snapshot

import (
	"archive/zip"
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/klauspost/compress/flate"
)

// An archive of ours may also be a zip as rke-tools writes and reads it. Its members have absolute names: the database with etcd's digest
// comes first, deflated, then RKE's state file if there is one. Its comment is the manifest and the footer, which other programs ignore.
// docs/FORMAT.md describes it.
const (
	zipDatabaseDir  = "/backup/"
	zipStateFileDir = "/etc/kubernetes/"
	// StateFileSuffix ends the name of RKE's state file.
	StateFileSuffix = ".rkestate"

	// APPNOTE.TXT of PKWARE, sections 4.3.7 and 4.3.16.
	zipLocalMagic  = "PK\x03\x04"
	zipLocalHeader = 30 // bytes, before the name
	zipEndMagic    = "PK\x05\x06"
	zipEnd         = 22 // bytes, before the comment
)

// zipData is the data of an archive that is a zip.
type zipData struct {
	out       *hashingWriter
	to        *redirect
	zip       *zip.Writer
	member    io.Writer
	stem      string
	taken     time.Time
	stateFile []byte
}

// redirect is a writer whose destination changes.
type redirect struct{ io.Writer }

// NewZipWriter is NewWriter for an archive that rke-tools can read. n must be the name of a zip.
func NewZipWriter(w io.Writer, n Name, taken time.Time) (*Writer, error) {
	z := &zipData{out: newHashingWriter(w), stem: strings.TrimSuffix(n.File, zipSuffix), taken: taken}
	z.to = &redirect{z.out}
	z.zip = zip.NewWriter(z.to)
	z.zip.RegisterCompressor(zip.Deflate, func(w io.Writer) (io.WriteCloser, error) { return flate.NewWriter(w, flate.BestSpeed) })
	var err error
	if z.member, err = z.add(zipDatabaseDir + z.stem); err != nil {
		return nil, err
	}
	return newWriter(z.out, z), nil
}

// SetStateFile adds RKE's state file to an archive that is a zip. It is called before Finish.
func (w *Writer) SetStateFile(data []byte) {
	if z, ok := w.data.(*zipData); ok {
		z.stateFile = data
	}
}

func (z *zipData) add(name string) (io.Writer, error) {
	h := &zip.FileHeader{Name: name, Method: zip.Deflate, Modified: z.taken}
	h.SetMode(0o600)
	w, err := z.zip.CreateHeader(h)
	if err != nil {
		return nil, fmt.Errorf("write zip: %w", err)
	}
	return w, nil
}

// Write compresses the next bytes of the database.
func (z *zipData) Write(p []byte) (int, error) { return z.member.Write(p) }

// end implements container. The zip's last record says how long the comment is, so the writer gets one of that length, which is then
// replaced by the true one.
func (z *zipData) end(manifest int) error {
	if z.stateFile != nil {
		w, err := z.add(zipStateFileDir + z.stem + StateFileSuffix)
		if err == nil {
			_, err = w.Write(z.stateFile)
		}
		if err != nil {
			return err
		}
	}
	comment := strings.Repeat(" ", manifest+footerSize)
	if err := z.zip.SetComment(comment); err != nil {
		return err
	}
	if err := z.zip.Flush(); err != nil {
		return err
	}
	var last bytes.Buffer
	z.to.Writer = &last
	if err := z.zip.Close(); err != nil {
		return err
	}
	_, err := z.out.Write(last.Bytes()[:last.Len()-len(comment)])
	return err
}

// tail implements container.
func (z *zipData) tail(m Manifest, dataSize int64) ([]byte, error) {
	body, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("encode manifest: %w", err)
	}
	return withFooter(body, dataSize), nil
}

// abort implements container. Nothing runs on its own.
func (z *zipData) abort() {}

// unzip decompresses the first member of a zip that zipData wrote. Deflate knows its own end, so the directory at the end is not needed.
func unzip(r *bufio.Reader) (io.ReadCloser, error) {
	header := make([]byte, zipLocalHeader)
	_, err := io.ReadFull(r, header)
	le := binary.LittleEndian
	switch {
	case err != nil:
	case string(header[:4]) != zipLocalMagic || le.Uint16(header[8:]) != zip.Deflate:
		err = zip.ErrFormat
	default:
		_, err = r.Discard(int(le.Uint16(header[26:])) + int(le.Uint16(header[28:])))
	}
	if err != nil {
		return nil, fmt.Errorf("%w: the first entry of the zip: %w", ErrDamaged, err)
	}
	return flate.NewReader(r), nil
}

// isZipEnd reports whether a file ends with the last record of a zip and its comment.
func isZipEnd(tail []byte) bool {
	for at := len(tail) - zipEnd; at >= 0; at-- {
		if comment := int(binary.LittleEndian.Uint16(tail[at+zipEnd-2:])); comment == len(tail)-at-zipEnd && string(tail[at:at+4]) == zipEndMagic {
			return true
		}
	}
	return false
}
