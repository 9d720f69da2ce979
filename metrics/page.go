package metrics

import (
	"bytes"
	"cmp"
	"embed"
	"html/template"
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
		v.Restore = m.restore(rows, now)
	}
	if len(rows) > maxRows {
		v.More = "The newest " + grouped(maxRows) + " of " + grouped(int64(len(rows))) + "; the timeline shows all of them."
		rows = rows[:maxRows]
	}
	for _, r := range rows {
		v.Rows = append(v.Rows, r.view(now, mirrored))
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
		Verify: m.o.Verify, Drill: m.o.Drill,
	}
	v.Mood, v.Headline, v.Summary, v.Nothing = "well", "All is well", s.summary(now), "None yet. The first is taken as soon as etcd can be reached."
	switch {
	case !s.rebuilt:
		v.Mood, v.Headline, v.Nothing = "starting", "Starting", "Not known yet."
	case len(v.Reasons) > 0:
		v.Mood, v.Headline = "ill", "Needs attention"
	}
	for _, p := range s.problems {
		v.Problems = append(v.Problems, problemView{
			What: failedWhat(p.Kind), Ago: relative(p.At, now), When: at(p.At), Message: cmp.Or(p.Message, string(p.Reason)),
		})
	}
	return v, rows
}

// restore is about the newest snapshot that is not known to be damaged.
func (m *Metrics) restore(rows []row, now time.Time) *restoreView {
	if m.o.RestoreCommand == nil {
		return nil
	}
	for i, r := range rows {
		if r.damaged {
			continue
		}
		from, words := Local, "the disk"
		if !r.local {
			from, words = S3, "S3"
		}
		return &restoreView{
			Command: m.o.RestoreCommand(r.Name, from), Name: r.Name, Ago: relative(r.Time, now), From: words, Newest: i == 0,
		}
	}
	return nil
}

func failedWhat(k Kind) string {
	switch k {
	case Snapshots:
		return "Snapshot failed"
	case Mirror:
		return "Mirroring failed"
	case Verify:
		return "Verification failed"
	case Drill:
		return "Restore drill failed"
	}
	return "Failed"
}
