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

// kind is an error that a parent tells from others.
type kind struct {
	word string
	err  error
}

// kinds are all of them. The first that an error wraps is what it is told as: what speaks against the snapshot comes before what
// hindered the drill, and what wraps another one before that.
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

// failure is the message of an error.
func failure(err error) message {
	m := message{Error: err.Error()}
	if i := slices.IndexFunc(kinds(), func(k kind) bool { return errors.Is(err, k.err) }); i >= 0 {
		m.Kind = kinds()[i].word
	}
	return m
}

// heard is the error of a message.
func (m message) heard() *worded {
	e := &worded{text: m.Error}
	if i := slices.IndexFunc(kinds(), func(k kind) bool { return k.word == m.Kind }); i >= 0 {
		e.kind = kinds()[i].err
	}
	return e
}

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

// step is an options.progress. Whether anybody hears it is noticed elsewhere.
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
	failed   *worded
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
		l.failed = m.heard()
	case m.Step != nil && l.progress != nil:
		l.progress(*m.Step)
	}
}
