package e2e_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"etcd-rolling-backup/internal/etcdtest"
)

// Whatever happens to an archive on its way, verify ends with status 3 and one line of error. The places are few here, for
// each takes a process; the tests of the archive's reader try hundreds.
func TestVerifyFindsEveryDamage(t *testing.T) {
	parallel(t)
	c := small(t, etcdtest.Options{})
	dir := newStore(t)
	run(t, 0, nil, words("save", store(dir), flags(c, c.Members[0].Endpoint))...)
	good, err := os.ReadFile(only(t, dir))
	must(t, err)
	path := filepath.Join(t.TempDir(), filepath.Base(only(t, dir)))
	r := random(t)

	var damaged [][]byte
	change := func(at int, by byte) {
		b := bytes.Clone(good)
		b[at] ^= by
		damaged = append(damaged, b)
	}
	cut := func(length int) { damaged = append(damaged, good[:length]) }
	for range 20 {
		change(r.IntN(len(good)), byte(1+r.IntN(255)))
		cut(r.IntN(len(good)))
	}
	for _, at := range []int{0, 4, len(good) / 2, len(good) - 1, len(good) - 20, len(good) - 200, len(good) - 600} {
		change(at, 1)
	}
	for _, length := range []int{0, 1, 4, len(good) / 2, len(good) - 1} {
		cut(length)
	}
	damaged = append(damaged,
		append(bytes.Clone(good), 0),
		append(bytes.Clone(good), "rubbish"...),
		append(bytes.Clone(good), good...),
		append([]byte("rubbish"), good...),
		[]byte("this is no archive"),
		make([]byte, len(good)),
	)
	for i, b := range damaged {
		must(t, os.WriteFile(path, b, 0o600))
		run(t, 3, []string{"damaged"}, "verify", path, "--min-free=0")
		if t.Failed() {
			t.Fatalf("damage %d of %d, %d bytes of %d", i, len(damaged), len(b), len(good))
		}
	}

	must(t, os.WriteFile(path, good, 0o600))
	run(t, 0, []string{"is intact"}, "verify", path, "--min-free=0")
	// The daemon's directory is no other thing: the damaged one is named by list and by verify alike.
	must(t, os.WriteFile(only(t, dir), damaged[1], 0o600))
	run(t, 3, nil, "verify", "--dir="+dir, "--min-free=0")
	run(t, 0, []string{"unreadable"}, "list", "--dir="+dir)
}
