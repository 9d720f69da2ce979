package service

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/sirupsen/logrus"
	"golang.org/x/term"

	"etcd-rolling-backup/daemon/status"
	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/internal/printable"
	"etcd-rolling-backup/metrics"
	"etcd-rolling-backup/snapshot"
)

// NewLogger makes a logger that writes to w.
func NewLogger(c config.Log, w io.Writer) *logrus.Logger {
	log := logrus.New()
	log.SetOutput(w)
	level, _ := logrus.ParseLevel(c.Level.String()) // knows all of them
	log.SetLevel(level)
	if c.JSON {
		log.SetFormatter(jsonLines{logrus.JSONFormatter{TimestampFormat: time.RFC3339Nano}})
	} else {
		log.SetFormatter(&logrus.TextFormatter{FullTimestamp: true, TimestampFormat: time.RFC3339})
	}
	log.AddHook(oneLine{})
	return log
}

// jsonLines are safe to show on a terminal.
type jsonLines struct{ logrus.JSONFormatter }

// Format implements logrus.Formatter.
func (j jsonLines) Format(e *logrus.Entry) ([]byte, error) {
	line, err := j.JSONFormatter.Format(e)
	return printable.JSON(line), err
}

// oneLine is a hook that makes one line of joined errors, with the remedy, and of messages. On a terminal logrus prints messages as they are.
type oneLine struct{}

func (oneLine) Levels() []logrus.Level { return logrus.AllLevels }

func (oneLine) Fire(e *logrus.Entry) error {
	e.Message = printable.Text(e.Message)
	if err, ok := e.Data["error"].(error); ok {
		e.Data["error"] = ErrorLine(err)
	}
	return nil
}

// newDaemonLogger makes a logger that never waits for stderr.
func newDaemonLogger(c config.Log, stderr io.Writer) (*logrus.Logger, *LogWriter) {
	log := NewLogger(c, stderr)
	w := NewLogWriter(stderr, func(lost int, since time.Time) []byte { return lostLine(log, lost, since) })
	if f, ok := log.Formatter.(*logrus.TextFormatter); ok { // it recognizes a terminal by its file, which w hides
		file, is := stderr.(*os.File)
		f.ForceColors = is && term.IsTerminal(int(file.Fd()))
	}
	log.SetOutput(w)
	return log, w
}

// lostLine has the form of the logger's own lines, at any level.
func lostLine(log *logrus.Logger, lost int, since time.Time) []byte {
	e := log.WithFields(logrus.Fields{"lost": lost, "since": since.Local().Format(time.RFC3339)})
	e.Level = logrus.WarnLevel //nolint:forbidigo // a level, and not the global logger
	e.Time, e.Message = time.Now(), "log lines lost: they could not be written"
	text, err := log.Formatter.Format(e)
	if err != nil {
		return fmt.Appendf(nil, "%s: %v\n", e.Message, err)
	}
	return text
}

// ErrorLine is an error's text in one line, with the remedy where the error itself cannot know it.
func ErrorLine(err error) string {
	text := err.Error()
	if _, has := errors.AsType[remedied](err); has {
		return config.OneLine(text)
	}
	switch {
	case errors.Is(err, metrics.ErrListen) && errors.Is(err, syscall.EADDRINUSE):
		text += " (--listen: use another address, or off; is a daemon running already?)"
	case errors.Is(err, metrics.ErrListen) && errors.Is(err, syscall.EACCES):
		text += " (--listen: this user may not use that port: use one above 1023)"
	case errors.Is(err, metrics.ErrListen):
		text += " (--listen: use an address of this machine, or :PORT for all of them)"
	case errors.Is(err, syscall.EROFS):
		text += " (" + readOnlyHint(err) + ")"
	case errors.Is(err, syscall.EIO) || errors.Is(err, syscall.EUCLEAN):
		text += " (the disk is failing: `dmesg` says why)"
	case errors.Is(err, syscall.ESTALE):
		text += " (the NFS server no longer has it: mount it again)"
	case errors.Is(err, fs.ErrPermission) && os.Geteuid() != 0: // in a container nobody sees which user that is
		text += fmt.Sprintf(" (this process is user %d, group %d: give it the right, or run it as another user)", os.Geteuid(), os.Getegid())
	case errors.Is(err, snapshot.ErrUnusableDir):
		text += " (--dir: use one that exists and that this user may write to)"
	}
	return config.OneLine(text)
}

// remedied is an error that prints its ErrorLine, for those who do not know it.
type remedied struct{ error }

// withRemedy makes the error of a run a remedied one: the status and /readyz show its text.
func withRemedy(err error) error {
	if err == nil {
		return nil
	}
	return remedied{err}
}

func (r remedied) Error() string { return ErrorLine(r.error) }
func (r remedied) Unwrap() error { return r.error }

const (
	logQueue    = 256              // lines that wait for a slow reader before further ones are lost
	logPatience = time.Second      // how long one line may take to be written before the log counts as blocked
	logFlush    = time.Second      // how long Close waits for the lines in the queue
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
	if began := time.Now(); l.put(line, began) != nil {
		l.lose(began)
	} else if len(l.lines) == 0 {
		l.writeReport()
	}
}

func (l *LogWriter) writeReport() {
	lost, since := l.unreported()
	if lost > 0 && l.report != nil && l.put(l.report(lost, since), time.Now()) == nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.lost -= lost
	}
}

func (l *LogWriter) put(text []byte, began time.Time) error {
	l.mu.Lock()
	l.began = began
	l.mu.Unlock()
	_, err := l.w.Write(text)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.began, l.failed = time.Time{}, err
	return err
}

// lose counts a lost line.
func (l *LogWriter) lose(at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
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
func (l *LogWriter) problems() []status.Problem {
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
	text := fmt.Sprintf("log output %s since %s, %d log lines lost%s", what, status.Absolute(since), l.lost, why)
	return []status.Problem{{Code: "log", Text: text, Since: since}}
}
