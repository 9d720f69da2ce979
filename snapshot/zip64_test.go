//go:build large

package snapshot_test

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"io"
	"math"
	"strings"
	"testing"

	"etcd-rolling-backup/snapshot"
)

// A database of more than 4 GiB needs the records of zip64: in the archive that we write, and for others who read it.
func TestZipOfMoreThanFourGiB(t *testing.T) {
	n := zipName(t)
	var out bytes.Buffer
	w, err := snapshot.NewZipWriter(&out, n, n.Time)
	must(t, err)
	sum, piece := sha256.New(), make([]byte, 1<<20)
	piece[0] = 1
	for range 4<<10 + 1 { // MiB
		_, _ = sum.Write(piece) // never fails
		_, err := w.Write(piece)
		must(t, err)
	}
	_, err = w.Write(sum.Sum(nil))
	must(t, err)
	w.SetStateFile([]byte("{}"))
	m, err := w.Finish(snapshot.Manifest{Name: n.String(), CreatedAt: n.Time})
	must(t, err)
	size := int64(out.Len())
	a, err := snapshot.OpenArchive(bytes.NewReader(out.Bytes()), size)
	must(t, err)
	raw, err := a.Contents()
	must(t, err)
	read, err := io.Copy(io.Discard, raw)
	if err != nil || read != m.RawSize || read <= math.MaxUint32 {
		t.Errorf("%d bytes of %d: %v", read, m.RawSize, err)
	}
	must(t, raw.Close())
	members, err := snapshot.ZipMembers(bytes.NewReader(out.Bytes()), size)
	if err != nil || len(members) != 2 || members[0].UncompressedSize64 != uint64(m.RawSize) || members[0].Method != zip.Deflate {
		t.Errorf("%d members: %v", len(members), err)
	}
	// The same without our manifest.
	theirs := out.Bytes()[:bytes.LastIndex(out.Bytes(), []byte("PK\x05\x06"))+22]
	copy(theirs[len(theirs)-2:], []byte{0, 0})
	other, err := snapshot.OpenNamed(n, bytes.NewReader(theirs), int64(len(theirs)))
	must(t, err)
	// It is no bbolt file, so it is not intact; but all of it was read.
	if err := other.VerifyChecksum(t.Context()); other.HasManifest() || err == nil || !strings.Contains(err.Error(), "0 of its 2 members are databases") {
		t.Errorf("without a manifest: %v", err)
	}
}
