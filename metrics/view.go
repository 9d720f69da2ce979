package metrics

import (
	"html/template"
	"time"
)

// view is what the page shows, in its words. The template escapes all of it but the style sheet, which is ours.
type view struct {
	Version, Node           string
	Style                   template.CSS
	Now                     moment
	Mood, Headline, Summary string
	Trouble                 string // etcd's, beside the headline
	Reasons                 []string
	Facts                   []fact
	Restore                 *restoreView
	Plots                   []plot
	Crosses                 bool // the plots have some
	Problems                []problemView
	Rows                    []rowView
	More, Nothing           string
	Verify, Drill           bool
}

type moment struct{ Machine, Absolute string }

func at(t time.Time) moment { return moment{t.UTC().Format(time.RFC3339), absolute(t)} }

type fact struct {
	Label, Value string
	More         []string
	Tone         string // "", bad: a reason for not being well, warn: etcd's trouble and not the backup's
}

const (
	bad  = "bad"
	warn = "warn"
)

type restoreView struct {
	Command, Name, Ago, From string
	Newest                   bool
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
	Tags                      []tag
	Verified, Drilled         verdictView
}

type tag struct {
	Text, Tone string // Tone: "", wait, bad
}

// verdictView has no text when there is no verdict yet; None says so.
type verdictView struct {
	Label, Text, None string
	Bad               bool
}
