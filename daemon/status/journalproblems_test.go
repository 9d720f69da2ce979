package status_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"etcd-rolling-backup/daemon/status"
	"etcd-rolling-backup/internal/statustest"
)

func stops(reason status.Reason, message string) func(*status.Journal) {
	return func(j *status.Journal) { j.Running, j.Since, j.Reason, j.Message = false, noon, reason, message }
}

func TestJournalThatStandsStillIsAProblem(t *testing.T) {
	const lacks = "the journal is not up to date since 2026-11-22 12:12:29 UTC, so from then on only snapshots can be restored: "
	for name, c := range map[string]struct {
		change  func(*status.Journal)
		after   time.Duration
		code    status.Code
		passing status.Code
		text    string
	}{
		"it runs":          {func(*status.Journal) {}, 0, "", "", ""},
		"interrupted":      {stops(status.Unreachable, "watch etcd:\nconnection refused"), time.Minute, "", status.CodeJournalRetried, "the journal was interrupted at 2026-11-22 12:12:30 UTC and is started again: watch etcd: connection refused"},
		"for five minutes": {stops(status.Unreachable, "m"), 5*time.Minute - time.Second, "", status.CodeJournalRetried, ""},
		"never begun": {func(j *status.Journal) {
			stops(status.Unreachable, "connection refused")(j)
			j.Revision = 0
		}, time.Minute, "", status.CodeJournalRetried, "the journal could not begin at 2026-11-22 12:12:30 UTC and is tried again: connection refused"},
		"a second daemon":      {stops(status.InUse, "another process records it"), 5 * time.Minute, status.CodeJournalStopped, "", "this daemon does not record the journal since 2026-11-22 12:12:29 UTC: another process records it ("},
		"for longer":           {stops(status.Unreachable, "connection refused"), 5 * time.Minute, status.CodeJournalStopped, "", lacks + "connection refused (docs/ALERTS.md, EtcdBackupJournalStopped)"},
		"without a text":       {stops(status.Timeout, ""), 5 * time.Minute, status.CodeJournalStopped, "", lacks + "timeout ("},
		"without a reason":     {stops("", ""), 5 * time.Minute, status.CodeJournalStopped, "", lacks + "it has not started ("},
		"silent for a while":   {func(*status.Journal) {}, 4 * time.Minute, "", "", ""},
		"silent":               {func(*status.Journal) {}, 5 * time.Minute, status.CodeJournalStopped, "", lacks + "etcd has not said since that nothing is missing ("},
		"behind":               {func(j *status.Journal) { j.Behind = 16_000 }, 5 * time.Minute, status.CodeJournalStopped, "", lacks + "it is 16,000 revisions behind etcd ("},
		"the disk is too full": {stops(status.LowSpace, "2.1 GiB are free, of which snapshots need 2 GiB"), 0, status.CodeJournalNoSpace, "", "the disk is too full for the journal, which is not up to date since 2026-11-22 12:12:29 UTC and is tried again every 15 s; snapshots go on as long as they fit: 2.1 GiB are free"},
		"flapping": {func(j *status.Journal) { // each watch opens and breaks, and nothing is recorded
			j.Since = noon.Add(5 * time.Minute)
		}, 5 * time.Minute, status.CodeJournalStopped, "", lacks},
		"idle": {func(j *status.Journal) { j.At, j.Confirmed = noon.Add(-9*time.Hour), noon.Add(20*time.Minute) }, 20 * time.Minute, "", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			tr, now := journaled()
			*now = noon.Add(c.after)
			tr.SetJournal(c.change)
			got, passing := tr.Problems(), tr.State().Passing(*now)
			if c.code != "" && (len(got) != 1 || got[0].Code != c.code) || c.code == "" && len(got) > 0 {
				t.Errorf("problems %v, want %q:\n%s", codes(got), c.code, texts(got))
			}
			if c.passing != "" && (len(passing) != 1 || passing[0].Code != c.passing) || c.passing == "" && len(passing) > 0 {
				t.Errorf("passing %v, want %q", codes(passing), c.passing)
			}
			if text := texts(slices.Concat(got, passing)); !strings.HasPrefix(text, c.text) {
				t.Errorf("got:  %s\nwant: %s", text, c.text)
			}
			want := c.after <= 2*time.Minute && c.code == "" && c.passing == "" || name == "idle"
			if got := tr.State().Journal.Records(*now); got != want {
				t.Errorf("records every change: %t", got)
			}
		})
	}
}

// TestJournalHasFiveMinutesFromTheStart: what came before is a gap, which is another matter.
func TestJournalHasFiveMinutesFromTheStart(t *testing.T) {
	now := noon
	tr := status.New(status.Options{JournalSegment: time.Minute, Now: func() time.Time { return now }})
	tr.SetInventory(status.Local, statustest.History(noon)[:1], nil)
	tr.Start(statustest.History(noon)[0].Name)
	now = noon.Add(5 * time.Minute)
	wantCodes(t, "after five minutes", tr)
	now = noon.Add(5*time.Minute + time.Second)
	wantCodes(t, "after more", tr, status.CodeJournalStopped)
	if got := texts(tr.Problems()); !strings.Contains(got, "since 2026-11-22 12:12:30 UTC") || !strings.Contains(got, "it has not started") {
		t.Error(got)
	}
}

// TestJournalThatStandsForAnotherFaultIsNoProblemOfItsOwn: one line for each fault.
func TestJournalThatStandsForAnotherFaultIsNoProblemOfItsOwn(t *testing.T) {
	for name, c := range map[string]struct {
		reason status.Reason
		story  func(tr *status.Tracker)
		code   status.Code
	}{
		"etcd is away":     {status.Unreachable, func(tr *status.Tracker) { tr.MemberAway(noon) }, status.CodeEtcdAway},
		"etcd is alone":    {status.Unreachable, func(tr *status.Tracker) { tr.SetMember(noon, mib, false, nil) }, status.CodeEtcdNoLeader},
		"snapshots too":    {status.Timeout, func(tr *status.Tracker) { three(tr, status.Timeout) }, status.CodeSnapshotsFailing},
		"the disk is full": {status.LowSpace, func(tr *status.Tracker) { three(tr, status.LowSpace) }, status.CodeSnapshotsFailing},
		"the disk is gone": {status.Disk, func(tr *status.Tracker) { tr.SetInventory(status.Local, nil, errPage) }, status.CodeDiskUnreadable},
	} {
		t.Run(name, func(t *testing.T) {
			tr, now := journaled()
			tr.SetJournal(stops(c.reason, "m"))
			c.story(tr)
			*now = noon.Add(6 * time.Minute)
			wantCodes(t, name, tr, c.code)
		})
	}
	tr, now := journaled()
	tr.SetJournal(stops(status.Unreachable, "m"))
	three(tr, status.LowSpace)
	*now = noon.Add(6 * time.Minute)
	wantCodes(t, "two faults", tr, status.CodeSnapshotsFailing, status.CodeJournalStopped)
}

func three(tr *status.Tracker, r status.Reason) {
	for range 3 {
		statustest.Fail(tr, status.Snapshot, noon, r, "m")
	}
}

func TestS3BehindTheJournalIsAProblem(t *testing.T) {
	for name, c := range map[string]struct {
		schedule, segment time.Duration
		after             time.Duration
		want              []status.Code
	}{
		"as late as a snapshot may be":             {time.Hour, 30 * time.Second, 30*time.Minute - 31*time.Second, nil},
		"later":                                    {time.Hour, 30 * time.Second, 30*time.Minute - 30*time.Second, []status.Code{status.CodeJournalMirrorBehind}},
		"with a short schedule, in ten segments":   {4 * time.Minute, 30 * time.Second, 5*time.Minute - 31*time.Second, nil},
		"with a short schedule, later":             {4 * time.Minute, 30 * time.Second, 5*time.Minute - 30*time.Second, []status.Code{status.CodeJournalMirrorBehind}},
		"with long segments, later than snapshots": {time.Hour, 10 * time.Minute, 75 * time.Minute, nil},
	} {
		t.Run(name, func(t *testing.T) {
			tr, now := journaled()
			tr.Schedule(status.Snapshot, noon.Add(5*time.Hour), c.schedule)
			tr.SetJournal(func(j *status.Journal) { j.Segment = c.segment })
			*now = noon.Add(c.after)
			writes(tr, *now, 1)
			wantCodes(t, name, tr, c.want...)
			if c.want == nil {
				return
			}
			if got := texts(tr.Problems()); !strings.HasPrefix(got, "S3 has the changes until 2026-11-22 12:11:59 UTC only, and the disk has newer ones, so the loss of this node's disk would cost ") {
				t.Error(got)
			}
			arrives(tr)
			wantCodes(t, "once they are uploaded", tr)
		})
	}
	tr, now := journaled()
	*now = noon.Add(40 * time.Minute)
	writes(tr, *now, 1)
	for range 3 {
		statustest.Fail(tr, status.Mirror, *now, status.Host, "no such host")
	}
	wantCodes(t, "while S3 is down", tr, status.CodeMirrorFailing)
}

// TestGapIsShownForAnHour: the backups are healthy, and the page says for longer what can't be restored.
func TestGapIsShownForAnHour(t *testing.T) {
	tr, now := journaled()
	list := statustest.History(noon)
	want := []status.Period{{From: list[28].Name.Time, To: noon.Add(-25 * time.Hour)}, {From: hour.Add(-23 * time.Hour), To: noon.Add(-600 * time.Millisecond)}}
	if got := tr.State().Restorable(status.Local); !slices.Equal(got, want) {
		t.Errorf("restorable is %v, want %v", got, want)
	}
	wantPassing(t, tr)
	tr.SetJournal(func(j *status.Journal) {
		last := &j.Local.Ranges[1]
		next := status.Range{First: list[0].Revision - 1, Last: last.Last, From: hour.Add(-600 * time.Millisecond), To: last.To}
		last.Last, last.To = list[0].Revision-9_000, hour.Add(-40*time.Minute)
		j.Local.Ranges = append(j.Local.Ranges, next)
	})
	wantPassing(t, tr, status.CodeJournalGap)
	wantCodes(t, "a gap", tr)
	if got := texts(tr.State().Passing(noon)); got != "the journal has a gap: no moment between 2026-11-22 11:20:00 UTC and 2026-11-22 12:00:00 UTC can be restored" {
		t.Error(got)
	}
	tr.SetJournal(func(j *status.Journal) { j.Local.Ranges[2].Restored = true })
	wantPassing(t, tr)
	tr.SetJournal(func(j *status.Journal) { j.Local.Ranges[2].Restored = false })
	*now = hour.Add(56 * time.Minute)
	tr.SetJournal(func(j *status.Journal) { j.Confirmed = *now })
	if got := tr.State().Passing(*now); len(got) > 0 {
		t.Errorf("an hour later: %v", codes(got))
	}
}

func TestJournalThatIsOffIsNoProblem(t *testing.T) {
	tr, now := journaled()
	tr.SetJournal(stops(status.LowSpace, "m"))
	tr.SetJournal(func(j *status.Journal) { j.On = false })
	*now = noon.Add(20 * time.Minute)
	wantCodes(t, "off", tr)
}
