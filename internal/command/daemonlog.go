package command

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/urfave/cli/v2"
	"golang.org/x/term"
)

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
	e.Time, e.Message = time.Now(), "lines of the log are lost: they could not be written"
	text, err := log.Formatter.Format(e)
	if err != nil {
		return fmt.Appendf(nil, "%s: %v\n", e.Message, err)
	}
	return text
}
