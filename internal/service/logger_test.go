package service

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/sirupsen/logrus"
)

// A log line tells errors that were joined as one line, in both forms.
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
