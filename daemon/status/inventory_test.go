package status_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"etcd-rolling-backup/daemon/status"
	"etcd-rolling-backup/internal/statustest"
	"etcd-rolling-backup/snapshot"
)

// entry is what a listing shows of c.
func entry(c status.Copy) snapshot.Entry {
	return snapshot.Entry{Name: c.Name, Size: c.Size, Modified: c.Modified}
}

// TestDetailsOutliveTheFile: manifests in S3 are not read for a listing, so what the disk's said of size and revision stays.
func TestDetailsOutliveTheFile(t *testing.T) {
	x := statustest.Taken(noon.Add(-time.Hour), mib, 4711)
	bare := x
	bare.RawSize, bare.Revision = 0, 0
	inS3 := func(tr *status.Tracker) { tr.SetInventory(status.S3, []status.Copy{bare}, nil) }
	pruned := func(tr *status.Tracker) { tr.Pruned(status.Local, noon, []snapshot.Name{x.Name}, nil) }
	for name, story := range map[string]func(tr *status.Tracker){
		"pruned":         func(tr *status.Tracker) { inS3(tr); pruned(tr) },
		"listed as gone": func(tr *status.Tracker) { inS3(tr); tr.SetInventory(status.Local, nil, nil) },
		"uploaded, then pruned": func(tr *status.Tracker) {
			tr.SetInventory(status.S3, nil, nil)
			tr.Uploaded(bare, time.Second)
			pruned(tr)
			inS3(tr)
		},
	} {
		t.Run(name, func(t *testing.T) {
			now := noon
			tr := status.New(statustest.Options(&now))
			tr.SetInventory(status.Local, []status.Copy{x}, nil)
			story(tr)
			s := tr.State()
			if got, ok := s.Newest(now); !ok || got.RawSize != x.RawSize || got.Revision != x.Revision {
				t.Errorf("the newest is %+v", got)
			}
			if len(s.Places[status.Local].Copies) != 0 || len(s.Places[status.S3].Copies) != 1 {
				t.Errorf("places: %+v", s.Places)
			}
			if c, _ := tr.Known(status.S3, entry(bare)); c.RawSize != x.RawSize {
				t.Errorf("known of it: %+v", c)
			}
		})
	}
}

// TestDetailsOfAnotherArchiveAreNotTaken: a copy of another size is another archive.
func TestDetailsOfAnotherArchiveAreNotTaken(t *testing.T) {
	now := noon
	tr := status.New(statustest.Options(&now))
	x := statustest.Taken(noon.Add(-time.Hour), mib, 4711)
	other := status.Copy{Name: x.Name, Size: x.Size + 1}
	tr.SetInventory(status.Local, []status.Copy{x}, nil)
	tr.SetInventory(status.S3, []status.Copy{other}, nil)
	if c, known := tr.Known(status.S3, entry(other)); !known || c.RawSize != 0 || c.Revision != 0 {
		t.Errorf("known %t: %+v", known, c)
	}
}

func TestKnownIsOfTheSameFileOnly(t *testing.T) {
	now := noon
	tr := status.New(statustest.Options(&now))
	x := statustest.Taken(noon.Add(-time.Hour), mib, 4711)
	x.Modified = x.Name.Time
	tr.SetInventory(status.Local, []status.Copy{x}, nil)
	tr.SetDamaged(status.Local, noon, x.Name, errPage)
	replaced, longer, fresh := x, x, x
	replaced.Modified = noon
	longer.Size++
	fresh.Name = statustest.Name(noon)
	for name, c := range map[string]struct {
		copy  status.Copy
		known bool
	}{"the same": {x, true}, "replaced": {replaced, false}, "of another size": {longer, false}, "another": {fresh, false}} {
		got, known := tr.Known(status.Local, entry(c.copy))
		if known != c.known || (got.Damage != "") != c.known || got.Name != c.copy.Name || got.Size != c.copy.Size {
			t.Errorf("%s: known %t: %+v", name, known, got)
		}
	}
}

func TestInventoryIsInOrder(t *testing.T) {
	now := noon
	tr := status.New(statustest.Options(&now))
	list := statustest.History(noon)[:5]
	shuffled := []status.Copy{list[3], list[0], list[4], list[2], list[1]}
	tr.SetInventory(status.Local, shuffled, nil)
	if got := tr.State().Places[status.Local].Copies; !slices.Equal(got, list) {
		t.Errorf("%v", got)
	}
	if shuffled[0] != list[3] {
		t.Error("the caller's list was sorted")
	}
}

// TestDamageOutlivesAListingThatFailed: a snapshot saved while the directory can't be listed does not make the others gone.
func TestDamageOutlivesAListingThatFailed(t *testing.T) {
	now := noon
	tr := status.New(local(&now))
	damaged, next := statustest.Taken(now.Add(-time.Hour), mib, 1), statustest.Taken(now, mib, 2)
	tr.SetInventory(status.Local, []status.Copy{damaged}, nil)
	tr.SetDamaged(status.Local, now, damaged.Name, errPage)
	tr.SetInventory(status.Local, nil, errors.New("stale file handle"))
	statustest.Take(tr, now, next)
	tr.Pruned(status.Local, now, nil, nil)
	tr.SetInventory(status.Local, []status.Copy{next, damaged}, nil)
	if all := tr.State().Damages(); len(all) != 1 || all[0].Name != damaged.Name || all[0].Damage != "page 17" {
		t.Errorf("damaged are %+v", all)
	}
}

// TestReplacedCopyIsNotDamaged: what is known of a copy ends with its file or object.
func TestReplacedCopyIsNotDamaged(t *testing.T) {
	for _, p := range status.Places() {
		now := noon
		tr := status.New(statustest.Options(&now))
		x := statustest.Taken(now.Add(-time.Hour), mib, 1)
		x.Modified = x.Name.Time
		statustest.Fill(tr, []status.Copy{x})
		tr.SetDamaged(p, now, x.Name, errPage)
		tr.SetInventory(p, []status.Copy{x}, nil)
		if all := tr.State().Damages(); len(all) != 1 || all[0].Place != p || !all[0].Found.Equal(now) {
			t.Errorf("%s: the same one listed again: %+v", p, all)
		}
		x.Modified = now.Add(time.Minute)
		tr.SetInventory(p, []status.Copy{x}, nil)
		if all := tr.State().Damages(); len(all) != 0 {
			t.Errorf("%s: replaced: %+v", p, all)
		}
	}
}

// TestUploadProvesBothCopies: it reads the file in full, and its checksum arrives.
func TestUploadProvesBothCopies(t *testing.T) {
	now := noon
	tr := status.New(statustest.Options(&now))
	x := statustest.Taken(now.Add(-time.Hour), mib, 1)
	statustest.Fill(tr, []status.Copy{x})
	for _, p := range status.Places() {
		tr.SetDamaged(p, now, x.Name, errPage)
	}
	tr.Uploaded(x, time.Second)
	if all := tr.State().Damages(); len(all) != 0 {
		t.Errorf("%+v", all)
	}
}

// TestVerificationIsOfOnePlace: what a drill reads says nothing of the other place's copy.
func TestVerificationIsOfOnePlace(t *testing.T) {
	for _, from := range status.Places() {
		now := noon
		o := statustest.Options(&now)
		o.DrillFrom = from
		tr := status.New(o)
		x := statustest.Taken(now.Add(-time.Hour), mib, 1)
		statustest.Fill(tr, []status.Copy{x})
		for _, p := range status.Places() {
			tr.SetDamaged(p, now, x.Name, errPage)
		}
		tr.End(status.Verify, now, status.Outcome{Name: x.Name, Took: time.Second})
		tr.End(status.Drill, now, status.Outcome{Name: x.Name, Took: time.Second})
		s := tr.State()
		if all := s.Damages(); len(all) != 1 || all[0].Place == from {
			t.Errorf("drilled from %s: damaged are %+v", from, all)
		}
		for p, i := range s.Places {
			if c := i.Copies[0]; c.Verified.IsZero() != (p != from) || c.Drilled.IsZero() != (p != from) {
				t.Errorf("drilled from %s: %s has %+v", from, p, c)
			}
		}
	}
}

// TestVerificationSaysNothingOfAFileThatReplacedIt: it began with another file.
func TestVerificationSaysNothingOfAFileThatReplacedIt(t *testing.T) {
	now := noon
	tr := status.New(statustest.Options(&now))
	x := statustest.Taken(now.Add(-time.Hour), mib, 1)
	x.Modified = now.Add(-time.Second)
	tr.SetInventory(status.Local, []status.Copy{x}, nil)
	o := status.Outcome{Name: x.Name, Reason: status.Damaged, Message: "m", Began: now.Add(-time.Minute)}
	tr.End(status.Verify, now, o)
	if all := tr.State().Damages(); len(all) != 0 {
		t.Errorf("%+v", all)
	}
	o.Began = now
	tr.End(status.Verify, now, o)
	if all := tr.State().Damages(); len(all) != 1 || !all[0].Found.Equal(now) {
		t.Errorf("%+v", all)
	}
}

// TestBrokenFileStaysDamaged: what was found is known on after the file was renamed, until it or its replacement changes that.
func TestBrokenFileStaysDamaged(t *testing.T) {
	now := noon
	tr := status.New(local(&now))
	list := statustest.History(now)[:3]
	damaged := list[1]
	tr.SetInventory(status.Local, list, nil)
	tr.SetDamaged(status.Local, now, damaged.Name, errPage)
	broken := []status.Copy{{Name: damaged.Name, Size: damaged.Size, Damage: "set aside as damaged", Found: now.Add(time.Hour)}}
	rename := func() {
		tr.SetBroken(broken)
		tr.SetInventory(status.Local, []status.Copy{list[0], list[2]}, nil)
	}
	for range 2 {
		rename()
		all := tr.State().Damages()
		if len(all) != 1 || all[0].Name != damaged.Name || all[0].Damage != "page 17" || !all[0].Found.Equal(now) {
			t.Errorf("renamed: %+v", all)
		}
	}
	wantCodes(t, "renamed", tr, status.CodeDamaged)
	tr.SetInventory(status.Local, list, nil)
	wantCodes(t, "next to an intact one of its name", tr)
	rename()
	wantCodes(t, "which is gone again", tr, status.CodeDamaged)
	tr.SetBroken(nil)
	wantCodes(t, "removed", tr)
}

// TestBrokenFileThatNobodyHasReported: of one that was renamed by another process only the listing knows.
func TestBrokenFileThatNobodyHasReported(t *testing.T) {
	now := noon
	tr := status.New(local(&now))
	tr.SetBroken([]status.Copy{{Name: statustest.Name(hour), Damage: "set aside as damaged", Found: hour}})
	if all := tr.State().Damages(); len(all) != 1 || all[0].Damage != "set aside as damaged" || !all[0].Found.Equal(hour) {
		t.Errorf("%+v", all)
	}
}

// TestDamageInS3CountsOnlyWithAMirror: a bucket that is not mirrored to any more is nobody's concern.
func TestDamageInS3CountsOnlyWithAMirror(t *testing.T) {
	now := noon
	n := newNotes()
	tr := status.New(statustest.Options(&now))
	x := statustest.Taken(hour, mib, 1)
	statustest.Fill(tr, []status.Copy{x})
	tr.SetDamaged(status.S3, now, x.Name, errPage)
	wantCodes(t, "with a mirror", tr, status.CodeDamaged)
	save(t, tr, n)
	tr = open(t, n, local(&now))
	tr.SetInventory(status.Local, []status.Copy{x}, nil)
	wantCodes(t, "without", tr)
}

func TestDamagedNamesAllCopiesOfTheNewestAndCountsTheRest(t *testing.T) {
	now := noon
	tr := status.New(statustest.Options(&now))
	list := statustest.History(now)[:3]
	statustest.Fill(tr, list)
	for _, x := range list {
		for _, p := range status.Places() {
			tr.SetDamaged(p, now, x.Name, errPage)
		}
	}
	if got, want := texts(tr.Problems()), "damage was found in "+list[0].Name.String()+" on the disk and in S3 and 2 others: page 17"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
