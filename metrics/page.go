package metrics

import (
	"bytes"
	"embed"
	"html/template"
	"slices"
	"time"
)

// maxRows is how many snapshots the page's table shows; the plot shows all.
const maxRows = 50

//go:embed page
var pageFiles embed.FS

// loadPage reads the page's template and style sheet, which are part of the program.
func loadPage() (*template.Template, template.CSS, error) {
	t, err := template.ParseFS(pageFiles, "page/*.html")
	if err != nil {
		return nil, "", err
	}
	css, err := pageFiles.ReadFile("page/page.css")
	return t, template.CSS(css), err
}

// page is the status page as it is now. It is made in full before a byte is sent.
func (m *Metrics) page() ([]byte, error) {
	t, css, err := loadPage()
	if err != nil {
		return nil, err
	}
	free, known := m.free()
	if !known {
		free = -1
	}
	v := m.view(m.o.Now(), free)
	v.Style = css
	var b bytes.Buffer
	if err := t.ExecuteTemplate(&b, "page.html", v); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// view takes all from the state in one piece, so that the page does not contradict itself, and draws after that.
func (m *Metrics) view(now time.Time, free int64) view {
	v, rows := m.look(now, free)
	mirrored := m.o.Mirror
	if len(rows) > 0 {
		for _, p := range []struct {
			id          string
			width, left int
		}{{"wide", 900, 96}, {"middle", 600, 90}, {"narrow", 320, 80}} {
			v.Plots = append(v.Plots, newPlot(p.id, p.width, p.left, rows, mirrored, now))
		}
		v.Crosses = slices.ContainsFunc(rows, func(r row) bool { return len(r.damaged) > 0 })
		v.Restore = m.restore(rows, now)
	}
	if len(rows) > maxRows {
		v.More = "The newest " + grouped(maxRows) + " of " + grouped(int64(len(rows))) + "; the timeline shows all of them."
		rows = rows[:maxRows]
	}
	for _, r := range rows {
		v.Rows = append(v.Rows, r.view(now, m.o))
	}
	return v
}

func (m *Metrics) look(now time.Time, free int64) (view, []row) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.state
	rows := s.rows()
	v := view{
		Version: m.o.Version, Node: m.o.Node, Now: at(now), Reasons: s.reasons(now), Facts: s.facts(rows, now, free),
		Summary: s.summary(rows, now), Nothing: "None yet. The first is taken as soon as etcd can be reached.",
		Verify: m.o.Verify, Drill: m.o.Drill,
	}
	s.headline(&v)
	for _, p := range s.problems {
		v.Problems = append(v.Problems, p.view(now))
	}
	return v, rows
}

// headline is about the backup. etcd's trouble stands beside it where it is the only one, so that all is not said to be well.
func (s *state) headline(v *view) {
	trouble := s.member.trouble()
	switch {
	case !s.rebuilt:
		v.Mood, v.Headline, v.Nothing = "starting", "Starting", "Not known yet."
	case s.unlisted != "":
		v.Mood, v.Headline, v.Nothing = "ill", "Needs attention", "They can't be read now."
	case len(v.Reasons) == 1 && s.awaitsS3():
		v.Mood, v.Headline = "starting", "Starting"
	case len(v.Reasons) > 0:
		v.Mood, v.Headline = "ill", "Needs attention"
	case trouble != "":
		v.Mood, v.Headline, v.Trouble = "well", "Backups are well", "etcd "+trouble
	default:
		v.Mood, v.Headline = "well", "All is well"
	}
}

// restore is about the newest snapshot that has a copy not known to be damaged.
func (m *Metrics) restore(rows []row, now time.Time) *restoreView {
	r, ok := best(rows, now)
	if !ok || m.o.RestoreCommand == nil {
		return nil
	}
	from, _ := r.whole()
	words := "the disk"
	if from == S3 {
		words = "S3"
	}
	return &restoreView{
		Command: m.o.RestoreCommand(r.Name, from), Name: r.Name, Ago: relative(r.Time, now), From: words, Newest: r.Name == past(rows, now)[0].Name,
		Doubts: sentences(r.doubts(m.o.Proves), shrunk(past(rows, now), r)), Notes: m.o.RestoreNotes,
	}
}
