package page_test

import (
	"fmt"
	"html"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"etcd-rolling-backup/daemon/status"
	"etcd-rolling-backup/internal/statustest"
	"etcd-rolling-backup/metrics/page"
	"etcd-rolling-backup/snapshot"
)

const (
	mib = statustest.MiB
	gib = statustest.GiB
)

var noon = statustest.Noon()

func options() page.Options {
	return page.Options{
		Version: "1.2.3", Node: statustest.Node,
		RestoreCommand: func(n snapshot.Name, from status.Place) string {
			return fmt.Sprintf("etcd-rolling-backup restore --from %s --data-dir /var/lib/etcd %s", from, n)
		},
	}
}

// render draws the page of a tracker at noon.
func render(t testing.TB, tr *status.Tracker, o page.Options) string {
	t.Helper()
	s := tr.State()
	body, err := page.Render(s, s.Problems(noon), 41*gib, noon, o)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// show is render with the usual options.
func show(t testing.TB, tr *status.Tracker) string {
	t.Helper()
	return render(t, tr, options())
}

// serve serves a page until the test ends, with the policy that belongs to it, and gives its URL.
func serve(t *testing.T, body string) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Security-Policy", page.SecurityPolicy)
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write([]byte(body))
	}))
	t.Cleanup(s.Close)
	return s.URL + "/"
}

// wantTexts wants each in the page.
func wantTexts(t *testing.T, body string, want ...string) {
	t.Helper()
	for _, w := range want {
		if !strings.Contains(body, w) {
			t.Errorf("the page lacks %q", w)
		}
	}
}

// wantState wants the color and the headline, which the title begins with.
func wantState(t *testing.T, body, mood, headline string) {
	t.Helper()
	wantTexts(t, body, `<section class="state `+mood+`"`, "<h1>"+headline+"</h1>", "<title>"+headline+" – ")
	if strings.Count(body, "<h1>") != 1 {
		t.Error("more than one headline")
	}
}

// errorsOf are the page's last errors as text.
func errorsOf(body string) []string {
	_, list, _ := strings.Cut(body, `<ol class="errors">`)
	list, _, _ = strings.Cut(list, "</ol>")
	var out []string
	for _, item := range strings.Split(list, "<li>")[1:] {
		out = append(out, textOf(strings.ReplaceAll(item, "<br>", ": ")))
	}
	return out
}

func textOf(s string) string {
	return strings.TrimSpace(html.UnescapeString(regexp.MustCompile(`<[^>]*>`).ReplaceAllString(s, "")))
}

// factOf is the text of one figure: its value and what stands below it.
func factOf(body, label string) string {
	_, after, ok := strings.Cut(body, "<dt>"+label+"</dt>")
	if !ok {
		return ""
	}
	after, _, _ = strings.Cut(after, "</div>")
	return textOf(strings.ReplaceAll(after, "</dd><dd", "</dd>; <dd"))
}

// restores is the place and name of the restore command, "" where there is none.
func restores(body string) string {
	_, line, _ := strings.Cut(body, "restore --from ")
	line, _, _ = strings.Cut(line, "</code>")
	return strings.Replace(line, " --data-dir /var/lib/etcd", "", 1)
}

// newestTags are those of the table's first row, with a ! after those in the bad color.
func newestTags(body string) string {
	_, cell, _ := strings.Cut(body, `class="tags">`)
	cell, _, _ = strings.Cut(cell, "</td>")
	var out []string
	for _, part := range strings.Split(cell, `<span class="tag`)[1:] {
		text, _, _ := strings.Cut(part[strings.Index(part, ">")+1:], "<")
		if strings.HasPrefix(part, " bad") {
			text += "!"
		}
		out = append(out, text)
	}
	return strings.Join(out, "|")
}

// tracker is one of a daemon at noon, with the copies in both places and the next snapshot due in an hour.
func tracker(o status.Options, copies []status.Copy) *status.Tracker {
	o.Now = statustest.Noon
	tr := status.New(o)
	statustest.Fill(tr, copies)
	tr.Schedule(status.Snapshot, noon.Add(time.Hour), time.Hour)
	return tr
}

// everything are the options of a daemon with a bucket and drills.
func everything() status.Options { return status.Options{Mirror: true, Drill: true} }
