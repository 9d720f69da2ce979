package status_test

import (
	"errors"
	"reflect"
	"slices"
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
	point := func() time.Time { return tr.State().RecoveryPoint(status.S3, *now) }
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
	if r, at := s.Journaled(status.S3, noon); r != list[24].Revision || !at.Equal(list[24].Name.Time) || !s.RecoveryPoint(status.S3, noon).Equal(at) {
		t.Errorf("revision %d of %s, want that of %s", r, at, list[24].Name)
	}
	tr.SetInventory(status.S3, list[23:], nil)
	if r, _ := tr.State().Journaled(status.S3, noon); r != s.Journal.Bucket.Revision {
		t.Errorf("with the snapshot before the segments it is revision %d", r)
	}
	tr.SetDamaged(status.S3, noon, list[23].Name, errPage)
	if r, _ := tr.State().Journaled(status.S3, noon); r != list[24].Revision {
		t.Errorf("with a damaged one it is revision %d", r)
	}
}

// TestOldChangesMoveNoRecoveryPoint: a journal that catches up receives them now.
func TestOldChangesMoveNoRecoveryPoint(t *testing.T) {
	tr, now := journaled()
	*now = noon.Add(10 * time.Minute)
	tr.SetJournal(func(j *status.Journal) { j.Revision, j.At, j.Behind = j.Revision+900, *now, 4000 })
	if got, want := tr.State().RecoveryPoint(status.Local, *now), noon.Add(-600*time.Millisecond); !got.Equal(want) {
		t.Errorf("while it catches up the point is %s, want %s", got, want)
	}
	wantCodes(t, "while it catches up", tr, status.CodeJournalStopped)
	tr.SetJournal(func(j *status.Journal) { j.Revision, j.At, j.Confirmed, j.Behind = j.Revision+4000, *now, *now, 0 })
	if got := tr.State().RecoveryPoint(status.Local, *now); !got.Equal(*now) {
		t.Errorf("once it has caught up the point is %s", got)
	}
	wantCodes(t, "once it has caught up", tr)
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
	if point := next.State().RecoveryPoint(status.S3, *now); !point.Equal(noon.Add(-31 * time.Second)) {
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
	if r, at := tr.State().Journaled(status.S3, noon); r != 9 || !at.Equal(noon) {
		t.Errorf("revision %d of %s", r, at)
	}
}
