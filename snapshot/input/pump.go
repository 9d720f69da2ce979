package input

import (
	"io"
	"sync"
)

const (
	pieceSize = 1 << 20
	// pieces: one is being filled, one waits, one is being hashed and written, one is held back because it may contain the digest.
	pieces = 4
)

// piece is pieceSize bytes, or fewer with an error; io.EOF is the error of the last one.
type piece struct {
	data []byte
	err  error
}

// pump reads in its own goroutine, so that decompression continues while earlier bytes are hashed and written.
type pump struct {
	full  chan piece
	empty chan []byte
	quit  chan struct{}
	group sync.WaitGroup
}

func startPump(r io.Reader) *pump {
	p := &pump{full: make(chan piece, pieces), empty: make(chan []byte, pieces), quit: make(chan struct{})}
	for range pieces {
		p.empty <- nil
	}
	p.group.Go(func() { p.run(r) })
	return p
}

func (p *pump) run(r io.Reader) {
	for {
		var buf []byte
		select {
		case <-p.quit:
			return
		case buf = <-p.empty:
		}
		if buf == nil { // most snapshots in tests, and many others, need only one piece
			buf = make([]byte, pieceSize)
		}
		n, err := fill(r, buf[:pieceSize])
		p.full <- piece{data: buf[:n], err: err} // never blocks: there is room for all pieces
		if err != nil {
			return
		}
	}
}

// fill is io.ReadFull, but returns r's own error, which is more precise than io.ErrUnexpectedEOF.
func fill(r io.Reader, buf []byte) (n int, err error) {
	for n < len(buf) && err == nil {
		var m int
		m, err = r.Read(buf[n:])
		n += m
	}
	return n, err
}

// next waits for the next piece. A piece with an error is the last one.
func (p *pump) next() piece { return <-p.full }

// free returns a written piece.
func (p *pump) free(data []byte) { p.empty <- data }

// stop stops reading and waits for it: afterwards r may be closed.
func (p *pump) stop() {
	close(p.quit)
	p.group.Wait()
}
