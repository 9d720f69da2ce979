package mirror_test

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"slices"
	"testing"
	"time"

	"etcd-rolling-backup/daemon/mirror"
	"etcd-rolling-backup/snapshot"
)

// theirZip is a zip of rke-tools; without a digest it proves nothing.
func theirZip(t *testing.T, text string, digest bool) []byte {
	t.Helper()
	db := make([]byte, 8192)
	copy(db[100:], text)
	binary.NativeEndian.PutUint32(db[16:], 0xED0CDAED) // as every bbolt file begins
	if sum := sha256.Sum256(db); digest {
		db = append(db, sum[:]...)
	}
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	f, err := w.Create("/backup/x")
	if err == nil {
		_, err = f.Write(db)
	}
	if err = errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// zipNames are rolling names of rke-tools for some hours.
func zipNames(t *testing.T, hours ...int) (out []snapshot.Name) {
	t.Helper()
	for _, h := range hours {
		n, err := snapshot.RollingZip(midnight.Add(time.Duration(h) * time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, n)
	}
	return out
}

func otherName(t *testing.T, file string) snapshot.Name {
	t.Helper()
	n, err := snapshot.ParseName(file)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// nameless are options for names that do not say the node.
func nameless(keep int) mirror.Options {
	o := options(keep)
	o.Node = ""
	return o
}

// Zips of rke-tools that were there before are uploaded and age out like our own; what a user put there is left alone.
func TestMirrorUploadsAndPrunesZipsWithoutAManifest(t *testing.T) {
	names := zipNames(t, 1, 2, 3)
	mine := otherName(t, "snap1.zip")
	dir := directory(t)
	for i, n := range names {
		put(t, dir, n, theirZip(t, string(rune('a'+i)), true))
	}
	put(t, dir, mine, theirZip(t, "x", true))
	b := newBucket()
	done, err := mirror.Pass(t.Context(), dir, b, nameless(3), today)
	if err != nil || done.Pending != 0 {
		t.Errorf("%+v, %v", done, err)
	}
	b.wantHolds(t, names...)
	b.objects[mine.String()] = []byte("of a user")
	if _, err := mirror.Pass(t.Context(), dir, b, nameless(2), today); err != nil {
		t.Error(err)
	}
	b.wantHolds(t, names[1], names[2], mine)
}

// A zip that is not intact is not uploaded, and keeps no other from it.
func TestMirrorUploadsNoUnprovenZip(t *testing.T) {
	names := zipNames(t, 1, 2, 3)
	whole := theirZip(t, "a", true)
	dir := directory(t)
	put(t, dir, names[0], whole)
	put(t, dir, names[1], theirZip(t, "b", false))
	put(t, dir, names[2], whole[:len(whole)/2])
	b := newBucket()
	_, err := mirror.Pass(t.Context(), dir, b, nameless(3), today)
	if !errors.Is(err, snapshot.ErrNoDigest) || !errors.Is(err, snapshot.ErrDamaged) {
		t.Errorf("got %v", err)
	}
	b.wantHolds(t, names[0])
}

// Several nodes may take a snapshot of one name in one second: the object that exists is never replaced, and nothing is pending. An empty
// one is what a failed upload left.
func TestMirrorNeverReplacesAZipOfAnotherNode(t *testing.T) {
	names := zipNames(t, 1, 2)
	dir := directory(t)
	put(t, dir, names[0], theirZip(t, "a", true))
	put(t, dir, names[1], theirZip(t, "b", true))
	b := newBucket()
	theirs := theirZip(t, "of another node, and longer", true)
	b.objects[names[0].String()], b.objects[names[1].String()] = theirs, nil
	for range 2 {
		done, err := mirror.Pass(t.Context(), dir, b, nameless(3), today)
		if err != nil || done.Pending != 0 {
			t.Errorf("%+v, %v", done, err)
		}
	}
	if !bytes.Equal(b.objects[names[0].String()], theirs) || len(b.objects[names[1].String()]) == 0 || !slices.Equal(b.puts, []string{names[1].String()}) {
		t.Errorf("put %q, and the objects have %d and %d bytes", b.puts, len(b.objects[names[0].String()]), len(b.objects[names[1].String()]))
	}
}

// With names of its own, the mirror does nothing to zips: it uploads, reads and removes none.
func TestMirrorOfANamedNodeLeavesZipsAlone(t *testing.T) {
	zips, ours := zipNames(t, 1, 2, 3, 4), hourly(t, node, 1, 2, 3)
	dir := directory(t, ours...)
	put(t, dir, zips[0], theirZip(t, "a", true))
	b := newBucket()
	for _, n := range zips[1:] {
		b.objects[n.String()] = theirZip(t, "b", true)
	}
	if _, err := mirror.Pass(t.Context(), dir, b, options(1), today); err != nil {
		t.Error(err)
	}
	b.wantHolds(t, append(zips[1:], ours[2])...)
	if slices.ContainsFunc(b.tails, func(s string) bool { return slices.Contains(textsOf(zips), s) }) {
		t.Errorf("read the ends of %q", b.tails)
	}
}
