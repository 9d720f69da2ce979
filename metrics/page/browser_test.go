package page_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"etcd-rolling-backup/daemon/status"
	"etcd-rolling-backup/internal/statustest"
	"etcd-rolling-backup/metrics/page"
	"etcd-rolling-backup/snapshot"
)

const hostile = `<script>alert(1)</script><img src=x onerror=alert(2)>"'&` + "`${7*7}`" + `</style></svg></pre><b>x`

// pageCase is a page worth a look, with words that it must show.
type pageCase struct {
	body string
	want []string
}

func pageCases(t *testing.T) map[string]pageCase {
	now := noon
	list := statustest.History(noon)
	notes := options()
	notes.RestoreNotes = []string{"Run it on each member.", "Stop etcd on all of them first."}
	alarmed, away := statustest.Healthy(&now), statustest.Healthy(&now)
	alarmed.SetMember(noon, 2*gib, true, []string{"NOSPACE"})
	away.MemberAway(noon.Add(-time.Minute))
	corrupt, quorum, retried, s3Down, drill := statustest.Healthy(&now), statustest.Healthy(&now), statustest.Healthy(&now), statustest.Healthy(&now), statustest.Healthy(&now)
	corrupt.SetMember(noon.Add(-5*time.Minute), 2*gib, true, []string{"CORRUPT"})
	quorum.SetMember(noon.Add(-5*time.Minute), 2*gib, false, nil)
	statustest.Fail(retried, status.Snapshot, noon.Add(-3*time.Second), status.Unreachable, "connect to etcd at 127.0.0.1:2379: connection refused")
	retried.Schedule(status.Snapshot, noon.Add(14*time.Second), time.Hour)
	s3Down.SetPending(noon.Add(-4*time.Hour), statustest.Names(list[:4]))
	for range 7 {
		statustest.Fail(s3Down, status.Mirror, noon.Add(-time.Minute), status.Connection, "list bucket backups at minio.example.net:9000: connection refused")
	}
	drill.End(status.Drill, noon, status.Outcome{Name: list[0].Name, Reason: status.Start, Message: "the restored etcd exited after 2 s: exit status 1"})
	newest := list[0].Name.String()
	return map[string]pageCase{
		"healthy": {show(t, statustest.Healthy(&now)), []string{
			"Healthy", "Last good snapshot 12 min ago, next in 47 min", "2026-11-22 12:00:00 UTC", "34 snapshots", "41 GiB free",
			"--from local --data-dir /var/lib/etcd " + newest, "48,291,734", "None.", "✓ 10 min ago",
		}},
		"unhealthy": {show(t, statustest.Unhealthy(&now)), []string{
			"Needs attention", "4 snapshots failed in a row", "5 snapshots are not uploaded yet", "amage was found in " + newest,
			"estore drill of rolling_node-a_20261122T110000Z.db.zst failed", "exit status 1", "raises NOSPACE", "is skipped because",
			"/var/lib/etcd rolling_node-a_20261122T100000Z.db.zst", "not in S3 yet", "the last pass failed at 2026-11-22 12:11:40 UTC", "None but those above.",
		}},
		"broken": {render(t, statustest.Broken(&now), notes), []string{
			"Last good snapshot 12 min ago, next is due now. Its copy on the disk is damaged, and the copy in S3 has not been verified since it was uploaded.",
			"Damage was found in " + newest + " on the disk", "disk, damaged", "✗ damaged, just now", "✗ a copy is damaged",
			"--from s3 --data-dir /var/lib/etcd " + newest, "from S3. Its copy on the disk is damaged",
			"Stop etcd on all of them first.", "in sync as of 9 s ago", "verified when taken",
		}},
		"damaged": {show(t, damaged()), []string{
			"Needs attention", "The newest, 12 min old, is damaged. Next in 59 min.", "the newest, of 2026-11-22 12:00:00 UTC, is damaged",
		}},
		"alarm":   {show(t, alarmed), []string{"Backups work, etcd needs attention", "Alarm NOSPACE in etcd"}},
		"corrupt": {show(t, corrupt), []string{"Needs attention", "Do not trust the snapshots taken since 2026-11-22 12:07:30 UTC"}},
		"quorum":  {show(t, quorum), []string{"Backups work, etcd needs attention", "the cluster has lost its quorum", "has no leader"}},
		"retried": {show(t, retried), []string{
			"The snapshot failed, trying again", "Last good snapshot 12 min ago, but the last try failed 3 s ago, the next one in 14 s.", "Next try",
		}},
		"s3 down": {show(t, s3Down), []string{"Needs attention", "Mirroring failed 7 times in a row", "4 snapshots are not uploaded yet", "None but those above."}},
		"drill":   {show(t, drill), []string{"Needs attention", "Restore drill of " + newest + " failed", "The newest snapshot is skipped"}},
		"away":    {show(t, away), []string{"etcd does not answer", "since 2026-11-22 12:11:30 UTC; before that it had a leader"}},
		"slow":    {show(t, slowS3()), []string{"Starting", "S3 has not answered since the start", "dated in the future", "not known"}},
		"empty":   {show(t, tracker(everything(), nil)), []string{"Needs attention", "here is no snapshot on the disk yet", "None yet"}},
		"gone": {show(t, gone()), []string{
			"Needs attention", "The snapshots on the disk can't be read: open /backups: no such file or directory",
			"The last good snapshot is not known now. Next in 59 min.", "not known", "can't be read", "They can't be read now.",
		}},
		"no room": {show(t, noRoom()), []string{"Backups work, the restore drill was skipped", "none yet", "the last one was skipped (low_space)", "next in 58 min"}},
		"journal": {show(t, statustest.Journaled(&now)), []string{
			"Healthy", "A restore now would lose at most 1 s with this disk, 31 s from S3.", "from 2026-11-21 11:12:30 UTC to 2026-11-21 13:00:00 UTC", "a gap of the journal", "--at 14:03:06",
		}},
		"journal stopped": {show(t, journalStops(noon.Add(-70*time.Minute), status.Timeout, "watch etcd at 127.0.0.1:2379: no answer")), []string{
			"Snapshots work, the journal needs attention", "The journal is not up to date since 2026-11-22 11:02:30 UTC", "no answer (docs/ALERTS.md, EtcdBackupJournalStopped)", "at most 13 min",
		}},
		"journal breaks": {show(t, journalBreaks(20)), []string{"except in 20 gaps", "and 17 earlier ones"}},
		"journal begins": {show(t, journalBegins()), []string{"at most 4 s"}},
		"starting":       {show(t, status.New(everything())), []string{"Starting", "not known yet"}},
		"first":          {show(t, statustest.Many(&now, 1)), []string{"Healthy", "1 snapshot\n", "Last good snapshot just now", "next in 10 min"}},
		"many":           {show(t, statustest.Many(&now, 500)), []string{"Healthy", "The newest 50 of 500"}},
		"hostile":        {hostilePage(t), []string{hostile}},
	}
}

// damaged has a single snapshot, both copies of which are damaged.
func damaged() *status.Tracker {
	list := statustest.History(noon)[:1]
	tr := tracker(everything(), list)
	tr.Schedule(status.Snapshot, noon.Add(59*time.Minute), time.Hour)
	tr.End(status.Verify, noon, status.Outcome{Name: list[0].Name, Reason: status.Damaged, Message: "page 17"})
	tr.SetDamaged(status.S3, noon, list[0].Name, errors.New("page 18"))
	return tr
}

// gone has lost its directory, and has no bucket.
func gone() *status.Tracker {
	tr := tracker(status.Options{}, statustest.History(noon)[:3])
	tr.Schedule(status.Snapshot, noon.Add(59*time.Minute), time.Hour)
	tr.SetInventory(status.Local, nil, errors.New("open /backups: no such file or directory"))
	return tr
}

// slowS3 has a first pass running, and a snapshot of a clock that was wrong.
func slowS3() *status.Tracker {
	o := everything()
	o.Now = statustest.Noon
	tr := status.New(o)
	tr.SetInventory(status.Local, append(statustest.History(noon), statustest.Taken(noon.Add(3*time.Hour), mib, 0)), nil)
	tr.Schedule(status.Snapshot, noon.Add(time.Hour), time.Hour)
	tr.Begin(status.Mirror, noon)
	return tr
}

// noRoom has had no drill yet, for the only one was skipped.
func noRoom() *status.Tracker {
	tr := tracker(everything(), statustest.History(noon)[:2])
	tr.Begin(status.Drill, noon.Add(-2*time.Minute))
	tr.End(status.Drill, noon.Add(-2*time.Minute), status.Outcome{Skipped: true, Reason: status.LowSpace})
	tr.Schedule(status.Drill, noon.Add(58*time.Minute+time.Second), 7*24*time.Hour)
	return tr
}

// hostilePage has names and messages that try to be more than text.
func hostilePage(t *testing.T) string {
	o := options()
	o.Node, o.Version = strings.Repeat("n", 60)+hostile, hostile
	o.RestoreCommand = func(n snapshot.Name, _ status.Place) string {
		return "restore " + strings.Repeat("/very-long", 40) + " " + n.String()
	}
	list := []status.Copy{statustest.Taken(noon.Add(-time.Hour), 1, 1), statustest.Taken(noon.Add(-2*time.Hour), 1<<60, 1<<62)}
	list[0].Name.Set = strings.Repeat("long", 50) + hostile
	tr := tracker(everything(), list)
	tr.End(status.Drill, noon, status.Outcome{Name: list[0].Name, Reason: status.Other, Message: hostile + strings.Repeat("w", 300)})
	tr.End(status.Verify, noon, status.Outcome{
		Name: list[1].Name, Reason: status.Damaged, Message: "javascript:alert(1)\r\n\x00\x1b[31m" + hostile,
	})
	return render(t, tr, o)
}

func TestPageFitsEachScreenAndIsReadable(t *testing.T) {
	chromium := browser(t)
	for name, c := range pageCases(t) {
		url := serve(t, c.body)
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

// TestMissingVerdictIsShown: what was not verified or drilled is a dash in a table with columns, and words where there are none.
func TestMissingVerdictIsShown(t *testing.T) {
	chromium := browser(t)
	proofs, off := show(t, slowS3()), show(t, tracker(status.Options{Mirror: true}, statustest.History(noon)[:1]))
	for name, c := range map[string]struct {
		body  string
		width int64
		want  []string
	}{
		"wide":       {proofs, 1200, []string{"–", "–"}},
		"narrow":     {proofs, 768, []string{"verified when taken", "no drill"}},
		"phone":      {proofs, 360, []string{"verified when taken", "no drill"}},
		"drills off": {off, 360, nil},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := chromedp.NewContext(chromium)
			defer cancel()
			var got []string
			err := chromedp.Run(ctx, emulation.SetDeviceMetricsOverride(c.width, 900, 1, false), chromedp.Navigate(serve(t, c.body)),
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

// TestPageIsOneFile looks for anything that would make a browser send a request.
func TestPageIsOneFile(t *testing.T) {
	now := noon
	body := show(t, statustest.Healthy(&now))
	for _, word := range []string{"<script", "src=", "@import", "url(", "http://", "https://"} {
		if strings.Contains(strings.ReplaceAll(body, "http://www.w3.org/2000/svg", ""), word) {
			t.Errorf("the page has %q", word)
		}
	}
	if body := show(t, statustest.Many(&now, 500)); len(body) > 256<<10 {
		t.Errorf("500 snapshots make a page of %d bytes", len(body))
	}
}

// TestFreeSpaceIsNotShownWhereItIsNotKnown: 0 would be alarming.
func TestFreeSpaceIsNotShownWhereItIsNotKnown(t *testing.T) {
	now := noon
	body, err := page.Render(statustest.Healthy(&now).State(), nil, -1, noon, page.Options{})
	if err != nil || strings.Contains(string(body), " free<") || strings.Contains(string(body), "restore --from") {
		t.Errorf("%v", err)
	}
}

func BenchmarkPage500(b *testing.B) {
	now := noon
	tr := statustest.Many(&now, 500)
	for b.Loop() {
		show(b, tr)
	}
}
