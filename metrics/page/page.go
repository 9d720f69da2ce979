// Package page renders the status page of one State: whether the backups are healthy and why not, how to restore, the snapshots.
//
// Invariants: the page is plain HTML without scripts and further requests; times are in UTC; it is rendered in full before the first
// byte is sent.
package page

import (
	"bytes"
	"embed"
	"html/template"
	"slices"
	"strings"
	"time"

	"etcd-rolling-backup/daemon/status"
	"etcd-rolling-backup/internal/printable"
	"etcd-rolling-backup/snapshot"
)

// SecurityPolicy is the Content-Security-Policy of the page: no script, no request, no embedding in a frame.
const SecurityPolicy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// maxRows is how many snapshots the table shows; the plot shows all.
const maxRows = 50

// Options are the contents of the page that are not in a State.
type Options struct {
	Version string
	Node    string
	// RestoreCommand returns the command line that restores the snapshot from a place; nil: none is shown.
	RestoreCommand func(n snapshot.Name, from status.Place) string
	// RestoreNotes are lines of text below that command.
	RestoreNotes []string
}

//go:embed *.html page.css
var files embed.FS

// Render renders the page. free is how many bytes are free on the disk; below 0: not known.
func Render(s status.State, problems []status.Problem, free int64, now time.Time, o Options) ([]byte, error) {
	t, err := template.ParseFS(files, "*.html")
	if err != nil {
		return nil, err
	}
	css, err := files.ReadFile("page.css")
	if err != nil {
		return nil, err
	}
	p := &painter{State: s, rows: rowsOf(s), now: now, o: o, problems: problems}
	v := p.view(free)
	v.Style = template.CSS(css)
	var b bytes.Buffer
	// Names and errors come from etcd and S3. Whoever copies the page pastes what they contain into a terminal.
	if err := t.ExecuteTemplate(printable.Writer(&b), "page.html", v); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// painter has the input of one page.
type painter struct {
	status.State
	rows []row // newest first
	now  time.Time
	o    Options

	problems []status.Problem
}

func (p *painter) view(free int64) view {
	v := view{
		Version: p.o.Version, Node: p.o.Node, Now: at(p.now), Facts: p.facts(free), Summary: p.summary(), NoErrors: "None.",
		Nothing: "None yet. The first one is taken as soon as etcd answers.", Verify: p.Enabled[status.Verify], Drill: p.Enabled[status.Drill],
	}
	p.headline(&v)
	for _, f := range p.History {
		if p.isAbove(f, v.Reasons) {
			v.NoErrors = "None but those above."
		} else {
			v.Problems = append(v.Problems, failureView(f, p.now))
		}
	}
	rows := p.rows
	if tracks := p.tracks(); len(rows) > 0 {
		for _, size := range []struct {
			id          string
			width, left int
		}{{"wide", 900, 96}, {"middle", 600, 90}, {"narrow", 320, 80}} {
			v.Plots = append(v.Plots, newPlot(size.id, size.width, size.left, rows, p.Enabled[status.Mirror], tracks, p.now))
		}
		v.Gaps = strings.Join(p.gapTexts(), ", ")
		v.Crosses = slices.ContainsFunc(rows, func(r row) bool { return len(r.damaged) > 0 })
		v.Restore = p.restore()
	}
	if len(rows) > maxRows {
		v.More = "The newest " + status.Grouped(maxRows) + " of " + status.Grouped(int64(len(rows))) + "; the timeline shows all of them."
		rows = rows[:maxRows]
	}
	for _, r := range rows {
		v.Rows = append(v.Rows, p.rowView(r))
	}
	return v
}

// restore returns the section with the restore command for the best snapshot.
func (p *painter) restore() *restoreView {
	r, ok := p.best()
	if !ok || p.o.RestoreCommand == nil {
		return nil
	}
	from := r.intact()
	_, words, _ := strings.Cut(from.In(), " ")
	return &restoreView{
		Command: p.o.RestoreCommand(r.Name, from), Name: r.Name.String(), Ago: status.Relative(r.Name.Time, p.now), From: words,
		Newest: r.Name == p.past()[0].Name, Doubts: sentences(r.doubts(p.DrillFrom), p.shrunk(r)), Notes: p.o.RestoreNotes,
		Journal: p.Journal.On,
	}
}
