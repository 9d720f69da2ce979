package page_test

import (
	"html"
	"strings"
	"testing"
	"time"
	"unicode"

	"etcd-rolling-backup/daemon/status"
	"etcd-rolling-backup/internal/printable"
	"etcd-rolling-backup/internal/statustest"
	"etcd-rolling-backup/snapshot"
)

// Names and errors from elsewhere control no terminal into which somebody pastes the page or its command.
func TestPageHasOnlyPrintableText(t *testing.T) {
	const hidden = "n\u009b31mx\u202ey\x1b[2J\x07"
	o := options()
	o.Node, o.Version = hidden, hidden
	o.RestoreCommand = func(n snapshot.Name, _ status.Place) string {
		return printable.Command("restore", n.String(), "--name", hidden)
	}
	tr := tracker(everything(), []status.Copy{statustest.Taken(noon.Add(-time.Hour), 1, 1)})
	tr.End(status.Mirror, noon, status.Outcome{Reason: status.Other, Message: "S3 answers " + hidden})
	body := render(t, tr, o)
	for _, r := range body {
		if !unicode.IsPrint(r) && r != '\n' && r != '\t' {
			t.Fatalf("the page has %q", r)
		}
	}
	text := html.UnescapeString(body)
	for _, want := range []string{`S3 answers n\u009b31mx\u202ey\x1b[2J\x07`, `--name $'n\302\23331mx\342\200\256y\033[2J\007'`} {
		if !strings.Contains(text, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
}
