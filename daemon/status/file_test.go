package status_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"etcd-rolling-backup/daemon/status"
	"etcd-rolling-backup/internal/statustest"
	"etcd-rolling-backup/snapshot"
)

var statusFile = snapshot.StatusFile(statustest.Node)

// relist is what a daemon does at its start: it lists both places again.
func relist(tr *status.Tracker, s status.State) {
	for p, i := range s.Places {
		var listed []status.Copy
		for _, c := range i.Copies {
			listed = append(listed, status.Copy{Name: c.Name, Size: c.Size, Modified: c.Modified})
		}
		tr.SetInventory(p, listed, nil)
	}
}

// TestRestartForgetsNothing: but for what belongs to the process, the state comes back, and saved again it is the same.
func TestRestartForgetsNothing(t *testing.T) {
	for name, make := range map[string]func(now *time.Time) *status.Tracker{
		"healthy": statustest.Healthy, "unhealthy": statustest.Unhealthy, "broken": statustest.Broken, "journal": statustest.Journaled,
	} {
		t.Run(name, func(t *testing.T) {
			now, n := noon, newNotes()
			tr := make(&now)
			save(t, tr, n)
			before := tr.State()
			next := open(t, n, statustest.Options(&now))
			wantCodes(t, "before the disk was listed", next, status.CodeStarting)
			relist(next, before)
			after := next.State()
			for _, x := range []struct {
				what      string
				got, want any
			}{
				{"history", after.History, before.History},
				{"starts", after.Starts, before.Starts},
				{"pending", len(after.Mirror.Pending), len(before.Mirror.Pending)},
				{"pending since", after.Mirror.PendingSince, before.Mirror.PendingSince},
				{"snapshots", after.Jobs[status.Snapshot].Failures, before.Jobs[status.Snapshot].Failures},
				{"last snapshot", after.Jobs[status.Snapshot].Success, before.Jobs[status.Snapshot].Success},
				{"drill", after.Jobs[status.Drill].Because(), before.Jobs[status.Drill].Because()},
				{"last drill", after.Jobs[status.Drill].Success, before.Jobs[status.Drill].Success},
				{"verification", after.Jobs[status.Verify], before.Jobs[status.Verify]},
				{"last pass", after.Jobs[status.Mirror].Success, before.Jobs[status.Mirror].Success},
				{"places", after.Places, before.Places},
				{"damage", after.Damages(), before.Damages()},
			} {
				if !reflect.DeepEqual(x.got, x.want) {
					t.Errorf("%s: %+v, want %+v", x.what, x.got, x.want)
				}
			}
			if !reflect.DeepEqual(after.Counters, status.New(status.Options{}).State().Counters) {
				t.Errorf("counted before the start: %+v", after.Counters)
			}
			if j := after.Jobs[status.Mirror]; j.Failures != 0 || j.Running {
				t.Errorf("the mirror's first pass is not over: %+v", j)
			}
		})
	}
}

func TestSaveWritesOnlyWhatChanged(t *testing.T) {
	now, n := noon, newNotes()
	tr := statustest.Healthy(&now)
	save(t, tr, n)
	save(t, tr, n)
	tr.SetInventory(status.Local, tr.State().Places[status.Local].Copies, nil)
	tr.SetMember(now, 1, true, nil)
	save(t, tr, n)
	if n.writes != 1 {
		t.Errorf("wrote %d times", n.writes)
	}
	tr.Begin(status.Snapshot, now)
	save(t, tr, n)
	if n.writes != 2 {
		t.Errorf("wrote %d times after a change", n.writes)
	}
}

func TestSaveThatFailedIsRepeated(t *testing.T) {
	now, n := noon, newNotes()
	tr := statustest.Healthy(&now)
	n.broken = errors.New("no space left on device")
	if err := tr.Save(n, statustest.Node); !errors.Is(err, n.broken) {
		t.Errorf("error %v", err)
	}
	wantCodes(t, "not saved", tr, status.CodeUnsaved)
	n.broken = nil
	save(t, tr, n)
	wantCodes(t, "saved", tr)
	if n.writes != 1 {
		t.Errorf("wrote %d times", n.writes)
	}
}

// TestUnreadableFileIsReported: the daemon starts without it.
func TestUnreadableFileIsReported(t *testing.T) {
	now, n := noon, newNotes()
	n.files[statusFile] = `{"jobs": {"snapshot": {"failures": 7}}, "mirror": [`
	tr, err := status.Open(n, statustest.Node, statustest.Options(&now))
	if err == nil || !strings.HasPrefix(err.Error(), "the state before this start is not known: ") {
		t.Errorf("error %v", err)
	}
	if got := tr.Job(status.Snapshot); got.Failures != 0 {
		t.Errorf("half of the file was taken: %+v", got)
	}
	save(t, tr, n)
	open(t, n, statustest.Options(&now))
}

// TestTimesOfAWrongClockAreNotTaken: what is dated in the future would keep others away for as long.
func TestTimesOfAWrongClockAreNotTaken(t *testing.T) {
	now, n := noon.Add(48*time.Hour), newNotes()
	tr := statustest.Unhealthy(&now)
	save(t, tr, n)
	now = noon
	s := open(t, n, statustest.Options(&now)).State()
	for j, x := range s.Jobs {
		for _, at := range []time.Time{x.Attempt, x.Success, x.Settled, x.Failed, x.Due} {
			if at.After(now) {
				t.Errorf("%s: %+v", j, x)
			}
		}
	}
	if len(s.Starts) > 0 || len(s.History) > 0 || !s.Mirror.PendingSince.IsZero() {
		t.Errorf("starts %v, history %v, mirror %+v", s.Starts, s.History, s.Mirror)
	}
}

// TestDrillsOfAnotherPlaceSayNothing: with --drill-from changed, other copies are drilled.
func TestDrillsOfAnotherPlaceSayNothing(t *testing.T) {
	now, n := noon, newNotes()
	save(t, statustest.Unhealthy(&now), n)
	o := statustest.Options(&now)
	o.DrillFrom = status.S3
	tr := open(t, n, o)
	if d, v := tr.Job(status.Drill), tr.Job(status.Verify); d != (status.JobState{}) || v != (status.JobState{}) {
		t.Errorf("%+v, %+v", d, v)
	}
	if tr.Job(status.Snapshot).Failures != 4 {
		t.Error("the snapshots' failures are gone too")
	}
}

func TestStartCountsACutOffRunAsFailed(t *testing.T) {
	x := statustest.Taken(hour, mib, 1)
	for name, c := range map[string]struct {
		began  time.Time // zero: no run
		cutOff bool
	}{
		"no run": {}, "during a run": {hour.Add(time.Minute), true}, "after the snapshot was complete": {hour.Add(time.Second / 2), false},
	} {
		t.Run(name, func(t *testing.T) {
			now, n := noon, newNotes()
			tr := status.New(statustest.Options(&now))
			statustest.Fill(tr, []status.Copy{x})
			if !c.began.IsZero() {
				tr.Begin(status.Snapshot, c.began)
				tr.Begin(status.Drill, c.began)
			}
			save(t, tr, n)
			next := open(t, n, statustest.Options(&now))
			got := next.Start(x.Name)
			if got[status.Snapshot] != c.cutOff || got[status.Drill] != !c.began.IsZero() {
				t.Errorf("cut off: %v", got)
			}
			j := next.Job(status.Snapshot)
			if (j.Reason == status.CutOff && j.Failures == 1) != c.cutOff || j.Running || !j.Success.Equal(x.Name.Time) || next.Job(status.Drill).Running {
				t.Errorf("%+v", j)
			}
			if h := next.State().History; (len(h) == 1) != c.cutOff {
				t.Errorf("history %+v", h)
			}
		})
	}
}

// TestStartTakesOverTheNewestOnTheDisk: one that came after the last failure settles it, also if nobody noted that.
func TestStartTakesOverTheNewestOnTheDisk(t *testing.T) {
	for name, c := range map[string]struct {
		newest   time.Time
		failures int
		due      time.Time
	}{
		"older than the failures": {hour.Add(-time.Hour), 3, time.Time{}}, "newer": {noon, 0, time.Time{}}, "none": {time.Time{}, 3, hour},
	} {
		t.Run(name, func(t *testing.T) {
			now, n := noon, newNotes()
			tr := status.New(local(&now))
			tr.Schedule(status.Snapshot, hour, time.Hour)
			for range 3 {
				statustest.Fail(tr, status.Snapshot, hour.Add(time.Minute), status.Unreachable, "m")
			}
			save(t, tr, n)
			next := open(t, n, local(&now))
			newest := snapshot.Name{}
			if !c.newest.IsZero() {
				newest = statustest.Name(c.newest)
			}
			next.Start(newest)
			if j := next.Job(status.Snapshot); j.Failures != c.failures || !j.Success.Equal(newest.Time) || j.Name != newest || !j.Due.Equal(c.due) {
				t.Errorf("%+v", j)
			}
			if starts := next.State().Starts; len(starts) != 1 || !starts[0].Equal(now) {
				t.Errorf("starts %v", starts)
			}
		})
	}
}

// TestAbortedRunIsNotCutOff: the daemon's stop ends it, and the next process knows that.
func TestAbortedRunIsNotCutOff(t *testing.T) {
	now, n := noon, newNotes()
	tr := status.New(local(&now))
	tr.Begin(status.Snapshot, now)
	tr.Abort(status.Snapshot)
	save(t, tr, n)
	if got := open(t, n, local(&now)).Start(snapshot.Name{}); got[status.Snapshot] {
		t.Errorf("cut off: %v", got)
	}
}

func TestStartsAreRememberedForAnHourAndBounded(t *testing.T) {
	now, n := noon, newNotes()
	tr := status.New(local(&now))
	for range 100 {
		tr.Start(snapshot.Name{})
		now = now.Add(time.Second)
	}
	if got := tr.State().Starts; len(got) != 60 || !got[59].Equal(now.Add(-time.Second)) {
		t.Errorf("%d starts are known, the last %s", len(got), got[len(got)-1])
	}
	save(t, tr, n)
	now = noon.Add(time.Hour + 90*time.Second)
	if got := open(t, n, local(&now)).State().Starts; len(got) != 9 {
		t.Errorf("%d starts are known an hour later", len(got))
	}
}

func TestCrashLoopIsAProblemForAnHour(t *testing.T) {
	for _, c := range []struct {
		first time.Duration // of six starts; the others are at 12:01 to 12:05
		asked time.Duration
		want  []status.Code
	}{
		{-time.Hour, 5 * time.Minute, nil},
		{0, 5 * time.Minute, []status.Code{status.CodeCrashLoop}},
		{0, time.Hour, nil},
	} {
		now := after(c.first)
		tr := status.New(local(&now))
		x := statustest.Taken(after(-2*time.Hour), mib, 1)
		tr.SetInventory(status.Local, []status.Copy{x}, nil)
		tr.Start(x.Name)
		for minute := range time.Duration(5) {
			now = after((minute + 1) * time.Minute)
			tr.Start(x.Name)
		}
		now = after(c.asked)
		wantCodes(t, c.first.String(), tr, c.want...)
		if c.want != nil && texts(tr.Problems()) != "the daemon was started 6 times within an hour, the last at 2026-11-22 12:05:00 UTC" {
			t.Error(texts(tr.Problems()))
		}
	}
}
