package metrics_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"etcd-rolling-backup/metrics"
)

const hostile = `<script>alert(1)</script><img src=x onerror=alert(2)>"'&` + "`${7*7}`" + `</style></svg></pre><b>x`

// cases are the pages worth a look, each with words that it has to show.
func cases(now *time.Time) map[string]struct {
	m    *metrics.Metrics
	want []string
} {
	type page = struct {
		m    *metrics.Metrics
		want []string
	}
	fresh := metrics.New(options(now))
	fresh.Inventory(metrics.Local, nil)
	fresh.Schedule(metrics.Snapshots, *now, time.Hour)
	fresh.Rebuilt()
	damaged := well(now)
	for _, p := range []metrics.Place{metrics.Local, metrics.S3} {
		damaged.Inventory(p, history(*now)[:1])
	}
	damaged.Failed(metrics.Verify, *now, history(*now)[0].Name, metrics.Damaged, "page 17")
	damaged.Damaged(metrics.S3, *now, history(*now)[0].Name, "page 18")
	return map[string]page{
		"damaged": {damaged, []string{
			"Needs attention", "The newest, 12 min old, is damaged. Next in 47 min.", "the newest, of 2026-11-22 12:00:00 UTC, is damaged",
		}},
		"well": {well(now), []string{
			"All is well", "Last good snapshot 12 min ago, next in 47 min", "2026-11-22 12:00:00 UTC", "34 snapshots", "41.0 GiB free",
			"--from local --data-dir /var/lib/etcd rolling_node-a_20261122T120000Z.db.zst", "48,291,734", "None since the start", "✓ 10 min ago",
		}},
		"ill": {ill(now), []string{
			"Needs attention", "4 snapshots failed in a row", "5 snapshots wait for it", "amage was found in rolling_node-a_20261122T120000Z",
			"estore drill of rolling_node-a_20261122T110000Z.db.zst failed", "exit status 1", "raises NOSPACE", "passed over",
			"/var/lib/etcd rolling_node-a_20261122T100000Z.db.zst", "waits for S3", "Mirroring failed",
		}},
		"halved": {halved(now), halvedWords()},
		"alarm":  {alarmed(now), []string{"Backups are well, etcd raises NOSPACE"}},
		"away":   {away(now), []string{"Backups are well, etcd does not answer", "since 2026-11-22 12:11:30 UTC; before that it had a leader"}},
		"slow":   {slowS3(now), []string{"Starting", "S3 has not answered since the start", "dated in the future", "not known"}},
		"empty":  {fresh, []string{"Needs attention", "here is no snapshot on the disk yet", "None yet"}},
		"gone": {gone(now), []string{
			"Needs attention", "The snapshots on the disk can't be read: open /backups: no such file or directory",
			"What the last good snapshot is, nobody knows now. Next in 47 min.", "not known", "can't be read", "They can't be read now.",
		}},
		"no room":  {noRoom(now), []string{"All is well", "none yet", "the last one was left out (low_space)", "next in 58 min"}},
		"starting": {metrics.New(options(now)), []string{"Starting", "not known yet"}},
		"first":    {many(now, 1), []string{"All is well", "1 snapshot\n", "Last good snapshot just now", "next in 10 min"}},
		"many":     {many(now, 500), []string{"All is well", "The newest 50 of 500"}},
		"hostile":  {hostilePage(now), []string{hostile}},
	}
}

// halved has a newest of which the copy on the disk is damaged.
func halved(now *time.Time) *metrics.Metrics {
	o := options(now)
	o.RestoreNotes = []string{"Run it on each member.", "Stop etcd on all of them first."}
	m := metrics.New(o)
	list := history(*now)
	m.Inventory(metrics.Local, list)
	m.Inventory(metrics.S3, list[:20])
	m.Rebuilt()
	m.Schedule(metrics.Snapshots, *now, time.Hour)
	m.MirrorDone(now.Add(-9*time.Second), 0)
	m.Failed(metrics.Verify, *now, list[0].Name, metrics.Damaged, "page 17")
	m.Failed(metrics.Drill, *now, list[0].Name, metrics.Damaged, "page 17")
	return m
}

func halvedWords() []string {
	return []string{
		"Last good snapshot 12 min ago, next is due now. Its copy on the disk is damaged, the one in S3 has not been verified.",
		"Damage was found in rolling_node-a_20261122T120000Z.db.zst on the disk", "disk, damaged", "✗ damaged, just now", "✗ a copy is damaged",
		"--from s3 --data-dir /var/lib/etcd rolling_node-a_20261122T120000Z.db.zst", "from S3. Its copy on the disk is damaged",
		"Stop etcd on all of them first.", "in sync as of 9 s ago", "not verified",
	}
}

func alarmed(now *time.Time) *metrics.Metrics {
	m := well(now)
	m.Member(*now, 2*gib, true, []string{"NOSPACE"})
	return m
}

func away(now *time.Time) *metrics.Metrics {
	m := well(now)
	m.MemberAway(now.Add(-time.Minute))
	m.MemberAway(*now)
	return m
}

// gone has lost its directory, and has no bucket.
func gone(now *time.Time) *metrics.Metrics {
	m := metrics.New(metrics.Options{Now: func() time.Time { return *now }})
	m.Inventory(metrics.Local, history(*now)[:3])
	m.Schedule(metrics.Snapshots, now.Add(47*time.Minute+time.Second), time.Hour)
	m.Rebuilt()
	m.Unlisted("open /backups: no such file or directory")
	return m
}

// slowS3 has a first pass under way, and a snapshot of a clock that was wrong.
func slowS3(now *time.Time) *metrics.Metrics {
	m := metrics.New(options(now))
	list := append(history(*now), taken(now.Add(3*time.Hour), mib, 0))
	m.Inventory(metrics.Local, list)
	m.Rebuilt()
	m.Schedule(metrics.Snapshots, now.Add(time.Hour), time.Hour)
	m.Attempt(metrics.Mirror, *now)
	return m
}

// noRoom has had no drill yet, for the only one was left out.
func noRoom(now *time.Time) *metrics.Metrics {
	m := many(now, 2)
	m.Waiting(nil)
	m.Attempt(metrics.Drill, now.Add(-2*time.Minute))
	m.Skipped(metrics.Drill, now.Add(-2*time.Minute), metrics.LowSpace)
	m.Schedule(metrics.Drill, now.Add(58*time.Minute+time.Second), 7*24*time.Hour)
	return m
}

// A drill that was left out is told until one has ended.
func TestSkippedDrillIsTold(t *testing.T) {
	now := noon
	m := noRoom(&now)
	shown := func() bool {
		_, page := get(t, m, "/")
		return strings.Contains(page, "the last one was left out (low_space)")
	}
	if !shown() {
		t.Error("it is not told")
	}
	m.Drilled(now, taken(now, 1, 1).Name, time.Second)
	if shown() {
		t.Error("it is still told after one that passed")
	}
}

// many keeps n snapshots, ten minutes apart.
func many(now *time.Time, n int) *metrics.Metrics {
	m := metrics.New(options(now))
	var list []metrics.Snapshot
	for i := range int64(n) {
		list = append(list, taken(now.Add(-time.Duration(i)*10*time.Minute), 3*gib-i*3*mib+(i*i%17)*20*mib, 7_812_334_981-i*91_000))
	}
	m.Inventory(metrics.Local, list)
	m.Inventory(metrics.S3, list[n/2:])
	m.SnapshotDone(list[0].Time, list[0], 0, 0)
	m.Schedule(metrics.Snapshots, now.Add(10*time.Minute), 10*time.Minute)
	m.Rebuilt()
	return m
}

// hostilePage has names and messages that want to be more than text.
func hostilePage(now *time.Time) *metrics.Metrics {
	o := options(now)
	o.Node, o.Version = strings.Repeat("n", 60)+hostile, hostile
	o.RestoreCommand = func(name string, _ metrics.Place) string {
		return "restore " + strings.Repeat("/very-long", 40) + " " + name
	}
	m := metrics.New(o)
	list := []metrics.Snapshot{taken(now.Add(-time.Hour), 1, 1), taken(now.Add(-2*time.Hour), 1<<62, 1<<62)}
	list[0].Name = strings.Repeat("long", 50) + hostile
	m.Inventory(metrics.Local, list)
	m.Inventory(metrics.S3, nil)
	m.Rebuilt()
	m.Failed(metrics.Drill, *now, list[0].Name, metrics.Other, hostile+strings.Repeat("w", 300))
	m.Failed(metrics.Verify, *now, list[1].Name, metrics.Damaged, "javascript:alert(1)\r\n\x00\x1b[31m"+hostile)
	return m
}

func TestPageInBrowser(t *testing.T) {
	chromium := browser(t)
	now := noon
	for name, c := range cases(&now) {
		url := serve(t, c.m.Handler()) + "/"
		for _, scheme := range []string{"light", "dark"} {
			for _, width := range []int64{360, 768, 1200} {
				t.Run(fmt.Sprintf("%s/%s/%d", name, scheme, width), func(t *testing.T) {
					s, l := look(chromium, t, url, name, width, scheme)
					s.check(t, l, url)
					for _, w := range c.want {
						if !strings.Contains(s.Text, w) {
							t.Errorf("does not show %q in:\n%.1500s", w, s.Text)
						}
					}
					if light := s.Colors == "rgb(246, 245, 241)"; light != (scheme == "light") {
						t.Errorf("background in the %s scheme: %s", scheme, s.Colors)
					}
				})
			}
		}
	}
}

func TestPageHeaders(t *testing.T) {
	now := noon
	r := ask(t, serve(t, well(&now).Handler())+"/")
	for header, want := range map[string]string{
		"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:",
		"Content-Type":            "text/html; charset=utf-8",
		"X-Content-Type-Options":  "nosniff",
		"Cache-Control":           "no-store",
	} {
		if got := r.header.Get(header); !strings.HasPrefix(got, want) {
			t.Errorf("%s: %q, want %q", header, got, want)
		}
	}
}

// TestPageIsOneFile looks for anything that would make a browser ask for more.
func TestPageIsOneFile(t *testing.T) {
	now := noon
	_, body := get(t, well(&now), "/")
	for _, word := range []string{"<script", "src=", "@import", "url(", "http://", "https://"} {
		if strings.Contains(strings.ReplaceAll(body, "http://www.w3.org/2000/svg", ""), word) {
			t.Errorf("the page has %q", word)
		}
	}
	_, body = get(t, many(&now, 500), "/")
	if len(body) > 256<<10 {
		t.Errorf("500 snapshots make a page of %d bytes", len(body))
	}
}
