package status_test

import (
	"testing"
	"time"

	"etcd-rolling-backup/daemon/status"
	"etcd-rolling-backup/internal/statustest"
	"etcd-rolling-backup/snapshot"
)

func drillCases() map[string]problemCase {
	x := statustest.Name(hour)
	failed := status.Outcome{Name: x, Reason: status.Contents, Message: "3 keys are missing"}
	noSpace, noSnapshot := status.Outcome{Skipped: true, Reason: status.LowSpace, Message: "only 3 MiB are free"}, status.Outcome{Skipped: true, Reason: status.NoSnapshot}
	week := 7 * 24 * time.Hour
	gone := func(tr *status.Tracker) {
		for _, p := range status.Places() {
			tr.Pruned(p, after(2*time.Minute), []snapshot.Name{x}, nil)
		}
		statustest.Take(tr, after(2*time.Minute), statustest.Taken(after(2*time.Minute), mib, 101))
		tr.Schedule(status.Snapshot, after(time.Hour), time.Hour)
	}
	ends := func(outcomes ...status.Outcome) func(tr *status.Tracker) {
		return func(tr *status.Tracker) {
			for i, o := range outcomes {
				tr.End(status.Drill, after(time.Duration(i+1)*time.Minute), o)
			}
		}
	}
	due := func(d, interval time.Duration, outcomes ...status.Outcome) func(tr *status.Tracker) {
		return func(tr *status.Tracker) {
			tr.Schedule(status.Drill, after(d), interval)
			ends(outcomes...)(tr)
			tr.Schedule(status.Drill, after(2*time.Hour), interval) // the next try, or the next one
		}
	}
	return map[string]problemCase{
		"failed":               {ends(failed), after(time.Minute), status.CodeDrillFailed, "restore drill of " + x.String() + " failed: 3 keys are missing"},
		"failed, then skipped": {ends(failed, noSpace), after(3 * time.Minute), status.CodeDrillFailed, ""},
		"failed, then nothing": {ends(failed, noSnapshot), after(3 * time.Minute), status.CodeDrillFailed, ""},
		"skipped":              {ends(noSpace), after(2 * time.Minute), "", ""},
		"failed, then passed":  {ends(failed, status.Outcome{Name: x}), after(3 * time.Minute), "", ""},
		"failed, and its snapshot is gone": {func(tr *status.Tracker) {
			ends(failed)(tr)
			gone(tr)
		}, after(3 * time.Minute), status.CodeDrillFailed, "restore drill of " + x.String() + " failed: 3 keys are missing"}, // the next drill is about to begin
		"failed, then skipped, and its snapshot is gone from the disk only": {func(tr *status.Tracker) {
			ends(failed, noSpace)(tr)
			tr.Pruned(status.Local, after(2*time.Minute), []snapshot.Name{x}, nil)
		}, after(3 * time.Minute), status.CodeDrillFailed, ""},
		"failed, then skipped, and its snapshot is gone": {func(tr *status.Tracker) {
			ends(failed, noSpace)(tr)
			gone(tr)
		}, after(3 * time.Minute), "", ""},
		"failed, then skipped for long, and its snapshot is gone": {func(tr *status.Tracker) {
			due(-3*time.Hour, time.Hour, failed, noSpace)(tr)
			gone(tr)
		}, after(3 * time.Minute), status.CodeDrillLate, "the restore drill due at 2026-11-22 09:00:00 UTC has not passed yet, 3 h overdue: the last one was skipped: " +
			"only 3 MiB are free; the last one that ran failed at 2026-11-22 12:01:00 UTC"},
		"failed by damage, then skipped, and only another copy is left": {func(tr *status.Tracker) {
			ends(status.Outcome{Name: x, Reason: status.Damaged, Message: "m"}, noSpace)(tr)
			tr.Pruned(status.Local, after(2*time.Minute), []snapshot.Name{x}, nil)
		}, after(3 * time.Minute), "", ""},
		"failed before a snapshot was opened, then skipped": {ends(status.Outcome{Reason: status.Other, Message: "m"}, noSpace), after(3 * time.Minute), status.CodeDrillFailed, "restore drill failed: m"},
		"late within the grace":                             {due(-24*time.Hour, week), hour, "", ""},
		"weekly, late by a day":                             {due(-24*time.Hour, week), after(time.Minute), status.CodeDrillLate, "the restore drill due at 2026-11-21 12:00:00 UTC has not passed yet, 24 h overdue"},
		"skipped for lack of room":                          {due(-3*time.Hour, time.Hour, noSpace), after(time.Minute), status.CodeDrillLate, "the restore drill due at 2026-11-22 09:00:00 UTC"},
		"no snapshot to restore":                            {due(-3*time.Hour, time.Hour, noSnapshot), after(time.Minute), "", ""},
		"passed late":                                       {due(-72*time.Hour, time.Hour, status.Outcome{Name: x}), after(time.Minute), "", ""},
		"verification failed": {func(tr *status.Tracker) {
			tr.End(status.Verify, after(time.Minute), status.Outcome{Name: x, Reason: status.LowSpace, Message: "only 3 MiB are free"})
		}, after(time.Minute), status.CodeVerifyFailed, "verification of " + x.String() + " failed: only 3 MiB are free"},
	}
}

// TestFailedDrillOutlivesARestart with its snapshot's name, as does a skip after it.
func TestFailedDrillOutlivesARestart(t *testing.T) {
	now, n := noon, newNotes()
	tr := statustest.Healthy(&now)
	list := statustest.History(noon)
	tr.End(status.Drill, noon, status.Outcome{Name: list[0].Name, Reason: status.Start, Message: "exit status 1"})
	tr.End(status.Drill, noon, status.Outcome{Skipped: true, Reason: status.LowSpace, Message: "only 3 MiB are free"})
	save(t, tr, n)
	want := "restore drill of " + list[0].Name.String() + " failed: exit status 1"
	for _, when := range []string{"before", "after a restart"} {
		if got := texts(tr.Problems()); got != want {
			t.Errorf("%s: %s", when, got)
		}
		before := tr.State()
		tr = open(t, n, statustest.Options(&now))
		relist(tr, before)
	}
	statustest.Fill(tr, list[1:])
	tr.SetPending(now, nil)
	wantCodes(t, "once the snapshot is gone", tr)
	if got, want := texts(tr.State().Passing(noon)), "the restore drill was skipped and is tried again: only 3 MiB are free; the last one that ran failed at 2026-11-22 12:12:30 UTC"; got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}
