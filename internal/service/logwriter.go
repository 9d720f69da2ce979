package service

import (
	"bytes"
	"fmt"
	"io"
	"sync"
	"time"
)

const (
	// logQueue is how many lines wait for a slow reader before further ones are lost.
	logQueue = 256
	// logPatience is how long one line may take to be written before the log counts as blocked.
	logPatience = time.Second
	// logFlush is how long Close waits for the lines in the queue.
	logFlush = 2 * time.Second
	// logRetry is how soon a log that failed is tried again if no line comes.
	logRetry = 15 * time.Second
)

// LogWriter writes lines in their order, and never makes who writes them wait: a full pipe accepts nothing for as long as its reader
// lives and reads nothing. Lines that do not fit into the queue or cannot be written are counted, and reported once the log works again.
type LogWriter struct {
	w       io.Writer
	lost    func(n int, since time.Time) []byte // makes the line that reports lost lines
	lines   chan []byte
	closing chan struct{}
	done    chan struct{}

	mu     sync.Mutex // never held during a write
	began  time.Time  // of the write under way; zero: none
	failed error      // of the last write
	count  int        // lines lost and not reported in the log yet
	since  time.Time  // when the first of them was lost
}

// NewLogWriter starts the goroutine that writes; Close stops it.
func NewLogWriter(w io.Writer, lost func(n int, since time.Time) []byte) *LogWriter {
	l := &LogWriter{w: w, lost: lost, lines: make(chan []byte, logQueue), closing: make(chan struct{}), done: make(chan struct{})}
	go l.run()
	return l
}

// Write implements io.Writer. It takes one line, returns at once and never fails.
func (l *LogWriter) Write(p []byte) (int, error) {
	select {
	case l.lines <- bytes.Clone(p):
	default:
		l.drop(time.Now(), nil)
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
		if l.lostAny() {
			retry = time.After(logRetry)
		}
		select {
		case line := <-l.lines:
			l.write(line)
		case <-retry:
			l.report()
		case <-l.closing:
			for len(l.lines) > 0 { // nobody else receives
				l.write(<-l.lines)
			}
			return
		}
	}
}

// write writes one line, and behind the last of the queue the report of lost ones.
func (l *LogWriter) write(line []byte) {
	began := time.Now()
	if err := l.put(line); err != nil {
		l.drop(began, err)
	} else if len(l.lines) == 0 {
		l.report()
	}
}

// put writes a line and notes since when, and how that ended.
func (l *LogWriter) put(line []byte) error {
	l.mu.Lock()
	l.began = time.Now()
	l.mu.Unlock()
	_, err := l.w.Write(line)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.began, l.failed = time.Time{}, err
	return err
}

func (l *LogWriter) drop(at time.Time, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.count == 0 {
		l.since = at
	}
	l.count++
	if err != nil {
		l.failed = err
	}
}

func (l *LogWriter) lostAny() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.count > 0
}

func (l *LogWriter) report() {
	l.mu.Lock()
	n, since := l.count, l.since
	l.mu.Unlock()
	if n == 0 || l.put(l.lost(n, since)) != nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.count -= n
}

// problems says what is wrong with the log, if anything is.
func (l *LogWriter) problems() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case !l.began.IsZero() && time.Since(l.began) >= logPatience:
		return []string{fmt.Sprintf("log output blocked since %s UTC, %d log lines lost: whoever reads the daemon's stderr has stopped reading", utc(l.began), l.count)}
	case l.count > 0 && l.failed != nil:
		return []string{fmt.Sprintf("log output failing since %s UTC, %d log lines lost: %v", utc(l.since), l.count, l.failed)}
	case l.count > 0:
		return []string{fmt.Sprintf("log output too slow since %s UTC, %d log lines lost", utc(l.since), l.count)}
	}
	return nil
}

func utc(t time.Time) string { return t.UTC().Format(time.DateTime) }
