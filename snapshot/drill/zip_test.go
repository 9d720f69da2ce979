package drill_test

import (
	"archive/zip"
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"

	"etcd-rolling-backup/snapshot"
)

// A zip of another program says itself how large its database is.
func TestDrillOfAZipOfAnotherProgram(t *testing.T) {
	packed, err := os.ReadFile(small(t))
	must(t, err)
	a, err := snapshot.OpenArchive(bytes.NewReader(packed), int64(len(packed)))
	must(t, err)
	raw, err := a.Contents()
	must(t, err)
	defer raw.Close()
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	m, err := w.Create("/backup/x")
	must(t, err)
	_, err = io.Copy(m, raw)
	must(t, err)
	must(t, w.Close())
	whole, half := filepath.Join(t.TempDir(), "x.zip"), filepath.Join(t.TempDir(), "half.zip")
	must(t, os.WriteFile(whole, out.Bytes(), 0o600))
	must(t, os.WriteFile(half, out.Bytes()[:out.Len()/2], 0o600))
	r, err := newBench(t, whole).start(t)
	must(t, err)
	if r.Keys != 20 {
		t.Errorf("%+v", r)
	}
	_, err = newBench(t, half).start(t)
	wantError(t, err, snapshot.ErrDamaged, "cut off")
}
