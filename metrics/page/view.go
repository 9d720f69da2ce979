package page

import (
	"html/template"
	"time"

	"etcd-rolling-backup/daemon/status"
)

// view has the texts of the page. The template escapes all of them except the style sheet, which is ours.
type view struct {
	Version, Node           string
	Style                   template.CSS
	Now                     moment
	Mood, Headline, Summary string
	Reasons                 []string
	Facts                   []fact
	Restore                 *restoreView
	Plots                   []plot
	Crosses                 bool   // the plots show damaged copies
	Gaps                    string // of the journal; "": none
	Problems                []problemView
	Rows                    []rowView
	More, Nothing, NoErrors string
	Verify, Drill           bool
}

type moment struct{ Machine, Absolute string }

func at(t time.Time) moment { return moment{t.UTC().Format(time.RFC3339), status.Absolute(t)} }

type fact struct {
	Label, Value string
	More         []string
	Tone         string // "", bad: a problem, warn: it may pass
}

const (
	bad  = "bad"
	warn = "warn"
)

type restoreView struct {
	Command, Name, Ago, From string
	Newest                   bool
	Journal                  bool // the command goes on with it
	Doubts                   string
	Notes                    []string
}

type problemView struct {
	What, Name, Often, Ago, Message string
	When                            moment
}

type rowView struct {
	When                      moment
	Age, Name, Size, Revision string
	Keys                      string
	Tags                      []tag
	Verified, Drilled         verdictView
}

type tag struct {
	Text, Tone string // Tone: "", wait, bad
}

// verdictView is the result of a verification or drill. Without one, Text is empty and None is read to screen readers.
type verdictView struct {
	Label, Text, None string
	Bad               bool
}
