package service

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sirupsen/logrus"

	"etcd-rolling-backup/internal/printable"
)

// A log line has joined errors in one line, in both formats.
func TestErrorsAreOneLineInTheLog(t *testing.T) {
	for _, format := range []logrus.Formatter{&logrus.TextFormatter{}, &logrus.JSONFormatter{}} {
		var b bytes.Buffer
		log := logrus.New()
		log.SetOutput(&b)
		log.SetFormatter(format)
		log.AddHook(oneLine{})
		log.WithError(errors.Join(errors.New("a is damaged"), errors.New("b is damaged"))).Error("failed")
		if !strings.Contains(b.String(), `"a is damaged; b is damaged"`) {
			t.Errorf("%s", b.String())
		}
	}
}

// Names and errors from elsewhere control no terminal, in neither format. JSON keeps their meaning.
func TestLogLinesAreSafeToShow(t *testing.T) {
	const name = "n\u009b31m\u202e\x1b[2J"
	for _, format := range []string{"text", "json"} {
		var b bytes.Buffer
		log := NewLogger(read(t, "--log-format="+format).Log, &b)
		if text, ok := log.Formatter.(*logrus.TextFormatter); ok {
			text.DisableColors = true
		}
		log.WithFields(logrus.Fields{"member": name, "names": []string{name}}).WithError(errors.New(name)).Error("m " + name)
		line := strings.TrimSuffix(b.String(), "\n")
		if printable.Text(line) != line {
			t.Errorf("%q", line)
		}
		var got struct{ Member string }
		if format == "json" {
			must(t, json.Unmarshal([]byte(line), &got))
			if got.Member != name {
				t.Errorf("the member is %q", got.Member)
			}
		}
	}
}

// On a terminal, messages are not quoted.
func TestMessagesAreSafeToShowOnATerminal(t *testing.T) {
	var b bytes.Buffer
	log := NewLogger(read(t).Log, &b)
	log.SetFormatter(&logrus.TextFormatter{ForceColors: true})
	log.Error("m \u009b31m\u202e")
	if line := b.String(); !strings.Contains(line, `m \u009b31m\u202e`) {
		t.Errorf("%q", line)
	}
}

// The report of lost lines has the form of the log, at any level.
func TestLostLine(t *testing.T) {
	for _, format := range []string{"text", "json"} {
		synctest.Test(t, func(t *testing.T) {
			out := newGate()
			log, l := newDaemonLogger(read(t, "--log-format="+format, "--log-level=error").Log, out)
			defer l.Close()
			log.Error("a")
			synctest.Wait()
			for range logQueue {
				log.Error("q")
			}
			since := time.Now().Local().Format(time.RFC3339)
			log.Error("lost")
			close(out.pass)
			synctest.Wait()
			lines := strings.SplitAfter(out.String(), "\n")
			text := lines[len(lines)-2]
			const says = "log lines lost: they could not be written"
			if format == "text" {
				if !strings.HasPrefix(text, "time=") || !strings.HasSuffix(text, ` level=warning msg="`+says+`" lost=1 since="`+since+"\"\n") {
					t.Errorf("got %s", text)
				}
				return
			}
			var got struct {
				Level, Msg, Since string
				Time              time.Time
				Lost              int
			}
			must(t, json.Unmarshal([]byte(text), &got))
			if got.Level != "warning" || got.Msg != says || got.Since != since || got.Lost != 1 || got.Time.IsZero() {
				t.Errorf("got %s", text)
			}
		})
	}
}
