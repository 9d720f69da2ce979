package service

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"syscall"
	"time"

	"github.com/sirupsen/logrus"
	"golang.org/x/term"

	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/metrics"
	"etcd-rolling-backup/snapshot"
)

// NewLogger makes a logger that writes to w.
func NewLogger(c config.Log, w io.Writer) *logrus.Logger {
	log := logrus.New()
	log.SetOutput(w)
	log.SetLevel(map[slog.Level]logrus.Level{
		slog.LevelDebug: logrus.DebugLevel, slog.LevelInfo: logrus.InfoLevel, slog.LevelWarn: logrus.WarnLevel, slog.LevelError: logrus.ErrorLevel, //nolint:forbidigo // levels, and not the global logger
	}[c.Level])
	if c.JSON {
		log.SetFormatter(&logrus.JSONFormatter{TimestampFormat: time.RFC3339Nano})
	} else {
		log.SetFormatter(&logrus.TextFormatter{FullTimestamp: true, TimestampFormat: time.RFC3339})
	}
	log.AddHook(oneLine{})
	return log
}

// oneLine is a hook that makes one line of joined errors.
type oneLine struct{}

func (oneLine) Levels() []logrus.Level { return logrus.AllLevels }

func (oneLine) Fire(e *logrus.Entry) error {
	if err, ok := e.Data["error"].(error); ok {
		e.Data["error"] = config.OneLine(err.Error())
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
	switch {
	case errors.Is(err, metrics.ErrListen) && errors.Is(err, syscall.EADDRINUSE):
		text += " (--listen: use another address, or off; is a daemon running already?)"
	case errors.Is(err, metrics.ErrListen) && errors.Is(err, syscall.EACCES):
		text += " (--listen: this user may not use that port: use one above 1023)"
	case errors.Is(err, metrics.ErrListen):
		text += " (--listen: use an address of this machine, or :PORT for all of them)"
	case errors.Is(err, syscall.EROFS): // systemd's sandbox does it as well as the kernel
		text += " (the file system is read-only: `dmesg` says why; remount it writable, or add the directory to the unit's ReadWritePaths=)"
	case errors.Is(err, syscall.EIO) || errors.Is(err, syscall.EUCLEAN):
		text += " (the disk is failing: `dmesg` says why)"
	case errors.Is(err, syscall.ESTALE):
		text += " (the NFS server no longer has it: mount it again)"
	case errors.Is(err, snapshot.ErrUnusableDir):
		text += " (--dir: use one that exists and that this user may write to)"
	}
	return config.OneLine(text)
}
