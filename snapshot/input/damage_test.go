package input_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"

	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/input"
)

// altered is a copy with one byte changed; at below zero counts from the end.
func altered(b []byte, at int) []byte {
	b = bytes.Clone(b)
	b[(len(b)+at)%len(b)] ^= 0x41
	return b
}

// dataSize is where the manifest's frame begins in an archive.
func dataSize(t *testing.T, packed []byte) int {
	t.Helper()
	_, size, err := snapshot.DecodeTail(packed[max(0, len(packed)-snapshot.TailSize):], int64(len(packed)))
	must(t, err)
	return int(size)
}

// Whatever is damaged around a database that matches etcd's digest, the database is unpacked and the damage is reported.
func TestDamageAroundAnIntactDatabaseIsReported(t *testing.T) {
	db := database(2 << 20)
	raw := withDigest(db)
	packed, gz, zst := archive(t, raw), gzipped(t, raw), zstded(t, raw)
	end := dataSize(t, packed)
	zipFile := rkeZip(t, raw)
	wrongCRC := patched(t, bytes.Clone(zipFile), func(h []byte) { binary.LittleEndian.PutUint32(h[16:], 1) })
	state := file{"snap.rkestate", bytes.Repeat([]byte("state "), 1000)}
	brokenState := zipped(t, state, file{"snap", raw})
	at := bytes.Index(brokenState, []byte(state.name)) + len(state.name)
	copy(brokenState[at:], bytes.Repeat([]byte{0xff}, 16))
	for name, b := range map[string][]byte{
		"the last byte of an archive's data": altered(packed, end-1), // zstd's own checksum
		"an archive's manifest":              altered(packed, end+100),
		"the frame of its manifest":          altered(packed, end),
		"the digest of its manifest":         altered(packed, -20),
		"the last byte of an archive":        altered(packed, -1),
		"an archive without its last byte":   packed[:len(packed)-1],
		"an archive cut in its manifest":     packed[:end+100],
		"an archive cut in its frame":        packed[:end+1],
		"an archive with a byte more":        append(bytes.Clone(packed), 'x'),
		"an archive with text after it":      append(bytes.Clone(packed), "some more text"...),
		"the checksum of gzip":               altered(gz, -8),
		"the size in gzip":                   altered(gz, -1),
		"gzip without its last byte":         gz[:len(gz)-1],
		"gzip with text after it":            append(bytes.Clone(gz), "more"...),
		"zstd with text after it":            append(bytes.Clone(zst), "more"...),
		"the checksum of zstd":               altered(zst, -1),
		"the checksum in zip":                wrongCRC,
		"another member of a zip":            brokenState,
	} {
		got, _, u, err := unpack(b, input.Options{})
		if err != nil || !bytes.Equal(got, db) || !u.Verified || u.SHA256 != hexSum(db) {
			t.Errorf("%s: %d bytes, %+v, %v", name, len(got), u, err)
			continue
		}
		refused(t, name, u.Damage, snapshot.ErrDamaged, "its database is intact")
		refused(t, name, u.Damage, snapshot.ErrDatabaseIntact)
	}
}

// An intact file has no damage, with other files next to the database or several frames.
func TestIntactFilesHaveNoDamage(t *testing.T) {
	raw := withDigest(database(2 << 20))
	packed := archive(t, raw)
	for name, b := range map[string][]byte{
		"archive": packed, "its data alone": packed[:dataSize(t, packed)], "database": raw, "gzip": gzipped(t, raw), "zip": rkeZip(t, raw),
		"zstd": zstded(t, raw), "two frames": append(zstded(t, raw[:1<<20]), zstded(t, raw[1<<20:])...),
	} {
		if _, in, u, err := unpack(b, input.Options{}); err != nil || u.Damage != nil || in.Damage != nil {
			t.Errorf("%s: %v, %+v", name, err, u)
		}
	}
}

// The reader of archives gives the same verdict, with the checksums of verify and with those of restore.
func TestArchiveReportsDamageAroundItsDatabase(t *testing.T) {
	db := database(2 << 20)
	packed := archive(t, withDigest(db))
	end := dataSize(t, packed)
	for name, x := range map[string]struct {
		at     int
		intact bool
	}{"in the data": {end / 2, false}, "in zstd's checksum": {end - 2, true}} {
		b := altered(packed, x.at)
		a, err := snapshot.OpenArchive(bytes.NewReader(b), int64(len(b)))
		must(t, err)
		raw, err := a.Raw()
		must(t, err)
		var out bytes.Buffer
		_, err = out.ReadFrom(raw)
		must(t, raw.Close())
		refused(t, name, err, snapshot.ErrDamaged)
		if errors.Is(err, snapshot.ErrDatabaseIntact) != x.intact {
			t.Errorf("%s: %v", name, err)
		}
		if _, _, _, err := unpack(b, skip()); (err == nil) != x.intact {
			t.Errorf("%s: unpacked: %v", name, err)
		}
	}
}
