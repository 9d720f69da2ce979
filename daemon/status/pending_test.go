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

// TestSlowMirrorLosesSnapshots: of snapshots every ten minutes the disk keeps one, and S3 is too slow for it. What it never gets is
// counted and reported, and how far it is behind does not depend on what still exists.
func TestSlowMirrorLosesSnapshots(t *testing.T) {
	now := noon
	tr := status.New(status.Options{Mirror: true, Now: func() time.Time { return now }})
	tr.SetInventory(status.Local, nil, nil)
	tr.SetInventory(status.S3, nil, nil)
	at := func(minutes time.Duration) time.Time { return noon.Add(minutes * time.Minute) }
	var last status.Copy
	cycle := func() {
		now = now.Add(10 * time.Minute)
		x := statustest.Taken(now, mib, 100)
		statustest.Take(tr, now, x)
		tr.Pruned(status.Local, now, []snapshot.Name{last.Name}, nil)
		tr.Schedule(status.Snapshot, now.Add(10*time.Minute), 10*time.Minute)
		last = x
	}
	want := func(when, reason string, since time.Time, lost int) {
		t.Helper()
		if all := texts(tr.Problems()); reason == "" && all != "" || !strings.HasPrefix(all, reason) {
			t.Errorf("%s: %q, want %q", when, all, reason)
		}
		if s := tr.State(); !s.Mirror.PendingSince.Equal(since) || s.Counters.Unmirrored != lost {
			t.Errorf("%s: pending since %s, %d lost", when, s.Mirror.PendingSince, s.Counters.Unmirrored)
		}
	}
	cycle()
	want("the first is pending", "", at(10), 0)
	cycle()
	want("the first was pruned", "snapshots were pruned on the disk before they were uploaded, the last at "+status.Absolute(at(20)), at(10), 1)
	cycle()
	behind := "S3 is behind since " + status.Absolute(at(10)) + ": 1 snapshot is not uploaded yet, 2 snapshots were pruned on the disk before the upload"
	want("the second was pruned", behind, at(10), 2)
	tr.SetPending(now, []snapshot.Name{last.Name})
	want("a pass began", behind, at(10), 2)
	tr.Uploaded(last, time.Second)
	want("the third is uploaded", "snapshots were pruned", time.Time{}, 2)
	for range 2 {
		cycle()
		tr.Uploaded(last, time.Second)
	}
	want("S3 keeps up", "", time.Time{}, 2)
	cycle()
	cycle()
	tr.Begin(status.Mirror, now.Add(time.Second)) // and so has seen all
	tr.SetPending(now.Add(time.Second), nil)
	want("another process uploaded it", "snapshots were pruned", time.Time{}, 3)
}

// TestFailedPassIsNotBehind: a pass that uploads everything and may not prune in the bucket fails, and S3 lacks nothing.
func TestFailedPassIsNotBehind(t *testing.T) {
	now := noon
	tr := statustest.Healthy(&now)
	x := statustest.Taken(now, mib, 50_000_000)
	statustest.Take(tr, now, x)
	tr.Begin(status.Mirror, now)
	tr.SetPending(now, []snapshot.Name{x.Name})
	tr.Uploaded(x, time.Second)
	tr.End(status.Mirror, now, status.Outcome{Reason: status.Permission, Message: "prune bucket: denied"})
	if s := tr.State(); !s.Mirror.PendingSince.IsZero() || len(s.Mirror.Pending) > 0 {
		t.Errorf("%+v", s.Mirror)
	}
}

// TestPendingSinceThePassThatSawIt: what lay on the disk before there was a bucket is pending since that was seen.
func TestPendingSinceThePassThatSawIt(t *testing.T) {
	now := noon
	tr := status.New(statustest.Options(&now))
	old := statustest.Taken(now.Add(-48*time.Hour), mib, 1)
	tr.SetInventory(status.Local, []status.Copy{old}, nil)
	for minute := range time.Duration(3) {
		at := noon.Add(minute * time.Minute)
		tr.Begin(status.Mirror, at)
		tr.SetInventory(status.S3, nil, nil)
		tr.SetPending(at, []snapshot.Name{old.Name})
		tr.End(status.Mirror, at, status.Outcome{Reason: status.Busy})
	}
	if since := tr.State().Mirror.PendingSince; !since.Equal(noon) {
		t.Errorf("pending since %s", since)
	}
}

// TestSnapshotTakenDuringAPassStaysPending: the pass that began before does not know it.
func TestSnapshotTakenDuringAPassStaysPending(t *testing.T) {
	now := noon
	tr := statustest.Healthy(&now)
	x := statustest.Taken(now, mib, 50_000_000)
	tr.Begin(status.Mirror, now.Add(-time.Second))
	statustest.Take(tr, now, x)
	tr.SetPending(now, nil)
	tr.Mirrored(now.Add(time.Second), 0)
	if m := tr.State().Mirror; !slices.Equal(m.Pending, []snapshot.Name{x.Name}) || !m.PendingSince.Equal(now) {
		t.Errorf("after the pass that began before: %+v", m)
	}
	tr.Begin(status.Mirror, now.Add(2*time.Second))
	tr.SetPending(now, []snapshot.Name{x.Name})
	tr.Uploaded(x, time.Second)
	tr.Mirrored(now.Add(3*time.Second), 0)
	s := tr.State()
	if len(s.Mirror.Pending) != 0 || !s.Mirror.PendingSince.IsZero() || len(s.Places[status.S3].Copies) != 35 {
		t.Errorf("after the next pass: %+v, %d in S3", s.Mirror, len(s.Places[status.S3].Copies))
	}
}

// TestNewestInS3ProvesAnEarlierPass: of one before the start nothing else may be known.
func TestNewestInS3ProvesAnEarlierPass(t *testing.T) {
	now := noon
	tr := status.New(statustest.Options(&now))
	manual := statustest.Taken(hour, mib, 1)
	manual.Name.Set = "manual"
	x := statustest.Taken(hour.Add(-time.Hour), mib, 1)
	tr.Begin(status.Mirror, now)
	tr.SetInventory(status.S3, []status.Copy{manual, x}, nil)
	if got := tr.Job(status.Mirror).Success; !got.Equal(x.Name.Time) {
		t.Errorf("last success %s, want that of the newest rolling snapshot", got)
	}
	tr.Mirrored(now, 0)
	tr.SetInventory(status.S3, []status.Copy{x}, nil)
	if got := tr.Job(status.Mirror).Success; !got.Equal(now) {
		t.Errorf("after a pass: last success %s", got)
	}
	if runs := tr.State().Counters.Runs; runs[status.Run{Job: status.Mirror, Result: status.Succeeded}] != 1 {
		t.Errorf("counted %v", runs)
	}
}

// TestPruningThatFailedInPart: what was removed counts next to the error.
func TestPruningThatFailedInPart(t *testing.T) {
	now := noon
	tr := status.New(local(&now))
	list := statustest.History(now)[:3]
	tr.SetInventory(status.Local, list, nil)
	tr.Pruned(status.Local, now, statustest.Names(list[2:]), errors.New("remove x:\nread-only"))
	s := tr.State()
	if len(s.Places[status.Local].Copies) != 2 || s.Counters.Pruned[status.Local] != 1 || s.Counters.PruneFailures != 1 ||
		s.PruneError != "remove x: read-only" || len(s.History) != 1 || s.History[0].Reason != status.Disk || s.History[0].Job != "" {
		t.Errorf("%+v", s)
	}
	wantCodes(t, "now", tr, status.CodePruneFailed)
}
