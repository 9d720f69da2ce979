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

// raw is a snapshot with a database of that size.
func raw(at time.Time, bytes, revision int64) status.Copy {
	return status.Copy{Name: statustest.Name(at), Size: 1, Facts: snapshot.Facts{RawSize: bytes, Revision: revision}}
}

func TestLossIsAProblemForAnHour(t *testing.T) {
	before := func(hours float64) time.Time { return noon.Add(-time.Duration(hours * float64(time.Hour))) }
	newest := raw(noon, 10*mib, 100)
	for name, c := range map[string]struct {
		before []status.Copy
		want   []status.Code
		text   string
		since  time.Time
	}{
		"half as large": {[]status.Copy{raw(before(1), 20*mib, 99)}, nil, "", time.Time{}},
		"less than half as large": {
			[]status.Copy{raw(before(1), 20*mib+1, 99)},
			[]status.Code{status.CodeShrank},
			"the database of the newest snapshot shrank to 10 MiB, less than half of the 20 MiB before", noon,
		},
		"lower revision": {
			[]status.Copy{raw(before(1), 10*mib, 5000)},
			[]status.Code{status.CodeRevisionFell},
			"the revision of the newest snapshot fell to 100 from 5,000: is it the same cluster?", noon,
		},
		"lost half an hour ago": {[]status.Copy{raw(before(.5), 10*mib, 99), raw(before(1.5), 90*mib, 97)}, []status.Code{status.CodeShrank}, "", before(.5)},
		"lost an hour ago":      {[]status.Copy{raw(before(1), 10*mib, 99), raw(before(2), 90*mib, 97)}, nil, "", time.Time{}},
		"after a long stop": {[]status.Copy{raw(before(70), 90*mib, 5000)}, []status.Code{status.CodeRevisionFell}, "the revision of the newest snapshot fell to 100 from 5,000: is it the same cluster?; " +
			"the database of the newest snapshot shrank to 10 MiB, less than half of the 90 MiB before", noon},
		"one of the future": {[]status.Copy{raw(before(-5), 90*mib, 5000), raw(before(1), 10*mib, 99)}, nil, "", time.Time{}},
	} {
		t.Run(name, func(t *testing.T) {
			now := noon
			tr := status.New(local(&now))
			tr.SetInventory(status.Local, append(c.before, newest), nil)
			wantCodes(t, "now", tr, c.want...)
			got := tr.Problems()
			if len(got) == 1 && c.text != "" && got[0].Text != c.text {
				t.Error(got[0].Text)
			}
			for _, p := range got {
				if !p.Since.Equal(c.since) {
					t.Errorf("%s since %s, want %s", p.Code, p.Since, c.since)
				}
			}
		})
	}
}

// TestLossIsSeenOnANewDisk: all that there was before lies in the bucket.
func TestLossIsSeenOnANewDisk(t *testing.T) {
	now := noon
	tr := status.New(status.Options{Mirror: true, Now: func() time.Time { return now }})
	large, small := raw(noon.Add(-time.Hour), 90*mib, 99), raw(noon, 10*mib, 7)
	tr.SetInventory(status.Local, []status.Copy{small}, nil)
	tr.SetInventory(status.S3, []status.Copy{{Name: large.Name, Size: large.Size}}, nil)
	wantCodes(t, "before the manifest in the bucket was read", tr)
	tr.SetManifests(status.S3, map[snapshot.Name]snapshot.Facts{large.Name: large.Facts})
	wantCodes(t, "after that", tr, status.CodeRevisionFell)
}

// TestManualSnapshotsAreComparedToo: what a manual one holds counts as well.
func TestManualSnapshotsAreComparedToo(t *testing.T) {
	now := noon
	tr := status.New(local(&now))
	manual := raw(noon.Add(-time.Minute), 90*mib, 1)
	manual.Name.Set = "manual"
	tr.SetInventory(status.Local, []status.Copy{raw(noon, 10*mib, 2), manual}, nil)
	wantCodes(t, "now", tr, status.CodeShrank)
}

// TestLossEndsWhereAnotherMemberTakesTheSnapshots: there no newer one would end it.
func TestLossEndsWhereAnotherMemberTakesTheSnapshots(t *testing.T) {
	for _, x := range []struct {
		after    time.Duration
		want     []status.Code
		compared bool
	}{{time.Minute, []status.Code{status.CodeShrank}, true}, {time.Hour, nil, true}, {24 * time.Hour, nil, false}} {
		now := noon
		tr := status.New(local(&now))
		tr.SetInventory(status.Local, []status.Copy{raw(noon.Add(-time.Minute), 10*mib, 1)}, nil)
		statustest.Take(tr, noon, raw(noon, mib, 2))
		now = noon.Add(x.after)
		tr.End(status.Snapshot, now, status.Outcome{Skipped: true, Reason: status.Role})
		wantCodes(t, x.after.String(), tr, x.want...)
		if _, ok := tr.State().Compare(23*time.Hour+30*time.Minute, now); ok != x.compared {
			t.Errorf("after %s it is compared with the day before: %t", x.after, ok)
		}
	}
}

func TestNewestIsNotOneOfTheFuture(t *testing.T) {
	now := noon
	tr := status.New(local(&now))
	future, today := raw(noon.Add(3*time.Hour), 7, 7), raw(noon.Add(-time.Hour), 3, 3)
	for _, c := range []struct {
		copies []status.Copy
		want   []status.Copy
	}{{[]status.Copy{future, today}, []status.Copy{today}}, {[]status.Copy{future}, nil}} {
		tr.SetInventory(status.Local, c.copies, nil)
		var got []status.Copy
		if x, ok := tr.State().Newest(now); ok {
			got = append(got, x)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("the newest is %v, want %v", got, c.want)
		}
	}
	wantCodes(t, "of the future only", tr, status.CodeNoSnapshot)
}

// TestLossIsSeenWhenWhatCameBeforeIsDamaged: the large snapshot was renamed, and its manifest can't be read any more.
func TestLossIsSeenWhenWhatCameBeforeIsDamaged(t *testing.T) {
	now := noon
	tr := status.New(local(&now))
	large, small := raw(noon.Add(-time.Hour), 90*mib, 5000), raw(noon, 10*mib, 100)
	tr.SetInventory(status.Local, []status.Copy{large, small}, nil)
	broken := status.Copy{Name: large.Name, Size: large.Size, Damage: "its end is missing", Found: noon}
	tr.SetBroken([]status.Copy{broken})
	tr.SetInventory(status.Local, []status.Copy{small}, nil)
	wantCodes(t, "set aside", tr, status.CodeRevisionFell, status.CodeDamaged)
	tr.SetBroken(nil)
	wantCodes(t, "removed", tr)
}

// keyed is a snapshot with so many keys; below 0: not known.
func keyed(at time.Time, keys int64) status.Copy {
	c := raw(at, 10*mib, 100)
	if c.Cluster = 7; keys >= 0 {
		c.Keys = snapshot.Counted(keys)
	}
	return c
}

// TestKeysThatAreGoneAreAProblemForADay: as long as the guard keeps what has them.
func TestKeysThatAreGoneAreAProblemForADay(t *testing.T) {
	before := keyed(noon.Add(-time.Hour), 189_000)
	for after, want := range map[time.Duration][]status.Code{0: {status.CodeKeysFell}, 22 * time.Hour: {status.CodeKeysFell}, 24 * time.Hour: nil} {
		now := noon.Add(after)
		tr := status.New(local(&now))
		tr.SetInventory(status.Local, []status.Copy{before, keyed(noon, 12), keyed(now, 12)}, nil)
		wantCodes(t, after.String(), tr, want...)
		const text = "the newest snapshot has 12 keys, less than half of the 189,000 before: if nobody deleted them on purpose, restore " +
			"rolling_node-a_20261122T111230Z.db.zst. It is protected from pruning until 2026-11-23 11:42:30 UTC: docs/ALERTS.md, EtcdBackupKeysFell"
		for _, p := range tr.Problems() {
			if p.Text != text || !p.Since.Equal(noon) {
				t.Errorf("since %s: %s", p.Since, p.Text)
			}
		}
	}
}

// TestKeysThatCouldNotBeCountedEndNoProblem: the newest snapshot does not say whether they are back.
func TestKeysThatCouldNotBeCountedEndNoProblem(t *testing.T) {
	now := noon
	tr := status.New(local(&now))
	list := []status.Copy{keyed(noon.Add(-2*time.Hour), 1000), keyed(noon.Add(-time.Hour), 0), keyed(noon, -1)}
	tr.SetInventory(status.Local, list, nil)
	wantCodes(t, "not counted", tr, status.CodeKeysFell)
	tr.End(status.Drill, now, status.Outcome{Name: list[2].Name, Keys: snapshot.Counted(990)})
	wantCodes(t, "counted by a drill", tr)
}

func TestBytesInUseThatFellAreAProblemForAnHour(t *testing.T) {
	in := func(at time.Time, bytes int64) status.Copy {
		c := keyed(at, 100)
		c.InUse = bytes
		return c
	}
	for after, want := range map[time.Duration][]status.Code{0: {status.CodeInUseFell}, 2 * time.Hour: nil} {
		now := noon.Add(after)
		tr := status.New(local(&now))
		tr.SetInventory(status.Local, []status.Copy{in(noon.Add(-time.Hour), 9*mib), in(noon, 4*mib), in(now, 4*mib)}, nil)
		wantCodes(t, after.String(), tr, want...)
	}
}

// TestLossOfKeysNamesAnIntactSnapshot: what is damaged shows the loss, and nobody can restore it.
func TestLossOfKeysNamesAnIntactSnapshot(t *testing.T) {
	before := func(hours int, keys int64) status.Copy { return keyed(noon.Add(-time.Duration(hours)*time.Hour), keys) }
	older, last, newest := before(2, 190), before(1, 200), before(0, 0)
	set := func(c status.Copy) status.Copy { c.Damage, c.Found = "page 17", noon; return c }
	for name, c := range map[string]struct {
		local, broken, remote []status.Copy
		want                  string
	}{
		"the last one is set aside":     {[]status.Copy{older, newest}, []status.Copy{set(last)}, nil, "restore " + older.Name.String() + ". It is protected"},
		"both are damaged":              {[]status.Copy{set(older), newest}, []status.Copy{set(last)}, nil, "look for another copy"},
		"an intact copy is in S3":       {[]status.Copy{newest}, []status.Copy{set(last)}, []status.Copy{last}, "restore " + last.Name.String() + ". It is protected"},
		"only S3 knows what it had":     {[]status.Copy{newest}, []status.Copy{{Name: last.Name, Damage: "set aside as damaged"}}, []status.Copy{last}, "restore " + last.Name.String()},
		"the copy in S3 is the damaged": {[]status.Copy{last, newest}, nil, []status.Copy{set(last)}, "restore " + last.Name.String()},
	} {
		t.Run(name, func(t *testing.T) {
			tr := status.New(status.Options{Mirror: true, Now: func() time.Time { return noon }})
			tr.SetInventory(status.Local, c.local, nil)
			tr.SetInventory(status.S3, c.remote, nil)
			tr.SetBroken(c.broken)
			if got := texts(tr.State().Losses(noon)); !strings.Contains(got, c.want) {
				t.Errorf("%s\nwant: %s", got, c.want)
			}
		})
	}
}
