package status_test

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"etcd-rolling-backup/daemon/status"
	"etcd-rolling-backup/internal/statustest"
	"etcd-rolling-backup/snapshot"
)

// journaled is a daemon at noon whose journal is well.
func journaled() (*status.Tracker, *time.Time) {
	now := noon
	return statustest.Journaled(&now), &now
}

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
		"it runs":              {func(*status.Journal) {}, 0, "", "", ""},
		"interrupted":          {stops(status.Unreachable, "watch etcd:\nconnection refused"), time.Minute, "", status.CodeJournalRetried, "the journal was interrupted at 2026-11-22 12:12:30 UTC and is started again: watch etcd: connection refused"},
		"for five minutes":     {stops(status.Unreachable, "m"), 5*time.Minute - time.Second, "", status.CodeJournalRetried, ""},
		"for longer":           {stops(status.Unreachable, "connection refused"), 5 * time.Minute, status.CodeJournalStopped, "", lacks + "connection refused (docs/ALERTS.md, EtcdBackupJournalStopped)"},
		"without a text":       {stops(status.Timeout, ""), 5 * time.Minute, status.CodeJournalStopped, "", lacks + "timeout ("},
		"without a reason":     {stops("", ""), 5 * time.Minute, status.CodeJournalStopped, "", lacks + "it has not started ("},
		"silent for a while":   {func(*status.Journal) {}, 4 * time.Minute, "", "", ""},
		"silent":               {func(*status.Journal) {}, 5 * time.Minute, status.CodeJournalStopped, "", lacks + "etcd has not said since that nothing is missing ("},
		"behind":               {func(j *status.Journal) { j.Behind = 16_000 }, 5 * time.Minute, status.CodeJournalStopped, "", lacks + "it is 16,000 revisions behind etcd ("},
		"the disk is too full": {stops(status.LowSpace, "2.1 GiB are free, of which snapshots need 2 GiB"), 0, status.CodeJournalNoSpace, "", "the disk is too full for the journal, which is not up to date since 2026-11-22 12:12:29 UTC; snapshots go on as long as they fit: 2.1 GiB are free"},
		"flapping": {func(j *status.Journal) { // each watch opens and breaks, and nothing is recorded
			j.Since = noon.Add(5 * time.Minute)
		}, 5 * time.Minute, status.CodeJournalStopped, "", lacks},
		"idle": {func(j *status.Journal) { j.At, j.Confirmed = noon.Add(-9*time.Hour), noon.Add(20*time.Minute) }, 20 * time.Minute, "", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			tr, now := journaled()
			tr.SetJournal(c.change)
			*now = noon.Add(c.after)
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

// writes has revisions written at that time, which are on the disk only.
func writes(tr *status.Tracker, at time.Time, n int64) {
	tr.SetJournal(func(j *status.Journal) { j.Revision, j.At, j.Confirmed = j.Revision+n, at, at })
}

// arrives says that S3 has all segments of that moment.
func arrives(tr *status.Tracker) {
	tr.SetJournal(func(j *status.Journal) {
		ranges := slices.Clone(j.Bucket.Ranges)
		ranges[len(ranges)-1].Last, ranges[len(ranges)-1].To = j.Revision, j.At
		j.Bucket = status.Segments{Ranges: ranges, Revision: j.Revision, At: j.At} // as a listing replaces it
	})
}

func TestRecoveryPointOfS3MovesWhileNobodyWrites(t *testing.T) {
	tr, now := journaled()
	point := func() time.Time { return tr.State().RecoveryPoint(status.S3) }
	if want := noon.Add(-31 * time.Second); !point().Equal(want) {
		t.Fatalf("under load the point is %s, want %s", point(), want)
	}
	arrives(tr)
	for range 9 { // an hour without a write
		*now = now.Add(10 * time.Minute)
		tr.SetJournal(func(j *status.Journal) { j.Confirmed = *now })
	}
	if !point().Equal(*now) {
		t.Errorf("while nobody writes the point is %s, want %s", point(), *now)
	}
	quiet := *now
	*now = now.Add(time.Minute)
	writes(tr, *now, 1)
	if !point().Equal(quiet) {
		t.Errorf("after a write the point is %s, want %s", point(), quiet)
	}
	arrives(tr)
	if !point().Equal(*now) {
		t.Errorf("after its upload the point is %s, want %s", point(), *now)
	}
}

// TestSegmentsWithoutASnapshotRestoreNothing: in S3 the newest snapshot counts, until the one before the segments has arrived.
func TestSegmentsWithoutASnapshotRestoreNothing(t *testing.T) {
	tr, _ := journaled()
	list := statustest.History(noon)
	tr.SetInventory(status.S3, list[24:], nil)
	s := tr.State()
	if r, at := s.Journaled(status.S3); r != list[24].Revision || !at.Equal(list[24].Name.Time) || !s.RecoveryPoint(status.S3).Equal(at) {
		t.Errorf("revision %d of %s, want that of %s", r, at, list[24].Name)
	}
	tr.SetInventory(status.S3, list[23:], nil)
	if r, _ := tr.State().Journaled(status.S3); r != s.Journal.Bucket.Revision {
		t.Errorf("with the snapshot before the segments it is revision %d", r)
	}
	tr.SetDamaged(status.S3, noon, list[23].Name, errPage)
	if r, _ := tr.State().Journaled(status.S3); r != list[24].Revision {
		t.Errorf("with a damaged one it is revision %d", r)
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
		next := status.Range{First: list[0].Revision - 1, Last: last.Last, From: hour.Add(-2 * time.Second), To: last.To}
		last.Last, last.To = list[0].Revision-9_000, hour.Add(-40*time.Minute)
		j.Local.Ranges = append(j.Local.Ranges, next)
	})
	wantPassing(t, tr, status.CodeJournalGap)
	wantCodes(t, "a gap", tr)
	if got := texts(tr.State().Passing(noon)); got != "the journal has a gap: no moment between 2026-11-22 11:20:00 UTC and 2026-11-22 12:00:00 UTC can be restored" {
		t.Error(got)
	}
	*now = hour.Add(56 * time.Minute)
	tr.SetJournal(func(j *status.Journal) { j.Confirmed = *now })
	if got := tr.State().Passing(*now); len(got) > 0 {
		t.Errorf("an hour later: %v", codes(got))
	}
}

// TestOldChangesMoveNoRecoveryPoint: a journal that catches up receives them now.
func TestOldChangesMoveNoRecoveryPoint(t *testing.T) {
	tr, now := journaled()
	*now = noon.Add(10 * time.Minute)
	tr.SetJournal(func(j *status.Journal) { j.Revision, j.At, j.Behind = j.Revision+900, *now, 4000 })
	if got, want := tr.State().RecoveryPoint(status.Local), noon.Add(-600*time.Millisecond); !got.Equal(want) {
		t.Errorf("while it catches up the point is %s, want %s", got, want)
	}
	wantCodes(t, "while it catches up", tr, status.CodeJournalStopped)
	tr.SetJournal(func(j *status.Journal) { j.Revision, j.At, j.Confirmed, j.Behind = j.Revision+4000, *now, *now, 0 })
	if got := tr.State().RecoveryPoint(status.Local); !got.Equal(*now) {
		t.Errorf("once it has caught up the point is %s", got)
	}
	wantCodes(t, "once it has caught up", tr)
}

func TestJournalThatIsOffIsNoProblem(t *testing.T) {
	tr, now := journaled()
	tr.SetJournal(stops(status.LowSpace, "m"))
	tr.SetJournal(func(j *status.Journal) { j.On = false })
	*now = noon.Add(20 * time.Minute)
	wantCodes(t, "off", tr)
}

// TestRestartRemembersTheJournalOfThePlaces: S3 may be down then. The rest the recorder knows, and to save it would write a file each second.
func TestRestartRemembersTheJournalOfThePlaces(t *testing.T) {
	tr, now := journaled()
	n := newNotes()
	save(t, tr, n)
	tr.SetJournal(func(j *status.Journal) {
		j.Revision, j.At, j.Confirmed, j.Behind, j.Gaps = j.Revision+1, noon, noon, 7, 1
	})
	save(t, tr, n)
	if n.writes != 1 {
		t.Errorf("wrote %d times", n.writes)
	}
	want := tr.State().Journal
	o := statustest.Options(now)
	o.JournalSegment = 30 * time.Second
	next := open(t, n, o)
	relist(next, tr.State())
	got := next.State().Journal
	if !reflect.DeepEqual(got, status.Journal{On: true, Segment: 30 * time.Second, Local: want.Local, Bucket: want.Bucket}) {
		t.Errorf("after a restart: %+v", got)
	}
	if point := next.State().RecoveryPoint(status.S3); !point.Equal(noon.Add(-31 * time.Second)) {
		t.Errorf("the recovery point in S3 is %s", point)
	}
	if off := open(t, n, statustest.Options(now)).State().Journal; !reflect.DeepEqual(off, status.Journal{}) {
		t.Errorf("switched off: %+v", off)
	}
	*now = noon.Add(-time.Hour)
	if wrong := open(t, n, o).State().Journal; !wrong.Local.At.IsZero() || !wrong.Bucket.At.IsZero() {
		t.Errorf("of a wrong clock: %+v", wrong)
	}
}

// TestStateOfAJournalIsACopy: a change of the ranges in place changes no copy.
func TestStateOfAJournalIsACopy(t *testing.T) {
	tr, _ := journaled()
	before := tr.State()
	tr.SetJournal(func(j *status.Journal) { j.Local.Ranges[0].Last, j.Bucket.Ranges[0].Last = 1, 1 })
	if before.Journal.Local.Ranges[0].Last == 1 || before.Journal.Bucket.Ranges[0].Last == 1 {
		t.Error("a change of the state has changed a copy")
	}
}

// TestJournalOfSnapshotsWithUnknownRevisions is taken as restorable: a listing of S3 reads no manifests.
func TestJournalOfSnapshotsWithUnknownRevisions(t *testing.T) {
	now := noon
	tr := status.New(status.Options{Mirror: true, JournalSegment: time.Minute, Now: func() time.Time { return now }})
	tr.SetInventory(status.Local, nil, errors.New("gone"))
	tr.SetInventory(status.S3, []status.Copy{{Name: statustest.Name(hour), Size: 7, Facts: snapshot.Facts{}}}, nil)
	tr.SetJournal(func(j *status.Journal) {
		j.Bucket = status.Segments{Ranges: []status.Range{{First: 5, Last: 9}}, Revision: 9, At: noon}
	})
	if r, at := tr.State().Journaled(status.S3); r != 9 || !at.Equal(noon) {
		t.Errorf("revision %d of %s", r, at)
	}
}
