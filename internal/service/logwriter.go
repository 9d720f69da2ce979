package service

import (
	"bytes"
	"fmt"
	"io"
	"sync"
	"time"
)

const (
	logQueue    = 256              // lines that wait for a slow reader before further ones are lost
	logPatience = time.Second      // how long one line may take to be written before the log counts as blocked
	logFlush    = 2 * time.Second  // how long Close waits for the lines in the queue
	logRetry    = 15 * time.Second // how soon a log that lost lines is tried again if no line comes
)

// LogWriter writes lines in their order, and never makes their writers wait: a full pipe accepts nothing for as long as its reader
// lives and reads nothing. Lines that do not fit into the queue or cannot be written are counted, and reported once the log works again.
type LogWriter struct {
	w       io.Writer
	report  func(lost int, since time.Time) []byte // makes the line that reports lost lines
	lines   chan []byte
	closing chan struct{}
	done    chan struct{}

	mu     sync.Mutex // never held during a write
	began  time.Time  // of the write under way; zero: none
	failed error      // of the last write
	lost   int        // lines lost and not reported in the log yet
	since  time.Time  // when the first of them was lost
}

// NewLogWriter starts the goroutine that writes; Close stops it.
func NewLogWriter(w io.Writer, report func(lost int, since time.Time) []byte) *LogWriter {
	l := &LogWriter{w: w, report: report, lines: make(chan []byte, logQueue), closing: make(chan struct{}), done: make(chan struct{})}
	go l.run()
	return l
}

// Write implements io.Writer. It takes one line, returns immediately and never fails.
func (l *LogWriter) Write(p []byte) (int, error) {
	select {
	case l.lines <- bytes.Clone(p):
	default:
		l.mu.Lock()
		defer l.mu.Unlock()
		l.lose(time.Now())
	}
	return len(p), nil
}

// Close waits, with a deadline, until the queue is written. It is called once; lines that come later are lost.
func (l *LogWriter) Close() {
	close(l.closing)
	select {
	case <-l.done:
	case <-time.After(logFlush):
	}
}

func (l *LogWriter) run() {
	defer close(l.done)
	for {
		var retry <-chan time.Time
		if lost, _ := l.unreported(); lost > 0 {
			retry = time.After(logRetry)
		}
		select {
		case line := <-l.lines:
			l.write(line)
		case <-retry:
			l.writeReport()
		case <-l.closing:
			for len(l.lines) > 0 { // nobody else receives
				l.write(<-l.lines)
			}
			return
		}
	}
}

// write writes one line and, after the last one of the queue, the report of lost ones.
func (l *LogWriter) write(line []byte) {
	switch began, err := l.put(line); {
	case err != nil:
		l.mu.Lock()
		defer l.mu.Unlock()
		l.lose(began)
	case len(l.lines) == 0:
		l.writeReport()
	}
}

func (l *LogWriter) writeReport() {
	lost, since := l.unreported()
	if lost == 0 || l.report == nil {
		return
	}
	if _, err := l.put(l.report(lost, since)); err == nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.lost -= lost
	}
}

func (l *LogWriter) put(text []byte) (began time.Time, err error) {
	began = time.Now()
	l.mu.Lock()
	l.began = began
	l.mu.Unlock()
	_, err = l.w.Write(text)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.began, l.failed = time.Time{}, err
	return began, err
}

// lose counts a lost line; mu is held.
func (l *LogWriter) lose(at time.Time) {
	if l.lost == 0 {
		l.since = at
	}
	l.lost++
}

func (l *LogWriter) unreported() (lost int, since time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lost, l.since
}

// problems says what is wrong with the log, if anything is.
func (l *LogWriter) problems() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	what, since, why := "", l.since, ""
	switch {
	case !l.began.IsZero() && time.Since(l.began) >= logPatience:
		what, since, why = "blocked", l.began, ": whoever reads the daemon's stderr has stopped reading"
	case l.lost == 0:
		return nil
	case l.failed != nil:
		what, why = "failing", ": "+l.failed.Error()
	default:
		what = "too slow"
	}
	return []string{fmt.Sprintf("log output %s since %s UTC, %d log lines lost%s", what, since.UTC().Format(time.DateTime), l.lost, why)}
}
