package command

import (
	"bytes"
	"fmt"
	"io"
	"sync"
	"time"
)

// logPatience is how long one line may take to be written. A pipe that is full takes none for as long as its reader lives and
// reads nothing.
const logPatience = time.Second

// logRetry is how soon a log that could not be written to is tried again, where no line comes.
const logRetry = 15 * time.Second

// logWriter keeps a log that takes no lines from holding up those who write to it. Each line is waited for, so that the order is kept and
// the last ones are not lost; one that is not written in time goes on alone, and those that come meanwhile are dropped and counted, as are
// those that can't be written. None of that is an error of who writes: the reasons tell.
type logWriter struct {
	w        io.Writer
	patience time.Duration
	told     func(lost int, since time.Time) []byte // the line that tells of lines that were lost
	lines    chan logLine
	closed   chan struct{}

	turn  sync.Mutex // of who hands over a line and waits for it
	mu    sync.Mutex // guards what follows, and is never held while something is written
	since time.Time  // when the line was begun that is not written yet; zero: lines pass
	lost  int        // lines since then

	failed error     // why the last line could not be written
	fails  int       // lines in a row that could not
	began  time.Time // when the first of them was to be
}

// logLine is one line on its way; written is closed once it is there and lines pass again.
type logLine struct {
	text    []byte
	written chan struct{}
}

// newLogWriter starts the one goroutine that writes; Close ends it.
func newLogWriter(w io.Writer, told func(lost int, since time.Time) []byte) *logWriter {
	l := &logWriter{w: w, patience: logPatience, told: told, lines: make(chan logLine), closed: make(chan struct{})}
	go l.run()
	return l
}

// Write implements io.Writer. It takes no longer than its patience for all who call it at once.
func (l *logWriter) Write(p []byte) (int, error) {
	l.turn.Lock()
	defer l.turn.Unlock()
	if l.drop() {
		return len(p), nil
	}
	line, began := logLine{bytes.Clone(p), make(chan struct{})}, time.Now()
	select {
	case l.lines <- line: // lines pass, so the goroutine waits for one
	case <-l.closed: // whoever is left says nothing that matters any more
		return len(p), nil
	}
	timer := time.NewTimer(l.patience)
	defer timer.Stop()
	select {
	case <-line.written:
	case <-timer.C:
		l.giveUp(line, began)
	}
	return len(p), nil
}

// drop counts a line that is lost, and returns false where lines pass.
func (l *logWriter) drop() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.since.IsZero() {
		return false
	}
	l.lost++
	return true
}

// giveUp waits no longer for a line, which may have come through at this very moment.
func (l *logWriter) giveUp(line logLine, began time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-line.written:
	default:
		l.since = began
	}
}

func (l *logWriter) run() {
	for {
		var again <-chan time.Time
		if l.failing() {
			again = time.After(logRetry)
		}
		select {
		case <-l.closed:
			return
		case <-again: // the next line may come in an hour
			l.catchUp()
		case line := <-l.lines:
			l.write(line.text)
			for lost, since := l.wrote(line, 0); lost > 0; lost, since = l.wrote(line, lost) {
				l.write(l.told(lost, since))
			}
		}
	}
}

func (l *logWriter) failing() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.fails > 0
}

// write writes one line, and after those that could not be written a line that tells of them.
func (l *logWriter) write(text []byte) {
	began := time.Now()
	_, err := l.w.Write(text)
	if err == nil {
		l.catchUp()
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fails == 0 {
		l.began = began
	}
	l.failed = err
	l.fails++
}

// catchUp tells of the lines that could not be written, if there are any.
func (l *logWriter) catchUp() {
	l.mu.Lock()
	fails, since := l.fails, l.began
	l.mu.Unlock()
	if fails == 0 {
		return
	}
	_, err := l.w.Write(l.told(fails, since))
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failed = err; err == nil {
		l.fails = 0
	}
}

// wrote lets lines pass again, unless lines were lost of which the log has not been told: those and since when.
func (l *logWriter) wrote(line logLine, told int) (lost int, since time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lost -= told; l.lost > 0 {
		return l.lost, l.since
	}
	l.since = time.Time{}
	close(line.written)
	return 0, l.since
}

// reasons is why not all is well, if it is not.
func (l *logWriter) reasons() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case !l.since.IsZero():
		return []string{notWritten(l.since, l.lost) + "whoever reads the daemon's stderr has stopped"}
	case l.fails > 0:
		return []string{notWritten(l.began, l.fails) + l.failed.Error()}
	}
	return nil
}

func notWritten(since time.Time, lost int) string {
	are := "are"
	if lost == 1 {
		are = "is"
	}
	return fmt.Sprintf("the log takes no lines since %s UTC, %d %s lost: ", since.UTC().Format(time.DateTime), lost, are)
}

// Close ends the goroutine, after a write under way. It is called once; what is written afterwards is lost.
func (l *logWriter) Close() { close(l.closed) }
