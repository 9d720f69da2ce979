package snapshot_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"etcd-rolling-backup/snapshot"
)

// brokenWriter takes limit bytes and fails from then on.
type brokenWriter struct {
	bytes.Buffer
	limit int
}

var errBroken = errors.New("broken")

func (w *brokenWriter) Write(p []byte) (int, error) {
	if w.Len()+len(p) > w.limit {
		return 0, errBroken
	}
	return w.Buffer.Write(p)
}

// After the output has failed, a writer returns the error and never blocks, however much is written to it.
func TestWriterReportsItsOutputsError(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	noise := make([]byte, 10_000_000) // does not get smaller
	for i := range noise {
		noise[i] = byte(random.Uint32())
	}
	for _, limit := range []int{0, 256 << 10, 1 << 20} {
		w, err := snapshot.NewWriter(&brokenWriter{limit: limit})
		must(t, err)
		for piece := range slices.Chunk(noise, 100_000) {
			if _, writeErr := w.Write(piece); writeErr != nil {
				err = writeErr
			}
		}
		if !errors.Is(err, errBroken) {
			t.Errorf("limit %d: write gave %v", limit, err)
		}
		if _, err := w.Finish(snapshot.Manifest{}); !errors.Is(err, errBroken) {
			t.Errorf("limit %d: finish gave %v", limit, err)
		}
	}
}
