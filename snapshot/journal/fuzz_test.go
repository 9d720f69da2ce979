package journal_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"testing"

	"github.com/klauspost/compress/zstd"

	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/journal"
)

// unpacked are the records of a segment.
func unpacked(t testing.TB, packed []byte) []byte {
	t.Helper()
	dec, err := zstd.NewReader(nil)
	must(t, err)
	defer dec.Close()
	raw, err := dec.DecodeAll(packed, nil)
	must(t, err)
	return raw
}

// sealed compresses records, after it has made the digests of their checkpoints match: otherwise nothing behind the first change would be read.
func sealed(t testing.TB, raw []byte) []byte {
	t.Helper()
	for at := 0; len(raw)-at >= 5; {
		size := uint64(binary.LittleEndian.Uint32(raw[at+1:]))
		if size > uint64(len(raw)-at-5) {
			break
		}
		end := at + 5 + int(size)
		if raw[at] == byte(journal.KindCheckpoint) && size == 25 {
			sum := sha256.Sum256(raw[:at])
			copy(raw[end-8:end], sum[:])
		}
		at = end
	}
	var b bytes.Buffer
	w, err := zstd.NewWriter(&b, zstd.WithWindowSize(8<<20), zstd.WithEncoderConcurrency(1))
	must(t, err)
	_, err = w.Write(raw)
	must(t, errors.Join(err, w.Close()))
	return b.Bytes()
}

// Whatever records there are: what is accepted has every revision once, in order, and is the same when it is completed by a recovery.
func FuzzRecords(f *testing.F) {
	b, _ := write(f, header(7), 9, true)
	raw := unpacked(f, b)
	f.Add(raw)
	f.Add(append(bytes.Clone(raw), 'p', 255, 255, 255, 255))
	f.Add(append(bytes.Clone(raw), 'l', 16, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 60, 0, 0, 0, 0, 0, 0, 0))
	f.Fuzz(func(t *testing.T, raw []byte) {
		packed := sealed(t, bytes.Clone(raw))
		s, err := journal.OpenPart(t.Context(), bytes.NewReader(packed), int64(len(packed)))
		if err != nil {
			return
		}
		first, last, n := int64(0), int64(0), int64(0)
		err = s.Each(t.Context(), func(r journal.Record) error {
			if r.Kind == journal.KindPut || r.Kind == journal.KindDelete {
				if n++; first == 0 {
					first = r.Revision
				}
				if last != 0 && r.Revision != last && r.Revision != last+1 {
					t.Errorf("revision %d follows %d", r.Revision, last)
				}
				last = r.Revision
			}
			return nil
		})
		if err != nil {
			if !errors.Is(err, snapshot.ErrDamaged) {
				t.Error(err)
			}
			return
		}
		if first != s.First || last != s.Last || n != s.Events {
			t.Errorf("%d events, %d to %d; the segment has %d, %d to %d", n, first, last, s.Events, s.First, s.Last)
		}
		_, m, err := merge(t, six(t), []*journal.Segment{s}, 0)
		if err == nil && m.Revision != max(6, s.Last) {
			t.Errorf("merged to revision %d, not %d", m.Revision, s.Last)
		}
	})
}

// What is read as a manifest describes data in front of it, and names a segment.
func FuzzManifest(f *testing.F) {
	b, _ := write(f, header(7), 9, true)
	f.Add(b[max(0, len(b)-snapshot.TailSize):], int64(len(b)))
	f.Add(b[len(b)-60:], int64(60))
	f.Fuzz(func(t *testing.T, tail []byte, size int64) {
		size = max(size, int64(len(tail)))
		m, data, err := journal.DecodeTail(tail, size)
		if err != nil {
			if !errors.Is(err, snapshot.ErrDamaged) && !errors.Is(err, snapshot.ErrFormat) {
				t.Error(err)
			}
			return
		}
		if n, err := snapshot.ParseSegmentName(m.Name); err != nil || n.First != m.First || n.Last != m.Last || data < 0 || data > size {
			t.Errorf("%+v, %d bytes of %d, %v", m, data, size, err)
		}
	})
}

// Each choice begins where the one before it ends, and reaches as far as the segments do without a gap.
func FuzzChain(f *testing.F) {
	f.Add([]byte{7, 2, 10, 2, 13, 1}, uint8(6))
	f.Add([]byte{5, 15, 7, 2, 10, 2, 21, 1, 1, 6}, uint8(6))
	f.Fuzz(func(t *testing.T, pairs []byte, from uint8) {
		var names []snapshot.SegmentName
		for ; len(pairs) >= 2 && len(names) < 100; pairs = pairs[2:] {
			first := int64(pairs[0]) + 1
			names = append(names, snapshot.SegmentName{Node: "n", Time: noon, First: first, Last: first + int64(pairs[1]%16)})
		}
		at := int64(from)
		for _, n := range journal.Follow(names, at) {
			if n.First > at+1 || n.Last <= at {
				t.Fatalf("%s follows revision %d", n, at)
			}
			at = n.Last
		}
		for _, n := range names {
			if n.First <= at+1 && n.Last > at {
				t.Errorf("it ends at revision %d, and %s goes on", at, n)
			}
		}
	})
}
