package status_test

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

// problemCase plays a story up to a moment. Each begins with a snapshot at 12:00:00, in S3 too, the next one due at 13:00:00.
type problemCase struct {
	story func(tr *status.Tracker)
	now   time.Time
	code  status.Code // of the only problem; "": none
	text  string      // how it begins
}

func after(d time.Duration) time.Time { return hour.Add(d) }

func TestProblems(t *testing.T) {
	for group, cases := range map[string]map[string]problemCase{
		"snapshot": snapshotCases(), "mirror": mirrorCases(), "drill": drillCases(), "damage": damageCases(), "disk": diskCases(),
	} {
		for name, c := range cases {
			t.Run(group+"/"+name, func(t *testing.T) {
				now := c.now
				tr := status.New(statustest.Options(&now))
				statustest.Fill(tr, []status.Copy{statustest.Taken(after(-time.Hour), mib, 99), statustest.Taken(hour, mib, 100)})
				tr.Schedule(status.Snapshot, after(time.Hour), time.Hour)
				c.story(tr)
				got := tr.Problems()
				var want []status.Code
				if c.code != "" {
					want = append(want, c.code)
				}
				if !slices.Equal(codes(got), want) || !strings.HasPrefix(texts(got), c.text) {
					t.Errorf("problems %v, want %q %q, got:\n%s", codes(got), c.code, c.text, texts(got))
				}
			})
		}
	}
}

// fails lets runs fail one second apart, from 13:00:00 on.
func fails(j status.Job, n int, message string) func(*status.Tracker) {
	return func(tr *status.Tracker) {
		for i := range n {
			statustest.Fail(tr, j, after(time.Hour+time.Duration(i)*time.Second), status.Unreachable, message)
		}
	}
}

func snapshotCases() map[string]problemCase {
	x, skipped := statustest.Taken(after(time.Hour), mib, 101), status.Outcome{Skipped: true, Reason: status.Role}
	nothing := func(*status.Tracker) {}
	seconds := func(tr *status.Tracker) { tr.Schedule(status.Snapshot, after(2*time.Second), 2*time.Second) }
	running := func(tr *status.Tracker) { tr.Begin(status.Snapshot, after(time.Hour)) }
	return map[string]problemCase{
		"nothing has happened":                  {nothing, after(time.Minute), "", ""},
		"due now":                               {nothing, after(time.Hour), "", ""},
		"late within the grace":                 {nothing, after(90 * time.Minute), "", ""},
		"late":                                  {nothing, after(91 * time.Minute), status.CodeSnapshotLate, "the snapshot due at 2026-11-22 13:00:00 UTC has not been taken, 31 min overdue"},
		"a schedule of seconds has two minutes": {seconds, after(2*time.Minute + 2*time.Second), "", ""},
		"a schedule of seconds is late after two":      {seconds, after(2*time.Minute + 3*time.Second), status.CodeSnapshotLate, ""},
		"running longer than the grace":                {running, after(time.Hour + 59*time.Minute), "", ""},
		"running longer than the interval":             {running, after(2*time.Hour + time.Minute), status.CodeSnapshotLate, "the snapshot due at 2026-11-22 13:00:00 UTC is still being taken; it began at 2026-11-22 13:00:00 UTC"},
		"two failures":                                 {fails(status.Snapshot, 2, "m"), after(61 * time.Minute), "", ""},
		"three failures":                               {fails(status.Snapshot, 3, "first\nsecond"), after(61 * time.Minute), status.CodeSnapshotsFailing, "3 snapshots failed in a row, the last at 2026-11-22 13:00:02 UTC: first; second"},
		"three failures without a text have the class": {fails(status.Snapshot, 3, ""), after(61 * time.Minute), status.CodeSnapshotsFailing, "3 snapshots failed in a row, the last at 2026-11-22 13:00:02 UTC: unreachable"},
		"a daily schedule is late after half an hour": {func(tr *status.Tracker) {
			tr.End(status.Snapshot, after(time.Minute), skipped)
			tr.Schedule(status.Snapshot, after(24*time.Hour), 24*time.Hour)
		}, after(24*time.Hour + 31*time.Minute), status.CodeSnapshotLate, ""},
		"saved at last, before the next is known": {func(tr *status.Tracker) {
			running(tr)
			tr.Saved(after(3*time.Hour), x, time.Second, time.Second)
		}, after(3 * time.Hour), "", ""},
		"another try does not move what was due": {func(tr *status.Tracker) {
			fails(status.Snapshot, 2, "m")(tr)
			tr.Schedule(status.Snapshot, after(95*time.Minute), time.Hour)
		}, after(91 * time.Minute), status.CodeSnapshotLate, "the snapshot due at 2026-11-22 13:00:00 UTC"},
		"saved after five failures": {func(tr *status.Tracker) {
			fails(status.Snapshot, 5, "m")(tr)
			statustest.Take(tr, after(61*time.Minute), x)
			tr.Schedule(status.Snapshot, after(2*time.Hour), time.Hour)
		}, after(62 * time.Minute), "", ""},
		"left to another member": {func(tr *status.Tracker) {
			fails(status.Snapshot, 3, "m")(tr)
			running(tr)
			tr.End(status.Snapshot, after(time.Hour), skipped)
			tr.Schedule(status.Snapshot, after(2*time.Hour), time.Hour)
		}, after(2*time.Hour + time.Minute), "", ""},
		"the stop has cut off a run": {func(tr *status.Tracker) {
			running(tr)
			tr.Abort(status.Snapshot)
		}, after(61 * time.Minute), "", ""},
	}
}

func mirrorCases() map[string]problemCase {
	x := statustest.Name(hour)
	pending := func(tr *status.Tracker) { tr.SetPending(hour, []snapshot.Name{x}) }
	idle := func(tr *status.Tracker) { // so that no other snapshot is due
		tr.End(status.Snapshot, after(time.Hour), status.Outcome{Skipped: true, Reason: status.Role})
		tr.Schedule(status.Snapshot, after(3*time.Hour), time.Hour)
	}
	return map[string]problemCase{
		"pending within interval and grace": {pending, after(90 * time.Minute), "", ""},
		"pending for longer": {func(tr *status.Tracker) {
			pending(tr)
			idle(tr)
		}, after(91 * time.Minute), status.CodeMirrorBehind, "S3 is behind since 2026-11-22 12:00:00 UTC: 1 snapshot is not uploaded yet"},
		"pending, pruned on the disk meanwhile": {func(tr *status.Tracker) {
			pending(tr)
			tr.Pruned(status.Local, hour, []snapshot.Name{x}, nil)
			idle(tr)
		}, after(91 * time.Minute), status.CodeMirrorBehind, "S3 is behind since 2026-11-22 12:00:00 UTC: 1 snapshot was pruned on the disk before the upload"},
		"failed twice":       {fails(status.Mirror, 2, "m"), after(time.Hour), "", ""},
		"failed three times": {fails(status.Mirror, 3, ""), after(time.Hour), status.CodeMirrorFailing, "mirroring failed 3 times in a row, the last at 2026-11-22 13:00:02 UTC: other"},
		"succeeded after three failures": {func(tr *status.Tracker) {
			fails(status.Mirror, 3, "m")(tr)
			tr.Mirrored(after(time.Hour+5*time.Second), 0)
		}, after(61 * time.Minute), "", ""},
	}
}

func damageCases() map[string]problemCase {
	x, other := statustest.Name(hour), statustest.Name(after(-time.Hour))
	found := func(tr *status.Tracker) {
		tr.End(status.Verify, after(time.Minute), status.Outcome{Name: x, Reason: status.Damaged, Message: "m"})
	}
	verified := func(tr *status.Tracker, n snapshot.Name) {
		tr.End(status.Verify, after(2*time.Minute), status.Outcome{Name: n})
	}
	gone := func(tr *status.Tracker, p status.Place) { tr.Pruned(p, after(time.Minute), []snapshot.Name{x}, nil) }
	return map[string]problemCase{
		"found": {found, after(time.Minute), status.CodeDamaged, "damage was found in " + x.String() + " on the disk"},
		"another one was verified since": {func(tr *status.Tracker) {
			found(tr)
			verified(tr, other)
		}, after(3 * time.Minute), status.CodeDamaged, "damage was found in " + x.String()},
		"found intact when verified again": {func(tr *status.Tracker) {
			found(tr)
			verified(tr, x)
		}, after(3 * time.Minute), "", ""},
		"the damaged copy was pruned": {func(tr *status.Tracker) {
			found(tr)
			gone(tr, status.Local)
			verified(tr, other)
		}, after(3 * time.Minute), "", ""},
		"the copy in S3 was pruned, which is another one": {func(tr *status.Tracker) {
			found(tr)
			gone(tr, status.S3)
		}, after(3 * time.Minute), status.CodeDamaged, ""},
	}
}

func diskCases() map[string]problemCase {
	x := statustest.Taken(hour, mib, 100)
	unreadable := func(tr *status.Tracker) {
		tr.SetInventory(status.Local, nil, errors.New("open /backups:\nno such file"))
	}
	pruned := func(err error) func(tr *status.Tracker) {
		return func(tr *status.Tracker) { tr.Pruned(status.Local, after(time.Minute), nil, err) }
	}
	readOnly := errors.New("remove x: read-only file system")
	return map[string]problemCase{
		"can't be read": {unreadable, after(time.Minute), status.CodeDiskUnreadable, "the snapshots on the disk can't be read: open /backups: no such file"},
		"can be read again": {func(tr *status.Tracker) {
			unreadable(tr)
			tr.SetInventory(status.Local, []status.Copy{x}, nil)
		}, after(time.Minute), "", ""},
		"pruning failed": {pruned(readOnly), after(time.Minute), status.CodePruneFailed, "pruning on the disk failed: remove x: read-only file system"},
		"pruning failed once": {func(tr *status.Tracker) {
			pruned(readOnly)(tr)
			pruned(nil)(tr)
		}, after(time.Hour), "", ""},
		"no snapshot any more": {func(tr *status.Tracker) {
			statustest.Take(tr, hour, x)
			statustest.Fill(tr, nil)
			tr.SetPending(hour, nil)
		}, after(time.Minute), status.CodeNoSnapshot, "there is no snapshot on the disk any more"},
		"no snapshot of the past, by a clock set back": {func(tr *status.Tracker) {
			tr.Schedule(status.Snapshot, after(-2*time.Hour), time.Hour)
		}, after(-2 * time.Hour), status.CodeNoSnapshot, "there is no snapshot on the disk yet"},
	}
}

func TestProblemsSaySinceWhen(t *testing.T) {
	now := noon
	tr := statustest.Unhealthy(&now)
	list := statustest.History(noon)
	since := map[status.Code]time.Time{
		status.CodeSnapshotsFailing: noon.Add(-110 * time.Second), status.CodeMirrorBehind: list[4].Name.Time,
		status.CodeDamaged: noon.Add(-40 * time.Second), status.CodeDrillFailed: noon.Add(-30 * time.Second), status.CodeEtcdNoSpace: noon.Add(-20 * time.Second),
	}
	got := tr.Problems()
	if len(got) != len(since) {
		t.Errorf("problems %v", codes(got))
	}
	for _, p := range got {
		if want, ok := since[p.Code]; !ok || !p.Since.Equal(want) {
			t.Errorf("%s since %s, want %s", p.Code, p.Since, want)
		}
	}
}

func TestUnlistedS3IsAProblem(t *testing.T) {
	now := noon
	tr := status.New(statustest.Options(&now))
	if got := tr.Problems(); len(got) != 1 || got[0].Code != status.CodeStarting {
		t.Errorf("before the disk was listed: %v", got)
	}
	tr.SetInventory(status.Local, statustest.History(now), nil)
	tr.Schedule(status.Snapshot, now.Add(time.Hour), time.Hour)
	tr.Begin(status.Mirror, now)
	wantCodes(t, "during the first pass", tr, status.CodeS3Starting)
	if s := tr.State(); !s.AwaitsS3() {
		t.Error("does not wait for S3")
	}
	tr.End(status.Mirror, now, status.Outcome{Reason: status.Host, Message: "no such host"})
	wantCodes(t, "after the first pass failed", tr, status.CodeS3Unlisted)
	if got := texts(tr.Problems()); got != "S3 could not be listed since the start: no such host" {
		t.Error(got)
	}
	tr.SetInventory(status.S3, nil, nil)
	wantCodes(t, "once it was listed", tr)
}

// TestJobsThatAreOffAreNotMissed: without S3 and drills there is nothing to be late with.
func TestJobsThatAreOffAreNotMissed(t *testing.T) {
	now := noon
	tr := status.New(local(&now))
	tr.SetInventory(status.Local, nil, nil)
	statustest.Take(tr, now, statustest.Taken(now, mib, 1))
	tr.Schedule(status.Snapshot, now.Add(time.Hour), time.Hour)
	now = now.Add(time.Hour)
	wantCodes(t, "an hour later", tr)
	if s := tr.State(); len(s.Mirror.Pending) > 0 {
		t.Errorf("%v wait for S3", s.Mirror.Pending)
	}
}
