package page_test

import (
	"errors"
	"testing"
	"time"

	"etcd-rolling-backup/daemon/status"
	"etcd-rolling-backup/internal/statustest"
)

// TestColorAndHeadlineOfEachState: green only if nothing needs a person.
func TestColorAndHeadlineOfEachState(t *testing.T) {
	at := func(seconds int) time.Time { return noon.Add(time.Duration(seconds) * time.Second) }
	member := func(since int, leader bool, alarms ...string) func(*status.Tracker) {
		return func(tr *status.Tracker) {
			tr.SetMember(at(since), mib, leader, alarms)
			tr.SetMember(at(-9), mib, leader, alarms)
		}
	}
	away := func(leader bool, since int, alarms ...string) func(*status.Tracker) {
		return func(tr *status.Tracker) {
			tr.SetMember(at(-900), mib, leader, alarms)
			tr.MemberAway(at(since))
		}
	}
	failing := func(j status.Job, n int, r status.Reason) func(*status.Tracker) {
		return func(tr *status.Tracker) {
			for range n {
				statustest.Fail(tr, j, noon, r, "m")
			}
		}
	}
	for name, c := range map[string]struct {
		story          func(tr *status.Tracker)
		mood, headline string
		fact           string // about etcd
	}{
		"etcd not asked yet": {func(*status.Tracker) {}, "well", "Healthy", ""},
		"healthy":            {member(-9, true), "well", "Healthy", "has a leader; database 1.0 MiB; as of 9 s ago"},
		"no leader":          {member(-9, false), "wait", "Backups work, etcd has no leader", "has no leader; database 1.0 MiB; as of 9 s ago"},
		"no quorum":          {member(-99, false), "ill", "Backups work, etcd needs attention", "has no leader; database 1.0 MiB; as of 9 s ago"},
		"NOSPACE":            {member(-9, true, "NOSPACE"), "ill", "Backups work, etcd needs attention", "raises NOSPACE; database 1.0 MiB; as of 9 s ago"},
		"CORRUPT":            {member(-9, true, "CORRUPT"), "ill", "Needs attention", "raises CORRUPT; database 1.0 MiB; as of 9 s ago"},
		"away":               {away(true, -6), "wait", "etcd does not answer", "does not answer; since 2026-11-22 12:12:24 UTC; before that it had a leader"},
		"away for long":      {away(true, -300), "ill", "Needs attention", "does not answer; since 2026-11-22 12:07:30 UTC; before that it had a leader"},
		"away without a leader": {
			away(false, -6), "wait", "etcd does not answer", "does not answer; since 2026-11-22 12:12:24 UTC; before that it had no leader",
		},
		"away with an alarm": {
			away(true, -6, "NOSPACE"), "ill", "Backups work, etcd needs attention", "does not answer; since 2026-11-22 12:12:24 UTC; before that it raised NOSPACE",
		},
		"never seen":      {func(tr *status.Tracker) { tr.MemberAway(at(-6)) }, "wait", "etcd does not answer", "does not answer; has not answered since the start"},
		"snapshot failed": {failing(status.Snapshot, 2, status.Stalled), "wait", "The snapshot failed, trying again", ""},
		"snapshots fail":  {failing(status.Snapshot, 3, status.Stalled), "ill", "Needs attention", ""},
		"mirror failed":   {failing(status.Mirror, 1, status.Host), "wait", "The upload to S3 failed, trying again", ""},
		"mirror fails":    {failing(status.Mirror, 3, status.Host), "ill", "Needs attention", ""},
		"drill skipped": {func(tr *status.Tracker) {
			tr.End(status.Drill, noon, status.Outcome{Skipped: true, Reason: status.LowSpace})
		}, "wait", "Backups work, the restore drill was skipped", ""},
		"drill failed": {func(tr *status.Tracker) {
			tr.End(status.Drill, noon, status.Outcome{Name: statustest.Name(noon), Reason: status.Start})
		}, "ill", "Needs attention", ""},
		"trouble of both": {
			func(tr *status.Tracker) { member(-9, true, "NOSPACE")(tr); tr.SetInventory(status.Local, nil, nil) },
			"ill", "Needs attention", "raises NOSPACE; database 1.0 MiB; as of 9 s ago",
		},
	} {
		t.Run(name, func(t *testing.T) {
			tr := tracker(everything(), statustest.History(noon)[:1])
			c.story(tr)
			body := show(t, tr)
			wantState(t, body, c.mood, c.headline)
			if got := factOf(body, "etcd"); got != c.fact {
				t.Errorf("the figure of etcd is %q, want %q", got, c.fact)
			}
			s := tr.State()
			if ready := len(s.Problems(noon)) == 0; ready != (c.mood != "ill") {
				t.Errorf("/readyz is ready: %t", ready)
			}
		})
	}
}

// TestFigureHasTheColorOfItsProblem: red if it is a reason, amber while it may pass.
func TestFigureHasTheColorOfItsProblem(t *testing.T) {
	now := noon
	tr := statustest.Healthy(&now)
	tr.Schedule(status.Snapshot, noon.Add(14*time.Second), time.Hour)
	tr.SetMember(noon.Add(-time.Minute), mib, false, nil)
	statustest.Fail(tr, status.Snapshot, noon, status.Stalled, "m")
	statustest.Fail(tr, status.Mirror, noon, status.Host, "m")
	wantTexts(t, show(t, tr), `<dd class="value warn">in 14 s</dd>`, `<dd class="value warn">34 snapshots</dd>`, `<dd class="value warn">has no leader</dd>`)
	for range 2 {
		statustest.Fail(tr, status.Snapshot, noon, status.Stalled, "m")
	}
	tr.SetPending(noon.Add(-3*time.Hour), statustest.Names(statustest.History(noon)[:1]))
	tr.SetMember(noon, mib, true, []string{"NOSPACE"})
	wantTexts(t, show(t, tr), `<dd class="value bad">in 14 s</dd>`, `<dd class="value bad">34 snapshots</dd>`, `<dd class="value bad">raises NOSPACE</dd>`)
}

// TestFreshDaemonIsNotRed: before the first snapshot, /readyz is not ready, but nothing is wrong yet.
func TestFreshDaemonIsNotRed(t *testing.T) {
	tr := tracker(status.Options{}, nil)
	tr.Begin(status.Snapshot, noon)
	wantState(t, show(t, tr), "wait", "Starting")
	tr.End(status.Snapshot, noon, status.Outcome{Reason: status.Unreachable, Message: "connection refused"})
	body := show(t, tr)
	wantState(t, body, "ill", "Needs attention")
	wantTexts(t, body, "<li>there is no snapshot on the disk yet: connection refused</li>")
	tr.Begin(status.Snapshot, noon)
	wantState(t, show(t, tr), "ill", "Needs attention")
	statustest.Take(tr, noon, statustest.Taken(noon, mib, 1))
	wantState(t, show(t, tr), "well", "Healthy")
}

// TestFailingSnapshotIsSaidNextToTheLastGoodOne: its age alone would look healthy.
func TestFailingSnapshotIsSaidNextToTheLastGoodOne(t *testing.T) {
	now := noon
	tr := statustest.Healthy(&now)
	statustest.Fail(tr, status.Snapshot, noon.Add(-3*time.Second), status.Stalled, "m")
	tr.Schedule(status.Snapshot, noon.Add(14*time.Second), time.Hour)
	body := show(t, tr)
	wantTexts(t, body, "Last good snapshot 12 min ago, but the last try failed 3 s ago, the next one in 14 s.")
	if got := factOf(body, "Next try"); got != "in 14 s; 2026-11-22 12:12:44 UTC; failed 1 time in a row; every 1 h" {
		t.Error(got)
	}
}

// TestHeadlineDuringTheFirstPass: a daemon that waits for S3 only is starting.
func TestHeadlineDuringTheFirstPass(t *testing.T) {
	tr := status.New(status.Options{Mirror: true, Now: statustest.Noon})
	wantTexts(t, show(t, tr), "<h1>Starting</h1>", "Not known yet.")
	tr.SetInventory(status.Local, statustest.History(noon), nil)
	tr.Begin(status.Mirror, noon)
	wantTexts(t, show(t, tr), "<h1>Starting</h1>", "<li>S3 has not answered since the start</li>")
	tr.Pruned(status.Local, noon, nil, errors.New("read-only"))
	wantTexts(t, show(t, tr), "<h1>Needs attention</h1>")
	tr.Pruned(status.Local, noon, nil, nil)
	tr.End(status.Mirror, noon, status.Outcome{Reason: status.Host, Message: "no such host"})
	wantTexts(t, show(t, tr), "<h1>Needs attention</h1>")
}
