package status_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"etcd-rolling-backup/daemon/status"
	"etcd-rolling-backup/internal/statustest"
	"etcd-rolling-backup/snapshot"
)

// oldNotes are what a version before the state file kept: its daemon was started twice, failed twice, did a drill that failed with
// damage after one that passed, and was killed during a run.
func oldNotes() *notes {
	n := newNotes()
	n.files[snapshot.RunNote(statustest.Node)] = `{"starts":["2026-11-22T11:30:00Z","2026-11-22T11:40:00Z"],"began":"2026-11-22T12:10:00Z",` +
		`"failures":2,"at":"2026-11-22T12:05:00Z","reason":"unreachable","error":"etcd is down","past":[{"name":"x","time":"2026-11-22T11:00:00Z"}]}`
	n.files[snapshot.DrillNote(statustest.Node)] = `{"name":"rolling_node-a_20261122T110000Z.db.zst","place":"local","at":"2026-11-22T11:50:00Z",` +
		`"took":60000000000,"reason":"damaged","error":"page 17","failures":1,"passed":"2026-11-21T11:50:00Z","due":"2026-11-22T11:49:00Z"}`
	n.files[snapshot.DamageNote(statustest.Node)] = `[{"name":"rolling_node-a_20261122T110000Z.db.zst","place":"local","at":"2026-11-22T11:50:00Z","message":"page 17"},` +
		`{"name":"rolling_node-a_20261122T100000Z.db.zst","place":"s3","at":"2026-11-22T11:51:00Z","message":"page 18"}]`
	return n
}

func TestTakeOverOfOldNotes(t *testing.T) {
	now, n := noon, oldNotes()
	list := statustest.History(noon)[1:3] // 11:00 and 10:00
	clock := func(s string) time.Time {
		at, err := time.Parse(time.DateTime, "2026-11-22 "+s)
		if err != nil {
			t.Fatal(err)
		}
		return at
	}
	tr := open(t, n, statustest.Options(&now))
	cutOff := tr.Start(list[0].Name)
	if !cutOff[status.Snapshot] || cutOff[status.Drill] {
		t.Errorf("cut off: %v", cutOff)
	}
	statustest.Fill(tr, list)
	snap, drill, verify := tr.Job(status.Snapshot), tr.Job(status.Drill), tr.Job(status.Verify)
	if snap.Failures != 3 || snap.Reason != status.CutOff || !snap.Success.Equal(clock("11:00:00")) {
		t.Errorf("snapshot: %+v", snap)
	}
	passed := clock("11:50:00").Add(-24 * time.Hour)
	if drill.Failures != 1 || drill.Message != "page 17" || drill.Name != list[0].Name || !drill.Attempt.Equal(clock("11:49:00")) ||
		!drill.Failed.Equal(clock("11:50:00")) || !drill.Success.Equal(passed) || !drill.Due.Equal(clock("11:49:00")) {
		t.Errorf("drill: %+v", drill)
	}
	if verify.Failures != 1 || verify.Reason != status.Damaged || !verify.Success.Equal(passed) {
		t.Errorf("verify: %+v", verify)
	}
	s := tr.State()
	if got := s.Damages(); len(got) != 2 || got[0].Place != status.Local || got[0].Damage != "page 17" || got[1].Place != status.S3 || got[1].Name != list[1].Name {
		t.Errorf("damages: %+v", got)
	}
	if len(s.Starts) != 3 {
		t.Errorf("starts: %v", s.Starts)
	}
	want := []string{
		"snapshot 1x 0 to 0: cut_off the daemon crashed or was killed during the run", "snapshot 1x -7 to -7: unreachable etcd is down",
		"s3 10h 1x -21 to -21: damaged page 18", "drill 11h 1x -22 to -22: damaged page 17",
	}
	if got := lines(s.History); !slices.Equal(got, want) {
		t.Errorf("history:\n%s", strings.Join(got, "\n"))
	}

	save(t, tr, n)
	if len(n.files) != 1 || n.files[statusFile] == "" {
		t.Errorf("left are %v", n.files)
	}
	again := open(t, n, statustest.Options(&now))
	if a := again.Job(status.Drill); a.Message != drill.Message || !a.Success.Equal(drill.Success) || again.Job(status.Snapshot).Failures != 3 {
		t.Errorf("after that: %+v", a)
	}
}

func TestTakeOverOfADrillThatWasCutOff(t *testing.T) {
	now, n := noon, newNotes()
	n.files[snapshot.DrillNote(statustest.Node)] = `{"name":"rolling_node-a_20261122T110000Z.db.zst","place":"local","at":"2026-11-22T11:50:00Z",` +
		`"took":60000000000,"passed":"2026-11-22T11:50:00Z","began":"2026-11-22T12:00:00Z"}`
	tr := open(t, n, statustest.Options(&now))
	list := statustest.History(noon)[1:2]
	if cutOff := tr.Start(list[0].Name); !cutOff[status.Drill] || cutOff[status.Snapshot] {
		t.Errorf("cut off: %v", cutOff)
	}
	tr.SetInventory(status.Local, list, nil)
	drill := tr.Job(status.Drill)
	if drill.Failures != 0 || !drill.Attempt.Equal(noon.Truncate(time.Hour)) || !drill.Success.Equal(noon.Add(-22*time.Minute-30*time.Second)) {
		t.Errorf("%+v", drill)
	}
	if c := tr.State().Places[status.Local].Copies[0]; c.Drilled.IsZero() || c.BadDrill || c.Verified.IsZero() {
		t.Errorf("the copy: %+v", c)
	}
}

// TestTakeOverOfNotesThatCanNotBeRead takes the others.
func TestTakeOverOfNotesThatCanNotBeRead(t *testing.T) {
	now, n := noon, oldNotes()
	n.files[snapshot.RunNote(statustest.Node)] = "{"
	tr, err := status.Open(n, statustest.Node, statustest.Options(&now))
	if err == nil || !strings.HasPrefix(err.Error(), "some of what happened before this start is not known: ") {
		t.Errorf("error %v", err)
	}
	if tr.Job(status.Drill).Message != "page 17" || tr.Job(status.Snapshot).Failures != 0 {
		t.Errorf("%+v", tr.State().Jobs)
	}
}

// TestStateFileReplacesOldNotes: notes that a crash has left next to it are not read again. Those of an older version that ran after it,
// as after a downgrade, are. Both are removed.
func TestStateFileReplacesOldNotes(t *testing.T) {
	for _, newer := range []bool{false, true} {
		now, n := noon, newNotes()
		tr := statustest.Healthy(&now)
		if !newer {
			tr.Start(statustest.History(now)[0].Name)
		}
		save(t, tr, n)
		for name, text := range oldNotes().files {
			n.files[name] = text
		}
		tr = open(t, n, statustest.Options(&now))
		if failures := tr.Job(status.Drill).Failures; failures != 0 != newer {
			t.Errorf("notes newer %t: %+v", newer, tr.Job(status.Drill))
		}
		if damages := tr.State().Damages(); len(damages) > 0 != newer {
			t.Errorf("notes newer %t: damages %v", newer, damages)
		}
		save(t, tr, n)
		if len(n.files) != 1 {
			t.Errorf("left are %v", n.files)
		}
	}
}
