package journal_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"io"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"etcd-rolling-backup/snapshot/journal"
)

// most is what reading any segment may take: a record, and what zstd holds.
const most = 256 << 20

// bounded demands that do takes no more memory than that, besides what it had before.
func bounded(t *testing.T, name string, do func()) {
	t.Helper()
	var before runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	end, peak := make(chan struct{}), new(atomic.Uint64)
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for {
			var now runtime.MemStats
			runtime.ReadMemStats(&now)
			peak.Store(max(peak.Load(), now.HeapInuse))
			select {
			case <-tick.C:
			case <-end:
				return
			}
		}
	}()
	do()
	close(end)
	<-done
	if got := int64(peak.Load()) - int64(before.HeapInuse); got > most {
		t.Errorf("%s: %d MiB of memory", name, got>>20)
	}
}

// crafted compresses records that no writer writes, as a segment that was not completed.
func crafted(t testing.TB, records func(io.Writer)) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := zstd.NewWriter(&b, zstd.WithWindowSize(8<<20), zstd.WithEncoderConcurrency(1))
	must(t, err)
	text, err := json.Marshal(journal.Header{Format: journal.Format, Node: "node-a", ClusterID: 1, First: 7, CreatedAt: noon})
	must(t, err)
	record(t, w, 'h', uint32(len(text)), text)
	records(w)
	must(t, w.Close())
	return b.Bytes()
}

// record writes one that says that it has size bytes.
func record(t testing.TB, w io.Writer, kind byte, size uint32, payload []byte) {
	t.Helper()
	_, err := w.Write(append(binary.LittleEndian.AppendUint32([]byte{kind}, size), payload...))
	must(t, err)
}

// A few kilobytes of zstd are gigabytes of records. None of them is held.
func TestCraftedSegmentTakesLittleMemory(t *testing.T) {
	zeros := make([]byte, 1<<20)
	revision := make([]byte, 8)
	revision[0] = 7
	for name, records := range map[string]func(io.Writer){
		"a record of 4 GiB": func(w io.Writer) {
			record(t, w, 'p', 1<<32-1, revision)
			for range 512 {
				_, err := w.Write(zeros)
				must(t, err)
			}
		},
		"a revision of half a gigabyte": func(w io.Writer) {
			event := append(revision, zeros...)
			for range 512 {
				record(t, w, 'd', uint32(len(event)), event)
			}
		},
		"a header that goes on": func(w io.Writer) {
			for range 512 {
				record(t, w, 'h', uint32(len(zeros)), zeros)
			}
		},
		"millions of empty records": func(w io.Writer) {
			many := bytes.Repeat([]byte{'?', 0, 0, 0, 0}, 1<<18)
			for range 100 {
				_, err := w.Write(many)
				must(t, err)
			}
		},
	} {
		packed := crafted(t, records)
		bounded(t, name, func() {
			if s, err := journal.OpenPart(t.Context(), bytes.NewReader(packed), int64(len(packed))); err == nil {
				t.Errorf("%s: accepted: %+v", name, s.Manifest)
			}
		})
		t.Logf("%s: %d bytes of zstd", name, len(packed))
	}
}

// A revision with more events than memory has room for is written and read all the same.
func TestVeryLongRevisionIsReadInLittleMemory(t *testing.T) {
	var b bytes.Buffer
	w, err := journal.NewWriter(&b, header(7))
	must(t, err)
	key := bytes.Repeat([]byte{'k'}, 1<<20)
	bounded(t, "write", func() {
		for range 512 {
			must(t, w.Write(journal.Record{Kind: journal.KindDelete, Revision: 7, Data: key}))
		}
		must(t, w.Checkpoint(noon, false))
		_, err = w.Finish()
		must(t, err)
	})
	s, err := journal.Open(bytes.NewReader(b.Bytes()), int64(b.Len()))
	must(t, err)
	n := 0
	bounded(t, "read", func() {
		must(t, s.Each(t.Context(), func(r journal.Record) error {
			if r.Kind == journal.KindDelete {
				n++
			}
			return nil
		}))
	})
	if n != 512 {
		t.Errorf("%d events", n)
	}
}
