package input

import (
	"io"
	"sync"
)

const (
	pieceSize = 1 << 20
	// pieces: one is being filled, one waits, one is being hashed and written, one is held back, for a digest may begin in it.
	pieces = 4
)

// piece is pieceSize bytes, or with an error fewer; io.EOF is the error of the last one.
type piece struct {
	data []byte
	err  error
}

// pump reads in a goroutine of its own, so that decompressing goes on while earlier bytes are hashed and written.
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
		if buf == nil { // most snapshots of tests, and many others, need one piece only
			buf = make([]byte, pieceSize)
		}
		n, err := fill(r, buf[:pieceSize])
		p.full <- piece{data: buf[:n], err: err} // has room for all there are
		if err != nil {
			return
		}
	}
}

// fill is io.ReadFull with r's own error, which says more than io.ErrUnexpectedEOF.
func fill(r io.Reader, buf []byte) (n int, err error) {
	for n < len(buf) && err == nil {
		var m int
		m, err = r.Read(buf[n:])
		n += m
	}
	return n, err
}

// next waits for the next piece. After one with an error there is none.
func (p *pump) next() piece { return <-p.full }

// free gives back what was written.
func (p *pump) free(data []byte) { p.empty <- data }

// stop ends the reading and waits for it: after that r may be closed.
func (p *pump) stop() {
	close(p.quit)
	p.group.Wait()
}
