package snapshot

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"
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

func TestRelayPassesOnEveryByteInOrder(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, size := range []int{0, 1, relayBuffer - 1, relayBuffer, relayBuffer + 1, relayBuffers*relayBuffer + 7, 3 * relayBuffers * relayBuffer} {
		want := make([]byte, size)
		for i := range want {
			want[i] = byte(random.Uint32())
		}
		var got bytes.Buffer
		r := newRelay(&got)
		for rest := want; len(rest) > 0; {
			n := min(len(rest), 1+random.IntN(2*relayBuffer))
			if written, err := r.Write(rest[:n]); written != n || err != nil {
				t.Fatalf("size %d: write: %d of %d, %v", size, written, n, err)
			}
			rest = rest[n:]
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got.Bytes(), want) {
			t.Errorf("size %d: %d bytes came out, not the same", size, got.Len())
		}
	}
}

// After the output has failed, a relay returns the error and never blocks, however much is written to it.
func TestRelayReportsItsOutputsError(t *testing.T) {
	for _, limit := range []int{0, relayBuffer, 5 * relayBuffer} {
		r := newRelay(&brokenWriter{limit: limit})
		piece := make([]byte, relayBuffer/3)
		var err error
		for range 4 * relayBuffers * 3 {
			if _, writeErr := r.Write(piece); writeErr != nil {
				err = writeErr
			}
		}
		if !errors.Is(err, errBroken) {
			t.Errorf("limit %d: write gave %v", limit, err)
		}
		if err := r.Close(); !errors.Is(err, errBroken) {
			t.Errorf("limit %d: close gave %v", limit, err)
		}
	}
}
