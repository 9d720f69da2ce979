package drill

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"etcd-rolling-backup/snapshot"
)

// Parent and child exchange JSON lines: one order on the child's stdin, which then stays open as long as the parent lives;
// messages on its stdout, of which the last one has a result or an error.

// order contains what the child cannot find out itself.
type order struct {
	MinFree int64 `json:"min_free"`
}

// message is one line from the child.
type message struct {
	Step   *Step   `json:"step,omitempty"`
	Result *Result `json:"result,omitempty"`
	Error  string  `json:"error,omitempty"`
	Kind   string  `json:"kind,omitempty"` // which sentinel the error wraps
}

// kind is an error that the parent distinguishes from others.
type kind struct {
	word string
	err  error
}

// kinds returns all of them. An error is sent as the first one that it wraps. So what blames the snapshot comes before what
// prevented the drill, and an error that wraps another one comes before that one.
func kinds() []kind {
	return []kind{
		{"contents", ErrContents},
		{"start", ErrStart},
		{"damaged", snapshot.ErrDamaged},
		{"format", snapshot.ErrFormat},
		{"memory", ErrMemory},
		{"skipped", ErrSkipped},
		{"space", snapshot.ErrLowSpace},
		{"full", unix.ENOSPC},
		{"quota", unix.EDQUOT},
		{"io", unix.EIO},
		{"read_only", unix.EROFS},
		{"canceled", context.Canceled},
	}
}

// failure returns the message for an error.
func failure(err error) message {
	m := message{Error: err.Error()}
	if i := slices.IndexFunc(kinds(), func(k kind) bool { return errors.Is(err, k.err) }); i >= 0 {
		m.Kind = kinds()[i].word
	}
	return m
}

// asError returns the error in a message.
func (m message) asError() *textError {
	e := &textError{text: m.Error}
	if i := slices.IndexFunc(kinds(), func(k kind) bool { return k.word == m.Kind }); i >= 0 {
		e.kind = kinds()[i].err
	}
	return e
}

const (
	// maxMessage limits how many bytes of one line the parent keeps.
	maxMessage = 64 << 10
	// stepInterval is the shortest time between two reports of bytes in one stage.
	stepInterval = 100 * time.Millisecond
)

// messageWriter writes messages.
type messageWriter struct {
	mu   sync.Mutex
	w    io.Writer
	last Step
	sent time.Time
}

func (s *messageWriter) send(m message) error {
	line, err := json.Marshal(m)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	_, err = s.w.Write(append(line, '\n'))
	return err
}

// step is an options.progress. Other code detects that nobody reads it.
func (s *messageWriter) step(step Step) {
	if step.Stage == s.last.Stage && step.Done < step.Total && time.Since(s.sent) < stepInterval {
		return
	}
	s.last, s.sent = step, time.Now()
	_ = s.send(message{Step: &step})
}

// messageReader parses the child's stdout. It is an io.Writer for one goroutine; read its fields after that goroutine has ended.
type messageReader struct {
	lines
	progress func(Step)
	result   *Result
	failed   *textError
	invalid  error // the first line that was not a message
}

func (l *messageReader) Write(p []byte) (int, error) { return l.split(p, l.receive), nil }

// lines splits what is written into lines, and keeps maxMessage bytes of each.
type lines struct{ line []byte }

func (l *lines) split(p []byte, receive func(line []byte)) int {
	n := len(p)
	for {
		head, rest, ended := bytes.Cut(p, []byte{'\n'})
		l.line = append(l.line, head[:min(len(head), maxMessage-len(l.line))]...)
		if !ended {
			return n
		}
		receive(l.line)
		l.line, p = l.line[:0], rest
	}
}

func (l *messageReader) receive(line []byte) {
	var m message
	if err := json.Unmarshal(line, &m); err != nil {
		if l.invalid == nil {
			l.invalid = fmt.Errorf("the drill's process wrote %.80q: %w", line, err)
		}
		return
	}
	switch {
	case m.Result != nil:
		l.result = m.Result
	case m.Error != "":
		l.failed = m.asError()
	case m.Step != nil && l.progress != nil:
		l.progress(*m.Step)
	}
}
