package snapshot

import "io"

const (
	relayBuffer  = 256 << 10
	relayBuffers = 8
)

// relay passes bytes to another goroutine that writes them to dst, so that receiving and hashing continue while earlier bytes are
// compressed. It has relayBuffers buffers and no more: a slow dst makes Write wait.
type relay struct {
	full  chan []byte
	empty chan []byte
	cur   []byte
	done  chan struct{}
	err   error // of dst; read it only after done is closed
}

func newRelay(dst io.Writer) *relay {
	r := &relay{full: make(chan []byte, relayBuffers), empty: make(chan []byte, relayBuffers), done: make(chan struct{})}
	for range relayBuffers {
		r.empty <- make([]byte, 0, relayBuffer)
	}
	r.cur = <-r.empty
	go r.run(dst)
	return r
}

func (r *relay) run(dst io.Writer) {
	defer close(r.done)
	for buf := range r.full {
		if _, r.err = dst.Write(buf); r.err != nil {
			return
		}
		r.empty <- buf[:0]
	}
}

// Write returns dst's error as soon as it is known.
func (r *relay) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		select {
		case <-r.done:
			return 0, r.err
		default:
		}
		n := min(len(rest), relayBuffer-len(r.cur))
		r.cur = append(r.cur, rest[:n]...)
		rest = rest[n:]
		if len(r.cur) < relayBuffer {
			break
		}
		r.full <- r.cur // never blocks: there is room for all buffers
		select {
		case r.cur = <-r.empty:
		case <-r.done:
			r.cur = nil
			return 0, r.err
		}
	}
	return len(p), nil
}

// Close passes on the remaining bytes, waits for dst and returns its error. Nothing may be written after it.
func (r *relay) Close() error {
	r.full <- r.cur // never blocks, as in Write
	close(r.full)
	<-r.done
	return r.err
}
