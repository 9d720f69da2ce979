package snapshot_test

import (
	"bytes"
	"errors"
	"os"
	"testing"
	"time"

	"etcd-rolling-backup/snapshot"
)

// mustBeDamaged demands that Verify reports the archive as damaged, and only as that.
func mustBeDamaged(t *testing.T, b *bench, archive []byte, format string, args ...any) {
	t.Helper()
	_, err := b.verify(t.Context(), archive)
	if !errors.Is(err, snapshot.ErrDamaged) || errors.Is(err, snapshot.ErrFormat) {
		t.Errorf(format+": %v, want ErrDamaged", append(args, err)...)
	}
}

// No changed bit of an archive goes unnoticed.
func TestDamageOfEveryByte(t *testing.T) {
	r, b, packed := random(t), newBench(t), golden(t)
	for i := range packed {
		old := packed[i]
		packed[i] ^= 1 << r.IntN(8)
		mustBeDamaged(t, b, packed, "byte %d of %d is %#x and not %#x", i, len(packed), packed[i], old)
		packed[i] = old
	}
}

func TestDamageAtRandom(t *testing.T) {
	r, b := random(t), newBench(t)
	packed := archive(t, withDigest(etcdDatabase(t, 1000)), manifestA(1001))
	_, err := b.verify(t.Context(), packed)
	must(t, err)
	for range 300 {
		i := r.IntN(len(packed))
		old := packed[i]
		packed[i] += byte(1 + r.IntN(255))
		mustBeDamaged(t, b, packed, "byte %d of %d is %#x and not %#x", i, len(packed), packed[i], old)
		packed[i] = old
	}
	for range 100 {
		n := r.IntN(len(packed))
		mustBeDamaged(t, b, packed[:n], "cut to %d of %d bytes", n, len(packed))
	}
	for range 100 {
		from := r.IntN(len(packed))
		n := min(1+r.IntN(4096), len(packed)-from)
		whole := bytes.Clone(packed)
		clear(packed[from : from+n])
		if !bytes.Equal(whole, packed) {
			mustBeDamaged(t, b, packed, "zeros in bytes %d to %d of %d", from, from+n, len(packed))
		}
		copy(packed, whole)
	}
}

func TestDamageByCutting(t *testing.T) {
	b, packed := newBench(t), golden(t)
	for n := range packed {
		mustBeDamaged(t, b, packed[:n], "cut to %d of %d bytes", n, len(packed))
		mustBeDamaged(t, b, packed[len(packed)-n:], "the last %d of %d bytes", n, len(packed))
	}
}

func TestDamageByMixing(t *testing.T) {
	b := newBench(t)
	raw := withDigest(etcdDatabase(t, 50))
	one := archive(t, raw, manifestA(51))
	m := manifestA(51)
	m.CreatedAt = m.CreatedAt.Add(time.Hour)
	m.Name = snapshot.Name{Set: "rolling", Node: "node-a", Time: m.CreatedAt}.String()
	two := archive(t, withDigest(etcdDatabase(t, 60)), m)
	split := func(packed []byte) (data, tail []byte) {
		_, n, err := snapshot.DecodeTail(packed, int64(len(packed)))
		must(t, err)
		return packed[:n], packed[n:]
	}
	dataOne, tailOne := split(one)
	dataTwo, tailTwo := split(two)
	manifestOne, _, err := snapshot.DecodeTail(one, int64(len(one)))
	must(t, err)
	// The other archive's manifest in a frame that matches this one's data.
	manifestTwo, _, err := snapshot.DecodeTail(two, int64(len(two)))
	must(t, err)
	swapped, err := snapshot.EncodeTail(manifestTwo, int64(len(dataOne)))
	must(t, err)
	// The manifest describes the same compressed bytes, but other decompressed ones.
	lies := func(change func(*snapshot.Manifest)) []byte {
		m := manifestOne
		change(&m)
		tail, err := snapshot.EncodeTail(m, int64(len(dataOne)))
		must(t, err)
		return join(dataOne, tail)
	}
	for name, packed := range map[string][]byte{
		"empty":                         nil,
		"one byte":                      {0},
		"a zero byte after":             join(one, []byte{0}),
		"rubbish after":                 join(one, []byte("rubbish")),
		"a sector of zeros after":       join(one, make([]byte, 512)),
		"a byte before":                 join([]byte{0}, one),
		"two archives":                  join(one, two),
		"twice the same":                join(one, one),
		"twice the end":                 join(one, tailOne),
		"data without end":              dataOne,
		"end without data":              tailOne,
		"the other's end":               join(dataOne, tailTwo),
		"the other's data":              join(dataTwo, tailOne),
		"the other's manifest":          join(dataOne, swapped),
		"a plain database":              raw,
		"zeros":                         make([]byte, len(one)),
		"larger than manifest":          lies(func(m *snapshot.Manifest) { m.RawSize -= 512 }),
		"smaller than manifest":         lies(func(m *snapshot.Manifest) { m.RawSize += 512 }),
		"another digest":                lies(func(m *snapshot.Manifest) { m.RawSHA256 = m.ArchiveSHA256 }),
		"another digest of the archive": lies(func(m *snapshot.Manifest) { m.ArchiveSHA256 = m.RawSHA256 }),
		"a later revision":              lies(func(m *snapshot.Manifest) { m.Revision = 52 }),
	} {
		mustBeDamaged(t, b, packed, "%s", name)
	}
	// An earlier revision is normal: keys changed while the stream was opened.
	_, err = b.verify(t.Context(), lies(func(m *snapshot.Manifest) { m.Revision = 50 }))
	must(t, err)
}

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

// An archive of a later format is intact and reported as such.
func TestUnknownFormatIsNoDamage(t *testing.T) {
	m := manifestA(1)
	m.Format = "etcd-rolling-backup/2"
	tail, err := snapshot.EncodeTail(m, 0)
	must(t, err)
	_, err = newBench(t).verify(t.Context(), tail)
	if !errors.Is(err, snapshot.ErrFormat) || errors.Is(err, snapshot.ErrDamaged) {
		t.Errorf("%v, want ErrFormat", err)
	}
}

// A directory and a closed file are mistakes of the caller.
func TestVerifyOfNoFile(t *testing.T) {
	scratch := snapshot.NewDir(t.TempDir())
	dir, err := os.Open(t.TempDir())
	must(t, err)
	_, dirErr := verify(t.Context(), dir, scratch, 0, nil)
	must(t, dir.Close())
	_, closedErr := verify(t.Context(), dir, scratch, 0, nil)
	for name, err := range map[string]error{"a directory": dirErr, "a closed file": closedErr} {
		if err == nil || errors.Is(err, snapshot.ErrDamaged) {
			t.Errorf("%s: %v, want an error that is no damage", name, err)
		}
	}
}
