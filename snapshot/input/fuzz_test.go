package input_test

import (
	"bytes"
	"errors"
	"testing"

	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/input"
)

// limited ends a bomb that the fuzzer may find.
type limited struct{ bytes.Buffer }

func (l *limited) Write(p []byte) (int, error) {
	if l.Len()+len(p) > 32<<20 {
		return 0, errDisk
	}
	return l.Buffer.Write(p)
}

// Whatever a file holds: an error is of a known kind, and what counts as proven fits its digest.
func FuzzInput(f *testing.F) {
	db := database(4096)
	raw := withDigest(db)
	for _, w := range wrappings() {
		whole := w.wrap(f, raw)
		f.Add(whole, false)
		f.Add(whole[:len(whole)-5], true)
		f.Add(w.wrap(f, withDigest(database(1024))), true)
	}
	f.Add(db, true)
	f.Add(zipped(f, file{"../a", raw}, file{"b", raw}), false)
	f.Add([]byte{}, false)
	f.Fuzz(func(t *testing.T, b []byte, skip bool) {
		in, err := open(b)
		if err != nil {
			if !errors.Is(err, input.ErrForm) && !errors.Is(err, snapshot.ErrDamaged) && !errors.Is(err, snapshot.ErrFormat) {
				t.Fatalf("Open: %v", err)
			}
			return
		}
		var out limited
		u, err := in.Unpack(t.Context(), &out, input.Options{SkipHashCheck: skip})
		switch {
		case errors.Is(err, input.ErrNoDigest) && !skip, errors.Is(err, snapshot.ErrDamaged), errors.Is(err, input.ErrForm), errors.Is(err, errDisk):
		case err != nil:
			t.Fatalf("Unpack: %v", err)
		case u.Size != int64(out.Len()) || u.SHA256 != hexSum(out.Bytes()) || !u.Verified && !skip:
			t.Fatalf("%d bytes with SHA-256 %s pass for %+v", out.Len(), hexSum(out.Bytes()), u)
		case u.Verified && u.Size%512 != 0:
			t.Fatalf("%d bytes with digest pass for a database", u.Size)
		}
	})
}
