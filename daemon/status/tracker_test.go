package status_test

import (
	"reflect"
	"sync"
	"testing"
	"time"

	"etcd-rolling-backup/daemon/status"
	"etcd-rolling-backup/internal/statustest"
	"etcd-rolling-backup/snapshot"
)

// TestReasonsOutsideTheirSetCountAsOther: an error's text never becomes a reason.
func TestReasonsOutsideTheirSetCountAsOther(t *testing.T) {
	now := noon
	tr := status.New(statustest.Options(&now))
	for _, j := range status.Jobs() {
		tr.End(j, now, status.Outcome{Reason: "dial tcp 10.0.0.1:2379: refused", Message: "text"})
		tr.End(j, now, status.Outcome{Reason: "a whim", Skipped: true})
	}
	tr.End(status.Drill, now, status.Outcome{Reason: status.Host, Skipped: true})
	tr.End(status.Drill, now, status.Outcome{Reason: status.NotFound, Skipped: true})
	got := tr.State().Counters
	want := map[status.Run]int{{Job: status.Drill, Result: status.Skipped, Reason: status.Host}: 1}
	for _, j := range status.Jobs() {
		want[status.Run{Job: j, Result: status.Failed, Reason: status.Other}] = 1
		want[status.Run{Job: j, Result: status.Skipped, Reason: status.Other}] = 1
	}
	want[status.Run{Job: status.Drill, Result: status.Skipped, Reason: status.Other}] = 2
	if !reflect.DeepEqual(got.Runs, want) {
		t.Errorf("runs %v, want %v", got.Runs, want)
	}
	if want := (map[status.Reason]int{status.Other: 1, status.Host: 1}); !reflect.DeepEqual(got.S3Errors, want) {
		t.Errorf("S3 errors %v, want %v", got.S3Errors, want)
	}
}

// TestDamageFoundCountsNoRun: it was found by nobody's run.
func TestDamageFoundCountsNoRun(t *testing.T) {
	now := noon
	tr := status.New(statustest.Options(&now))
	list := statustest.History(now)
	tr.SetInventory(status.Local, list, nil)
	tr.SetDamaged(status.Local, now, list[0].Name, errPage)
	tr.SetIntact(status.Local, list[0].Name)
	tr.SetDamaged(status.Local, now, statustest.Name(noon), errPage) // which is not there
	s := tr.State()
	if len(s.Counters.Runs) > 0 || len(s.Counters.S3Errors) > 0 || len(s.Damages()) > 0 || len(s.History) != 1 {
		t.Errorf("%+v, damaged %v, history %v", s.Counters, s.Damages(), s.History)
	}
}

func TestDurationsAreCountedWhereTheyAreKnown(t *testing.T) {
	now := noon
	tr := status.New(statustest.Options(&now))
	x := statustest.Taken(now, mib, 1)
	tr.Saved(now, x, 20*time.Millisecond, 0)
	tr.Saved(now, x, 2*time.Hour, time.Second)
	got := tr.State().Counters.Stages
	stream, sync := got[status.StageStream], got[status.StageSync]
	if stream.Count != 2 || stream.Sum != 7200.02 || stream.Buckets[0] != 0 || stream.Buckets[1] != 1 || stream.Buckets[len(stream.Buckets)-1] != 1 {
		t.Errorf("stream %+v", stream)
	}
	if sync.Count != 1 || sync.Sum != 1 || len(got) != 2 {
		t.Errorf("stages %+v", got)
	}
}

func TestStateIsACopy(t *testing.T) {
	now := noon
	tr := statustest.Unhealthy(&now)
	before := tr.State()
	spoiled := tr.State()
	spoiled.Jobs[status.Drill] = status.JobState{}
	for _, p := range status.Places() {
		spoiled.Places[p].Copies[0].Damage = "spoiled"
		delete(spoiled.Places, p)
	}
	spoiled.Mirror.Pending[0], spoiled.Starts[0], spoiled.History[0] = snapshot.Name{}, time.Time{}, status.Failure{}
	clear(spoiled.Enabled)
	clear(spoiled.Counters.Runs)
	if !reflect.DeepEqual(tr.State(), before) {
		t.Error("a change of a copy has changed the state")
	}
	list := statustest.History(noon)
	tr.Uploaded(list[0], time.Second)
	statustest.Take(tr, now, statustest.Taken(now, 1, 1))
	tr.Pruned(status.Local, now, statustest.Names(list[3:6]), nil)
	if again := statustest.Unhealthy(&now).State(); !reflect.DeepEqual(before, again) {
		t.Error("a change of the state has changed a copy")
	}
}

// TestNilTrackerDoesNothing: whoever has nobody to report to passes none.
func TestNilTrackerDoesNothing(t *testing.T) {
	var tr *status.Tracker
	tr.Schedule(status.Drill, noon, time.Hour)
	tr.Begin(status.Drill, noon)
	tr.Abort(status.Drill)
	tr.End(status.Drill, noon, status.Outcome{})
	tr.Saved(noon, status.Copy{}, 0, 0)
	tr.SetInventory(status.Local, nil, nil)
	tr.SetBroken(nil)
	tr.SetManifests(status.S3, map[snapshot.Name]snapshot.Facts{{}: {RawSize: 1}})
	tr.SetNodes(status.S3, nil, time.Time{})
	tr.SetCluster(snapshot.Lineage{Cluster: 1})
	if tr.Lineage().Known() || tr.Stranger(status.S3, snapshot.Entry{}) {
		t.Error("it knows a cluster")
	}
	tr.SetDamaged(status.S3, noon, snapshot.Name{}, errPage)
	tr.SetIntact(status.S3, snapshot.Name{})
	tr.Pruned(status.S3, noon, nil, nil)
	tr.SetPending(noon, nil)
	tr.Uploaded(status.Copy{}, 0)
	tr.Mirrored(noon, 0)
	tr.SetMember(noon, 0, true, nil)
	tr.MemberAway(noon)
	e := snapshot.Entry{Name: statustest.Name(noon), Size: 7}
	if c, known := tr.Known(status.S3, e); known || c.Size != 7 || c.Name != e.Name {
		t.Errorf("known of it: %+v", c)
	}
	if got := tr.Problems(); got != nil {
		t.Errorf("%v", got)
	}
	if s := tr.State(); s.Ready() {
		t.Errorf("%+v", s)
	}
	n := newNotes()
	if err := tr.Save(n, "x"); err != nil || n.writes > 0 {
		t.Errorf("%v, %d files", err, n.writes)
	}
	if got := tr.Start(snapshot.Name{}); len(got) > 0 {
		t.Errorf("cut off: %v", got)
	}
}

// TestTrackerFromManyGoroutines has the race detector watch.
func TestTrackerFromManyGoroutines(t *testing.T) {
	now, n := noon, newNotes()
	tr := statustest.Healthy(&now)
	x := statustest.Taken(now, mib, 7)
	var all sync.WaitGroup
	for _, f := range []func(){
		func() { tr.Saved(now, x, time.Second, time.Second) },
		func() { statustest.Fail(tr, status.Mirror, now, status.Host, "m") },
		func() { tr.SetInventory(status.S3, statustest.History(now), nil) },
		func() { tr.SetInventory(status.Local, statustest.History(now), nil); tr.SetBroken(nil) },
		func() { tr.Pruned(status.Local, now, []snapshot.Name{x.Name}, nil) },
		func() { tr.SetPending(now, []snapshot.Name{x.Name}); tr.Uploaded(x, 1); tr.Mirrored(now, 1) },
		func() { tr.End(status.Verify, now, status.Outcome{Name: x.Name, Took: 1}) },
		func() { tr.SetDamaged(status.Local, now, x.Name, errPage); tr.MemberAway(now) },
		func() { tr.SetMember(now, 1, false, []string{"NOSPACE"}); tr.Schedule(status.Snapshot, now, time.Hour) },
		func() { tr.Problems() },
		func() { s := tr.State(); s.Damages() },
		func() {
			if err := tr.Save(n, statustest.Node); err != nil {
				t.Error(err)
			}
		},
	} {
		all.Go(func() {
			for range 20 {
				f()
			}
		})
	}
	all.Wait()
	if got := tr.State().Counters.Runs[status.Run{Job: status.Snapshot, Result: status.Succeeded}]; got != 21 {
		t.Errorf("%d successes", got)
	}
	save(t, tr, n)
	relist(open(t, n, statustest.Options(&now)), tr.State())
}
