package metrics_test

import (
	"html"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"etcd-rolling-backup/metrics"
)

// errorsOf are the page's last errors as text.
func errorsOf(page string) []string {
	_, list, _ := strings.Cut(page, `<ol class="errors">`)
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

func TestLastErrors(t *testing.T) {
	now := noon
	x, y := history(now)[0].Name, history(now)[1].Name
	fail := func(k metrics.Kind, at time.Time, name string, r metrics.Reason, message string) func(*metrics.Metrics) {
		return func(m *metrics.Metrics) { m.Failed(k, at, name, r, message) }
	}
	at := func(minutes int) time.Time { return now.Add(time.Duration(minutes) * time.Minute) }
	down := func(minutes int) func(*metrics.Metrics) {
		return fail(metrics.Snapshots, at(minutes), "", metrics.Unreachable, "refused")
	}
	for name, c := range map[string]struct {
		story []func(*metrics.Metrics)
		want  []string
	}{
		"one": {[]func(*metrics.Metrics){down(-1)}, []string{"Snapshot failed 1 min ago, 2026-11-22 12:11:30 UTC: refused"}},
		"equal ones are one": {
			[]func(*metrics.Metrics){down(-3), fail(metrics.Mirror, at(-3), "", metrics.Host, "m"), down(-2), down(-1)},
			[]string{"Snapshot failed 3 times since 12:09:30, the last 1 min ago, 2026-11-22 12:11:30 UTC: refused", "Mirroring failed 3 min ago, 2026-11-22 12:09:30 UTC: m"},
		},
		"over midnight": {
			[]func(*metrics.Metrics){down(-24 * 60), down(-1)},
			[]string{"Snapshot failed 2 times since 2026-11-21 12:12:30 UTC, the last 1 min ago, 2026-11-22 12:11:30 UTC: refused"},
		},
		"another between": {
			[]func(*metrics.Metrics){down(-3), fail(metrics.Snapshots, at(-2), "", metrics.Stalled, "stalled"), down(-1)},
			[]string{"Snapshot failed 1 min ago", "Snapshot failed 2 min ago", "Snapshot failed 3 min ago"},
		},
		"the snapshot is named": {
			[]func(*metrics.Metrics){fail(metrics.Drill, at(-2), x, metrics.Start, "m"), fail(metrics.Drill, at(-1), y, metrics.Start, "m")},
			[]string{"Restore drill failed " + y + " 1 min ago", "Restore drill failed " + x + " 2 min ago"},
		},
		"damage is told once": {
			[]func(*metrics.Metrics){
				fail(metrics.Verify, at(-2), x, metrics.Damaged, "page 17"), fail(metrics.Drill, at(-2), x, metrics.Damaged, "page 17"),
				fail(metrics.Verify, at(-1), x, metrics.Damaged, "page 17"), fail(metrics.Drill, at(-1), x, metrics.Damaged, "page 17"),
				fail(metrics.Drill, at(-1), y, metrics.Damaged, "page 17"),
			},
			[]string{"Verification failed " + x + " 2 times since 12:10:30, the last 1 min ago", "Restore drill failed " + y + " 1 min ago"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := metrics.New(options(&now))
			m.Rebuilt()
			for _, f := range c.story {
				f(m)
			}
			_, page := get(t, m, "/")
			if got := errorsOf(page); !slices.EqualFunc(got, c.want, strings.HasPrefix) {
				t.Errorf("has\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(c.want, "\n"))
			}
		})
	}
}

// TestFutureIsNotNewest: a snapshot of a clock that was wrong is passed over by all that tells of the newest, and says why.
func TestFutureIsNotNewest(t *testing.T) {
	now := noon
	m := metrics.New(options(&now))
	future, today := taken(now.Add(3*time.Hour), 7*mib, 7), taken(now.Add(-time.Hour), 3*mib, 3)
	m.Inventory(metrics.Local, []metrics.Snapshot{future, today})
	m.Inventory(metrics.S3, nil)
	m.Rebuilt()
	_, page := get(t, m, "/")
	for _, want := range []string{"Last good snapshot 1 h ago", "restore --from local --data-dir /var/lib/etcd " + today.Name, "Restore the newest</h2>", "The newest has 3.0 MiB"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if got := newestTags(page); got != "disk|dated in the future" || strings.Count(page, "dated in the future") != 1 {
		t.Errorf("tags %q", got)
	}
	if _, body := get(t, m, "/metrics"); !slices.Contains(ours(body), "newest_revision 3") {
		t.Error("newest_revision is the future's")
	}
	m.Inventory(metrics.Local, []metrics.Snapshot{future})
	_, page = get(t, m, "/")
	if strings.Contains(page, "restore --from") || !strings.Contains(page, "here is no snapshot on the disk yet") {
		t.Error("the future's alone is taken for the newest")
	}
}

// TestSmallWords holds what is copied from the page, read aloud or seldom seen.
func TestSmallWords(t *testing.T) {
	now := noon
	m := well(&now)
	_, page := get(t, m, "/")
	for _, want := range []string{
		`</time> <span class="soft">12 min ago</span> <span class="name">`, `<pre tabindex="0" role="group" aria-label="Command">`,
		`<meta http-equiv="refresh" content="300">`, `<a href="">refresh</a>`, "of this node, ",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
	if strings.Contains(page, "a copy is damaged") {
		t.Error("a legend for a cross that there is not")
	}
	m.Schedule(metrics.Snapshots, now.Add(300*time.Millisecond), time.Hour)
	m.Schedule(metrics.Drill, now, time.Hour)
	_, page = get(t, m, "/")
	for _, want := range []string{"next is due now.", `<dt>Next snapshot</dt><dd class="value">due now</dd>`, `<dd class="more">next is due now</dd>`} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
}

// TestUnprovenIsSeen: what was not verified or drilled is a dash in a table with columns, and words where there are none.
func TestUnprovenIsSeen(t *testing.T) {
	now := noon
	off := options(&now)
	off.Drill = false
	m := metrics.New(off)
	m.Inventory(metrics.Local, history(now)[:1])
	m.Rebuilt()
	for name, c := range map[string]struct {
		m     *metrics.Metrics
		width int64
		want  []string
	}{
		"wide":       {slowS3(&now), 1200, []string{"–", "–"}},
		"narrow":     {slowS3(&now), 768, []string{"not verified", "not drilled"}},
		"phone":      {slowS3(&now), 360, []string{"not verified", "not drilled"}},
		"drills off": {m, 360, []string{"not verified"}},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := chromedp.NewContext(browser(t))
			defer cancel()
			var got []string
			err := chromedp.Run(ctx, emulation.SetDeviceMetricsOverride(c.width, 900, 1, false), chromedp.Navigate(serve(t, c.m.Handler())+"/"),
				chromedp.Evaluate(`[...document.querySelectorAll('tbody tr:first-child td.none span')].filter((e) => e.getBoundingClientRect().width > 2).map((e) => e.textContent)`, &got))
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("shows %q, want %q", got, c.want)
			}
		})
	}
}
