package s3

import (
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"

	"golang.org/x/time/rate"
)

// maxChunk is how many bytes net/http reads from a body at a time.
const maxChunk = 32 << 10

// newLimit allows only small pieces at a time, so that each wait is much shorter than Stall, even if all threads wait.
func newLimit(bytesPerSecond int64) *rate.Limiter {
	return rate.NewLimiter(rate.Limit(bytesPerSecond), int(min(maxChunk, max(bytesPerSecond/8, 1))))
}

// section is the body of one request: a piece of the archive, counted and limited in rate. It has no Seek: each try gets a new
// one.
type section struct {
	ctx   context.Context //nolint:containedctx // io.Reader takes none, and a wait for the rate limit must end with the call
	r     io.Reader
	limit *rate.Limiter
	count func(int64)
	err   atomic.Pointer[error] // error of the archive's file, so that a bad disk is not mistaken for a bad connection

	mu   sync.Mutex
	sent int64
	over bool // the try has failed; the transport's goroutine may read a little more
}

// Read is called by the HTTP transport's goroutine.
func (s *section) Read(p []byte) (int, error) {
	if s.limit != nil {
		p = p[:min(len(p), s.limit.Burst())]
	}
	n, err := s.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		s.err.Store(&err)
		return n, err
	}
	if n > 0 && s.limit != nil {
		if waitErr := s.limit.WaitN(s.ctx, n); waitErr != nil {
			return 0, waitErr
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		return 0, io.ErrClosedPipe
	}
	s.sent += int64(n)
	s.count(int64(n))
	return n, err
}

// takeBack subtracts what a failed try has sent.
func (s *section) takeBack() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
	s.count(-s.sent)
}
