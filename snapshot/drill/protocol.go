package drill

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"etcd-rolling-backup/snapshot"
)

// Parent and child speak JSON lines: one order on the child's stdin, which then stays open as long as the parent lives;
// messages on its stdout, the last one with a result or an error.

// order tells the child what it can't see.
type order struct {
	MinFree int64 `json:"min_free"`
}

// message is one line of the child's.
type message struct {
	Step   *Step   `json:"step,omitempty"`
	Result *Result `json:"result,omitempty"`
	Error  string  `json:"error,omitempty"`
	Kind   string  `json:"kind,omitempty"` // which sentinel the error wraps
}

// kinds are the errors that a parent tells apart.
func kinds() map[string]error {
	return map[string]error{
		"damaged": snapshot.ErrDamaged, "format": snapshot.ErrFormat, "space": snapshot.ErrLowSpace,
		"skipped": ErrSkipped, "memory": ErrMemory, "canceled": context.Canceled,
	}
}

// failure is the message of an error.
func failure(err error) message {
	m := message{Error: err.Error()}
	for kind, target := range kinds() {
		if errors.Is(err, target) {
			m.Kind = kind
		}
	}
	if errors.Is(err, ErrMemory) { // which is an ErrSkipped as well
		m.Kind = "memory"
	}
	return m
}

// childError is an error that came as a message.
type childError struct {
	text string
	kind error // may be nil
}

func (e *childError) Error() string { return e.text }
func (e *childError) Unwrap() error { return e.kind }

const (
	// maxMessage bounds what the parent remembers of one line.
	maxMessage = 64 << 10
	// stepInterval is how often the bytes of one stage are told at most.
	stepInterval = 100 * time.Millisecond
)

// speaker writes messages.
type speaker struct {
	mu   sync.Mutex
	w    io.Writer
	last Step
	told time.Time
}

func (s *speaker) say(m message) error {
	line, err := json.Marshal(m)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	_, err = s.w.Write(append(line, '\n'))
	return err
}

// step is an Options.Progress. Whether anybody hears it is noticed elsewhere.
func (s *speaker) step(step Step) {
	if step.Stage == s.last.Stage && step.Done < step.Total && time.Since(s.told) < stepInterval {
		return
	}
	s.last, s.told = step, time.Now()
	_ = s.say(message{Step: &step})
}

// listener takes the child's stdout apart. It is an io.Writer of one goroutine, and read after that has ended.
type listener struct {
	progress func(Step)
	line     []byte
	result   *Result
	failed   *childError
	garbled  error // the first line that was no message
}

func (l *listener) Write(p []byte) (int, error) {
	n := len(p)
	for {
		head, rest, ended := bytes.Cut(p, []byte{'\n'})
		if room := maxMessage - len(l.line); len(head) > room {
			head = head[:room]
		}
		l.line = append(l.line, head...)
		if !ended {
			return n, nil
		}
		l.hear(l.line)
		l.line, p = l.line[:0], rest
	}
}

func (l *listener) hear(line []byte) {
	var m message
	if err := json.Unmarshal(line, &m); err != nil {
		if l.garbled == nil {
			l.garbled = fmt.Errorf("the drill's process said %.80q: %w", line, err)
		}
		return
	}
	switch {
	case m.Result != nil:
		l.result = m.Result
	case m.Error != "":
		l.failed = &childError{text: m.Error, kind: kinds()[m.Kind]}
	case m.Step != nil && l.progress != nil:
		l.progress(*m.Step)
	}
}
