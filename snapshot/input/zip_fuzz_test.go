package input_test

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/input"
)

func zipName(t testing.TB) snapshot.Name {
	t.Helper()
	n, err := snapshot.RollingZip(time.Date(2026, 11, 21, 22, 0, 0, 0, time.UTC))
	must(t, err)
	return n
}

// ourZip is an archive that is a zip, with the manifest in its comment.
func ourZip(t testing.TB, raw, stateFile []byte) []byte {
	t.Helper()
	n := zipName(t)
	var out bytes.Buffer
	w, err := snapshot.NewZipWriter(&out, n, n.Time)
	must(t, err)
	_, err = w.Write(bytes.Clone(raw))
	must(t, err)
	w.SetStateFile(stateFile)
	_, err = w.Finish(snapshot.Manifest{Name: n.String(), CreatedAt: n.Time, ToolVersion: "test", Source: snapshot.Source{Revision: 1}})
	must(t, err)
	return out.Bytes()
}

// Whatever is in a zip, with and without a manifest in its comment: errors are of known kinds, and what the store calls intact unpacks without
// damage.
func FuzzZip(f *testing.F) {
	raw := withDigest(database(4096))
	for _, whole := range [][]byte{
		ourZip(f, raw, nil), ourZip(f, raw, []byte(`{"desiredState": {}}`)), rkeZip(f, raw), rkeZip(f, withDigest(database(1024))), zipped(f), raw,
		zipped(f, file{"a", raw}, file{"b", raw}), zipped(f, file{"a", raw[:4096]}),
	} {
		f.Add(whole)
		f.Add(whole[:len(whole)-7])
		f.Add(append(bytes.Clone(whole), "junk"...))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		size := int64(len(b))
		known := func(what string, err error) {
			if err != nil && !errors.Is(err, input.ErrForm) && !errors.Is(err, snapshot.ErrDamaged) && !errors.Is(err, snapshot.ErrFormat) && !errors.Is(err, snapshot.ErrNoDigest) {
				t.Fatalf("%s: %v", what, err)
			}
		}
		_, _, err := input.StateFile(bytes.NewReader(b), size)
		known("StateFile", err)
		_, err = input.ReadDirectory(bytes.NewReader(b), size)
		known("ReadDirectory", err)
		half := b[len(b)/2:]
		if _, err = input.ReadDirectory(snapshot.TailReader(half, size), size); !errors.Is(err, snapshot.ErrNotInTail) {
			known("ReadDirectory of the end", err)
		}
		a, err := snapshot.OpenNamed(zipName(t), bytes.NewReader(b), size)
		known("OpenNamed", err)
		if err != nil {
			return
		}
		if intact := a.VerifyChecksum(t.Context()); intact != nil || a.HasManifest() {
			known("VerifyChecksum", intact)
			return
		}
		var out limited
		in, err := open(b)
		if err != nil || in.Damage != nil {
			t.Fatalf("intact for the store, and Open says %v, %+v", err, in)
		}
		if u, err := in.Unpack(t.Context(), &out, input.Options{}); err != nil || u.Damage != nil || !u.Verified {
			t.Fatalf("intact for the store, and Unpack says %+v, %v", u, err)
		}
	})
}
