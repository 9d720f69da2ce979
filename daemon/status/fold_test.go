package status_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"etcd-rolling-backup/daemon/status"
	"etcd-rolling-backup/internal/statustest"
	"etcd-rolling-backup/snapshot"
)

// TestOneFaultIsOneProblem plays a fault with its consequences. texts must all be in the text of the only problem.
func TestOneFaultIsOneProblem(t *testing.T) {
	list := statustest.History(noon)
	newest := list[0].Name
	fail := func(tr *status.Tracker, j status.Job, n int, r status.Reason, message string) {
		for i := range n {
			statustest.Fail(tr, j, noon.Add(time.Duration(i-n)*time.Second), r, message)
		}
	}
	failProof := func(tr *status.Tracker, r status.Reason, message string) {
		tr.End(status.Drill, noon, status.Outcome{Name: newest, Reason: r, Message: message})
	}
	overdue := func(tr *status.Tracker) { tr.Schedule(status.Snapshot, noon.Add(-time.Hour), time.Hour) }
	unreadable := errors.New("open /backups: input/output error")
	for name, c := range map[string]struct {
		story func(tr *status.Tracker)
		code  status.Code
		texts []string
	}{
		"S3 is down": {func(tr *status.Tracker) {
			tr.SetPending(noon.Add(-3*time.Hour), statustest.Names(list[:2]))
			fail(tr, status.Mirror, 4, status.Host, "list bucket: no such host")
		}, status.CodeMirrorFailing, []string{"mirroring failed 4 times in a row", "no such host", "; S3 is behind since", "2 snapshots are not uploaded yet"}},
		"S3 is down since the start": {func(tr *status.Tracker) {
			tr.SetPending(noon.Add(-3*time.Hour), statustest.Names(list[:2]))
			tr.SetInventory(status.S3, nil, errors.New("no such host"))
			fail(tr, status.Mirror, 3, status.Host, "list bucket: no such host")
		}, status.CodeMirrorFailing, []string{"no such host", "S3 is behind since"}},
		"S3 failed just now, and lacks snapshots for long": {func(tr *status.Tracker) {
			tr.SetPending(noon.Add(-3*time.Hour), statustest.Names(list[:2]))
			fail(tr, status.Mirror, 1, status.Host, "list bucket: no such host")
		}, status.CodeMirrorBehind, []string{"2 snapshots are not uploaded yet; the last pass failed at 2026-11-22 12:12:29 UTC: list bucket: no such host"}},
		"S3 is down for drills too": {func(tr *status.Tracker) {
			fail(tr, status.Mirror, 3, status.Host, "no such host")
			tr.End(status.Drill, noon, status.Outcome{Skipped: true, Reason: status.Host, Message: "no such host"})
			tr.Schedule(status.Drill, noon.Add(-48*time.Hour), time.Hour)
		}, status.CodeMirrorFailing, []string{"no such host", "; the restore drill due at"}},
		"a file is damaged": {func(tr *status.Tracker) {
			tr.End(status.Verify, noon, status.Outcome{Name: newest, Reason: status.Damaged, Message: "page 17"})
			failProof(tr, status.Damaged, "page 17")
			fail(tr, status.Mirror, 3, status.Damaged, "upload: page 17")
		}, status.CodeDamaged, []string{"damage was found in " + newest.String() + " on the disk: page 17"}},
		"etcd is down": {func(tr *status.Tracker) {
			overdue(tr)
			fail(tr, status.Snapshot, 3, status.Unreachable, "connection refused")
			tr.MemberAway(noon.Add(-time.Hour))
		}, status.CodeSnapshotsFailing, []string{"3 snapshots failed in a row", "connection refused", "; the snapshot due at 2026-11-22 11:12:30 UTC has not been taken, 1 h overdue"}},
		"etcd is down, and the daemon was started again": {func(tr *status.Tracker) {
			overdue(tr)
			fail(tr, status.Snapshot, 1, status.Unreachable, "connection refused")
			tr.MemberAway(noon.Add(-time.Hour))
		}, status.CodeSnapshotLate, []string{"has not been taken, 1 h overdue: connection refused"}},
		"etcd was never there": {func(tr *status.Tracker) {
			tr.SetInventory(status.Local, nil, nil)
			fail(tr, status.Snapshot, 1, status.Unreachable, "connection refused")
			tr.MemberAway(noon)
		}, status.CodeNoSnapshot, []string{"there is no snapshot on the disk yet: connection refused"}},
		"the directory is gone": {func(tr *status.Tracker) {
			overdue(tr)
			tr.SetInventory(status.Local, nil, unreadable)
			fail(tr, status.Snapshot, 3, status.Disk, unreadable.Error())
			fail(tr, status.Mirror, 3, status.Disk, unreadable.Error())
			failProof(tr, status.Disk, unreadable.Error())
			tr.Pruned(status.Local, noon, nil, unreadable)
		}, status.CodeDiskUnreadable, []string{"the snapshots on the disk can't be read: open /backups: input/output error", "; the snapshot due at"}},
		"the disk is full": {func(tr *status.Tracker) {
			fail(tr, status.Snapshot, 3, status.LowSpace, "only 3 MiB are free")
			tr.End(status.Drill, noon, status.Outcome{Skipped: true, Reason: status.LowSpace, Message: "only 3 MiB are free"})
			tr.Schedule(status.Drill, noon.Add(-48*time.Hour), time.Hour)
		}, status.CodeSnapshotsFailing, []string{"only 3 MiB are free", "; the restore drill due at"}},
		"the disk is read-only": {func(tr *status.Tracker) {
			fail(tr, status.Snapshot, 3, status.Disk, "create: read-only file system")
			tr.Pruned(status.Local, noon, nil, errors.New("remove: read-only file system"))
		}, status.CodeSnapshotsFailing, []string{"create: read-only file system"}},
		"a drill failed": {func(tr *status.Tracker) {
			failProof(tr, status.Start, "exit status 1")
			tr.Schedule(status.Drill, noon.Add(-48*time.Hour), time.Hour)
		}, status.CodeDrillFailed, []string{"restore drill of " + newest.String() + " failed: exit status 1; the restore drill due at 2026-11-20 12:12:30 UTC has not passed yet"}},
		"the daemon crashes": {func(tr *status.Tracker) {
			overdue(tr)
			for range 6 {
				tr.Start(newest)
			}
			tr.Schedule(status.Snapshot, noon.Add(-time.Hour), time.Hour)
		}, status.CodeCrashLoop, []string{"the daemon was started 7 times within an hour"}},
	} {
		t.Run(name, func(t *testing.T) {
			now := noon
			tr := statustest.Healthy(&now)
			if c.code == status.CodeNoSnapshot {
				tr = status.New(local(&now))
			}
			c.story(tr)
			wantCodes(t, "now", tr, c.code)
			for _, text := range c.texts {
				if got := texts(tr.Problems()); !strings.Contains(got, text) {
					t.Errorf("%s\nlacks %q", got, text)
				}
			}
			if strings.Contains(texts(tr.Problems()), "\n") {
				t.Error("more than one line")
			}
			wantPassing(t, tr)
		})
	}
}

// TestUnsavedStatusOfAFullDiskIsNoFaultOfItsOwn: unlike one that only the status has.
func TestUnsavedStatusOfAFullDiskIsNoFaultOfItsOwn(t *testing.T) {
	now := noon
	tr, n := statustest.Healthy(&now), newNotes()
	n.broken = errors.New("no space left on device")
	if err := tr.Save(n, statustest.Node); !errors.Is(err, n.broken) {
		t.Fatal(err)
	}
	wantCodes(t, "while snapshots are taken", tr, status.CodeUnsaved)
	for range 3 {
		statustest.Fail(tr, status.Snapshot, now, status.LowSpace, "only 3 MiB are free")
	}
	wantCodes(t, "while snapshots fail for the same reason", tr, status.CodeSnapshotsFailing)
}

func TestTwoFaultsAreTwoProblems(t *testing.T) {
	now := noon
	tr := statustest.Healthy(&now)
	list := statustest.History(noon)
	for range 3 {
		statustest.Fail(tr, status.Snapshot, now, status.Unreachable, "connection refused")
		statustest.Fail(tr, status.Mirror, now, status.Host, "no such host")
	}
	tr.SetDamaged(status.S3, now, list[3].Name, errPage)
	tr.End(status.Drill, now, status.Outcome{Name: list[1].Name, Reason: status.Damaged, Message: "page 99"})
	wantCodes(t, "now", tr, status.CodeSnapshotsFailing, status.CodeMirrorFailing, status.CodeDamaged, status.CodeDrillFailed)
}

// TestNothingWrongIsHidden: where no problem and nothing passing is reported, all last runs were good and etcd is well. Whatever is
// folded leaves its cause, and folding again changes nothing.
func TestNothingWrongIsHidden(t *testing.T) {
	list := statustest.History(noon)
	rapid.Check(t, func(t *rapid.T) {
		now := noon
		tr := statustest.Healthy(&now)
		name := func(t *rapid.T) snapshot.Name { return rapid.SampledFrom(list[:3]).Draw(t, "snapshot").Name }
		for range rapid.IntRange(0, 12).Draw(t, "events") {
			j := rapid.SampledFrom([]status.Job{status.Snapshot, status.Mirror, status.Drill}).Draw(t, "job")
			switch rapid.IntRange(0, 9).Draw(t, "kind") {
			case 0:
				o := status.Outcome{Reason: rapid.SampledFrom(status.FailureReasons(j)).Draw(t, "failure"), Message: "m"}
				if j == status.Drill {
					o.Name = name(t)
				}
				tr.End(j, noon, o)
			case 1:
				if reasons := status.SkipReasons(j); len(reasons) > 0 {
					tr.End(j, noon, status.Outcome{Skipped: true, Reason: rapid.SampledFrom(reasons).Draw(t, "skip"), Message: "s"})
				}
			case 2:
				tr.SetMember(noon, mib, rapid.Bool().Draw(t, "leader"), rapid.SampledFrom([][]string{nil, {"NOSPACE"}, {"CORRUPT"}}).Draw(t, "alarms"))
			case 3:
				tr.MemberAway(noon.Add(-rapid.SampledFrom([]time.Duration{0, time.Hour}).Draw(t, "away")))
			case 4:
				tr.SetDamaged(rapid.SampledFrom(status.Places()).Draw(t, "place"), noon, name(t), errPage)
			case 5:
				tr.SetInventory(status.Local, nil, errPage)
			case 6:
				tr.Schedule(j, noon.Add(-3*time.Hour), time.Hour)
			case 7:
				tr.Pruned(rapid.SampledFrom(status.Places()).Draw(t, "place"), noon, []snapshot.Name{name(t)}, nil)
			case 8:
				tr.SetPending(noon.Add(-3*time.Hour), statustest.Names(list[:2]))
			case 9:
				reason := rapid.SampledFrom(status.FailureReasons(status.Snapshot)).Draw(t, "why the journal stopped")
				tr.SetJournal(func(j *status.Journal) {
					j.On, j.Since, j.Reason, j.Confirmed = true, noon.Add(-time.Hour), reason, noon.Add(-time.Hour)
				})
			}
		}
		s := tr.State()
		all := slices.Concat(s.Problems(noon), s.Passing(noon))
		if again := status.Fold(all); !slices.Equal(codes(again), codes(all)) {
			t.Errorf("folded again: %v, before: %v", codes(again), codes(all))
		}
		m := s.Member
		wrong := s.Jobs[status.Snapshot].Failures > 0 || s.Jobs[status.Mirror].Failures > 0 || s.DrillFailed() || len(s.Damages()) > 0 ||
			s.Places[status.Local].Error != "" || !m.Away.IsZero() || !m.Seen.IsZero() && !m.Leader || len(m.Alarms) > 0
		if len(all) == 0 && wrong {
			t.Errorf("nothing is reported of %+v", s)
		}
		needs := s.Jobs[status.Snapshot].Failures > 2 || s.Jobs[status.Mirror].Failures > 2 || s.DrillFailed() || len(s.Damages()) > 0 || len(m.Alarms) > 0 || s.Journal.On
		if len(s.Problems(noon)) == 0 && needs {
			t.Errorf("no problem is reported of %+v", s)
		}
	})
}
