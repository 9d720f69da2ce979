package proctest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

const (
	// ReadyLimit bounds a start if the caller's context does not; three servers on a busy machine take a few seconds.
	ReadyLimit = 90 * time.Second

	probeEvery = 50 * time.Millisecond
	probeLimit = 3 * time.Second

	// TailSize is how many bytes of a log or of a program's output an error contains.
	TailSize = 4 << 10
)

// ErrPortTaken says that another process took a port between its reservation and the start of the server.
var ErrPortTaken = errors.New("port taken by another process")

// awaitReady probes the server until it is ready. offset is where the log of this process begins.
func (s *Server) awaitReady(ctx context.Context, offset int64) error {
	ctx, cancel := context.WithTimeout(ctx, ReadyLimit)
	defer cancel()
	p := s.process()
	var last error
	err := Poll(ctx, probeEvery, func() (bool, error) {
		if !p.running() {
			return false, s.exited(p, offset)
		}
		last = s.probe(ctx)
		return last == nil, nil
	})
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("wait for %s: %w; last probe: %w; end of its log:\n%s", s.Name, err, last, s.Tail(offset))
	}
	return err
}

func (s *Server) probe(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, probeLimit)
	defer cancel()
	return s.Probe(ctx)
}

// exited returns the error for a process that exited unexpectedly.
func (s *Server) exited(p *process, offset int64) error {
	tail := s.Tail(offset)
	err := fmt.Errorf("%s ended: %s; end of its log:\n%s", s.Name, p.exit, tail)
	if bytes.Contains(tail, []byte("already in use")) { // the text of EADDRINUSE in Go's net and in MinIO
		return errors.Join(ErrPortTaken, err)
	}
	return err
}

// Tail returns the end of the log from offset on, at most [TailSize] bytes; or why it cannot be read.
func (s *Server) Tail(offset int64) []byte {
	f, err := os.Open(s.LogPath)
	if err != nil {
		return []byte(err.Error())
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return []byte(err.Error())
	}
	offset = max(offset, info.Size()-TailSize)
	text, err := io.ReadAll(io.NewSectionReader(f, offset, TailSize))
	if err != nil {
		return []byte(err.Error())
	}
	return text
}
