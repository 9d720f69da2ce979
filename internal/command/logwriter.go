package command

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/urfave/cli/v2"
	"golang.org/x/term"
)

// logPatience is how long one line may take to be written. A pipe that is full takes none for as long as its reader lives and
// reads nothing.
const logPatience = time.Second

// logWriter keeps a log that takes no lines from holding up those who write to it. Each line is waited for, so that the order is kept and
// the last ones are not lost; one that is not written in time goes on alone, and those that come meanwhile are dropped and counted. That
// a line can't be written at all is no error: there is nobody to tell.
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

// daemonLogger is newLogger with a logWriter before stderr, which also gets the one line of an error that Main writes at the end.
func daemonLogger(c *cli.Context, stderr io.Writer) (*logrus.Logger, *logWriter, error) {
	log, err := newLogger(c, stderr)
	if err != nil {
		return nil, nil, err
	}
	w := newLogWriter(stderr, func(lost int, since time.Time) []byte { return lostLine(log, lost, since) })
	if f, ok := log.Formatter.(*logrus.TextFormatter); ok { // it knows a terminal by its file, which it sees no more
		file, is := stderr.(*os.File)
		f.ForceColors = is && term.IsTerminal(int(file.Fd()))
	}
	log.SetOutput(w)
	c.App.ErrWriter = w
	return log, w, nil
}

// lostLine has the logger's form, and none of its locks: somebody may hold them who waits for this line.
func lostLine(log *logrus.Logger, lost int, since time.Time) []byte {
	e := log.WithFields(logrus.Fields{"lost": lost, "since": since.Local().Format(time.RFC3339)})
	e.Level = logrus.WarnLevel //nolint:forbidigo // a level, and not the global logger
	e.Time, e.Message = time.Now(), "lines of the log are lost: whoever reads stderr had stopped"
	text, err := log.Formatter.Format(e)
	if err != nil {
		return fmt.Appendf(nil, "%s: %v\n", e.Message, err)
	}
	return text
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
		select {
		case <-l.closed:
			return
		case line := <-l.lines:
			_, _ = l.w.Write(line.text)
			for lost, since := l.wrote(line, 0); lost > 0; lost, since = l.wrote(line, lost) {
				_, _ = l.w.Write(l.told(lost, since))
			}
		}
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
	if l.since.IsZero() {
		return nil
	}
	are := "are"
	if l.lost == 1 {
		are = "is"
	}
	return []string{fmt.Sprintf("the log takes no lines since %s UTC, %d %s lost: whoever reads the daemon's stderr has stopped",
		l.since.UTC().Format(time.DateTime), l.lost, are)}
}

// Close ends the goroutine, after a write under way. It is called once; what is written afterwards is lost.
func (l *logWriter) Close() { close(l.closed) }
