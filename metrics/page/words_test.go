package page_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"etcd-rolling-backup/daemon/status"
	"etcd-rolling-backup/internal/statustest"
	"etcd-rolling-backup/snapshot"
)

func TestLastErrorsSayHowOftenAndWhen(t *testing.T) {
	x := statustest.Name(noon.Truncate(time.Hour))
	at := func(minutes int) time.Time { return noon.Add(time.Duration(minutes) * time.Minute) }
	fail := func(j status.Job, minutes int, name snapshot.Name, message string) func(*status.Tracker) {
		return func(tr *status.Tracker) {
			tr.End(j, at(minutes), status.Outcome{Name: name, Reason: status.Other, Message: message})
		}
	}
	none := snapshot.Name{}
	for name, c := range map[string]struct {
		story []func(*status.Tracker)
		want  []string
	}{
		"none": {nil, nil},
		"one": {
			[]func(*status.Tracker){fail(status.Snapshot, -1, none, "refused")},
			[]string{"Snapshot failed 1 min ago, 2026-11-22 12:11:30 UTC: refused"},
		},
		"equal ones": {
			[]func(*status.Tracker){fail(status.Snapshot, -3, none, "refused"), fail(status.Snapshot, -1, none, "refused")},
			[]string{"Snapshot failed 2 times since 12:09:30, the last 1 min ago, 2026-11-22 12:11:30 UTC: refused"},
		},
		"over midnight": {
			[]func(*status.Tracker){fail(status.Snapshot, -24*60, none, "refused"), fail(status.Snapshot, -1, none, "refused")},
			[]string{"Snapshot failed 2 times since 2026-11-21 12:12:30 UTC, the last 1 min ago, 2026-11-22 12:11:30 UTC: refused"},
		},
		"without a text": {
			[]func(*status.Tracker){fail(status.Mirror, 0, none, "")}, []string{"Mirroring failed just now, 2026-11-22 12:12:30 UTC: other"},
		},
		"of each kind": {
			[]func(*status.Tracker){
				fail(status.Verify, -2, x, "m"), fail(status.Drill, -1, x, "n"),
				func(tr *status.Tracker) { tr.SetDamaged(status.S3, noon, x, errors.New("page 17")) },
				func(tr *status.Tracker) { tr.Pruned(status.Local, at(1), nil, errors.New("read-only")) },
			},
			[]string{
				"Pruning failed in 1 min", "Damage found in S3 " + x.String() + " just now",
				"Restore drill failed " + x.String() + " 1 min ago", "Verification failed " + x.String() + " 2 min ago",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			tr := tracker(everything(), []status.Copy{{Name: x, Size: 1}})
			for _, f := range c.story {
				f(tr)
			}
			recovered(tr, x)
			if got := errorsOf(show(t, tr)); !slices.EqualFunc(got, c.want, strings.HasPrefix) {
				t.Errorf("has\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(c.want, "\n"))
			}
		})
	}
}

// recovered is after all jobs worked again: then errors are in the list of the last errors only.
func recovered(tr *status.Tracker, x snapshot.Name) {
	statustest.Take(tr, noon, status.Copy{Name: x, Size: 1})
	tr.Schedule(status.Snapshot, noon.Add(time.Hour), time.Hour)
	tr.Mirrored(noon, 0)
	tr.SetPending(noon, nil)
	tr.SetIntact(status.S3, x)
	tr.End(status.Verify, noon, status.Outcome{Name: x})
	tr.End(status.Drill, noon, status.Outcome{Name: x})
	tr.Pruned(status.Local, noon, nil, nil)
}

// TestFaultIsOneErrorOnThePage: what the headline shows is not repeated in the list of the last errors.
func TestFaultIsOneErrorOnThePage(t *testing.T) {
	list := statustest.History(noon)
	const refused = "connect to etcd at 127.0.0.1:2379: connection refused"
	for name, c := range map[string]struct {
		story   func(tr *status.Tracker)
		message string
		reasons int
		below   []string
	}{
		"snapshots fail": {func(tr *status.Tracker) {
			for range 3 {
				statustest.Fail(tr, status.Snapshot, noon, status.Unreachable, refused)
			}
		}, refused, 1, nil},
		"a snapshot failed": {func(tr *status.Tracker) { statustest.Fail(tr, status.Snapshot, noon, status.Unreachable, refused) }, refused, 1, nil},
		"S3 is down": {func(tr *status.Tracker) {
			tr.SetPending(noon.Add(-3*time.Hour), statustest.Names(list[:2]))
			for range 3 {
				statustest.Fail(tr, status.Mirror, noon, status.Host, "no such host")
			}
		}, "no such host", 1, nil},
		"a file is damaged": {func(tr *status.Tracker) {
			tr.SetDamaged(status.Local, noon, list[0].Name, errors.New("page 17"))
			tr.End(status.Verify, noon, status.Outcome{Name: list[0].Name, Reason: status.Damaged, Message: "page 17"})
			tr.End(status.Drill, noon, status.Outcome{Name: list[0].Name, Reason: status.Damaged, Message: "drill: page 17"})
		}, "page 17", 1, nil},
		"a drill failed, and pruning before": {func(tr *status.Tracker) {
			tr.Pruned(status.Local, noon, nil, errors.New("read-only"))
			tr.Pruned(status.Local, noon, nil, nil)
			tr.End(status.Drill, noon, status.Outcome{Name: list[0].Name, Reason: status.Start, Message: "exit status 1"})
		}, "exit status 1", 1, []string{"Pruning failed"}},
	} {
		t.Run(name, func(t *testing.T) {
			now := noon
			tr := statustest.Healthy(&now)
			c.story(tr)
			body := show(t, tr)
			if n := strings.Count(body, "<li>") - len(errorsOf(body)); n != c.reasons {
				t.Errorf("%d reasons", n)
			}
			if n := strings.Count(body, c.message); n != 1 {
				t.Errorf("shows %q %d times", c.message, n)
			}
			if got := errorsOf(body); !slices.EqualFunc(got, c.below, strings.HasPrefix) {
				t.Errorf("below: %q, want %q", got, c.below)
			}
			if c.below == nil {
				wantTexts(t, body, "None but those above.")
			}
		})
	}
}

const whenVerified = "each snapshot is verified when it is taken, and the newest again in each restore drill"

func TestFigures(t *testing.T) {
	now := noon
	list := statustest.History(noon)
	for name, c := range map[string]struct {
		tr   *status.Tracker
		want map[string]string
	}{
		"healthy": {statustest.Healthy(&now), map[string]string{
			"Last good snapshot": "12 min ago; 2026-11-22 12:00:00 UTC; 46 MiB, 230 MiB unpacked; 189,204 keys",
			"Next snapshot":      "in 47 min; 2026-11-22 13:00:00 UTC; every 1 h",
			"On the disk":        "34 snapshots; 1.4 GiB; 41 GiB free",
			"In S3":              "34 snapshots; of this node, 1.4 GiB; in sync as of 12 min ago",
			"Last verification":  "10 min ago; 2026-11-22 12:02:00 UTC; " + whenVerified,
			"Last restore drill": "passed 3 h ago; 2026-11-22 08:14:00 UTC; next in 8 h",
		}},
		"unhealthy": {statustest.Unhealthy(&now), map[string]string{
			"In S3":              "29 snapshots; of this node, 1.2 GiB; 5 not uploaded yet, behind for 4 h; last pass failed 50 s ago",
			"Last verification":  "found damage; 2026-11-22 12:11:50 UTC; " + whenVerified,
			"Last restore drill": "failed; 2026-11-22 12:12:00 UTC; next in 8 h",
		}},
		"jobs that are off": {tracker(status.Options{}, list[:1]), map[string]string{
			"In S3": "off; no bucket is configured", "Last restore drill": "off; nothing tests that a snapshot can be restored", "Last verification": "",
		}},
		"nothing yet": {tracker(everything(), nil), map[string]string{
			"Last good snapshot": "none yet", "On the disk": "0 snapshots; 0 B; 41 GiB free", "Last restore drill": "none yet", "Last verification": "none yet; " + whenVerified,
		}},
		"before the first listing": {status.New(everything()), map[string]string{
			"Last good snapshot": "not known yet", "Next snapshot": "not known yet", "On the disk": "not known yet; 41 GiB free",
			"In S3": "not known yet", "Last restore drill": "not known yet",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			body := show(t, c.tr)
			for label, want := range c.want {
				if got := factOf(body, label); got != want {
					t.Errorf("%s: %q, want %q", label, got, want)
				}
			}
		})
	}
}

func TestFiguresOfWhatIsRunning(t *testing.T) {
	now := noon
	tr := statustest.Healthy(&now)
	for _, j := range []status.Job{status.Snapshot, status.Mirror, status.Drill} {
		tr.Begin(j, noon)
	}
	body := show(t, tr)
	wantTexts(t, body, "Last good snapshot 12 min ago, one is running now.")
	for label, want := range map[string]string{
		"Next snapshot": "running; since 2026-11-22 12:12:30 UTC", "In S3": "a pass is running", "Last restore drill": "one is running",
	} {
		if got := factOf(body, label); !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", label, got, want)
		}
	}
}

// TestRunsThatAreDueAreNotInThePast: between the moment and the run's begin there may be some milliseconds.
func TestRunsThatAreDueAreNotInThePast(t *testing.T) {
	now := noon
	tr := statustest.Healthy(&now)
	tr.Schedule(status.Snapshot, noon.Add(300*time.Millisecond), time.Hour)
	tr.Schedule(status.Drill, noon, time.Hour)
	wantTexts(t, show(t, tr), "next is due now.", `<dt>Next snapshot</dt><dd class="value">due now</dd>`, `<dd class="more">next is due now</dd>`)
}

// TestSkippedDrillIsShown until one has ended.
func TestSkippedDrillIsShown(t *testing.T) {
	tr := noRoom()
	if got := factOf(show(t, tr), "Last restore drill"); got != "none yet; the last one was skipped (low_space); next in 58 min" {
		t.Error(got)
	}
	tr.End(status.Drill, noon, status.Outcome{Name: statustest.Name(noon), Took: time.Second})
	if got := factOf(show(t, tr), "Last restore drill"); strings.Contains(got, "skipped") {
		t.Errorf("after one that passed: %s", got)
	}
}

func TestDetailsOfThePage(t *testing.T) {
	now := noon
	body := show(t, statustest.Healthy(&now))
	wantTexts(t, body, `</time> <span class="soft">12 min ago</span> <span class="name">`, `<pre tabindex="0" role="group" aria-label="Command">`,
		`<meta http-equiv="refresh" content="300">`, `<a href="">refresh</a>`, "etcd-rolling-backup 1.2.3")
	if strings.Contains(body, "a copy is damaged") {
		t.Error("explains a cross that is not there")
	}
}
