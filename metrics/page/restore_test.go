package page_test

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

// TestDamagedCopyIsNotRestored plays what is found in copies of the newest of two snapshots, both on the disk and in S3. restore is what the
// page restores and from where, tags are what it says of the newest, word is in its text.
func TestDamagedCopyIsNotRestored(t *testing.T) {
	list := statustest.History(noon)[:2]
	x, older := list[0].Name, list[1].Name
	found := errors.New("m")
	find := func(tr *status.Tracker, p status.Place) { tr.SetDamaged(p, noon, x, found) }
	verified := func(tr *status.Tracker) { tr.End(status.Verify, noon, status.Outcome{Name: x, Took: time.Second}) }
	failed := func(tr *status.Tracker) {
		tr.End(status.Verify, noon, status.Outcome{Name: x, Reason: status.Damaged, Message: "m"})
	}
	rename := func(tr *status.Tracker) {
		tr.SetBroken([]status.Copy{{Name: x, Size: list[0].Size}})
		tr.SetInventory(status.Local, list[1:], nil)
	}
	const healthy = "last good snapshot 12 min ago, next"
	for name, c := range map[string]struct {
		from                status.Place
		story               func(tr *status.Tracker)
		restore, tags, word string
		verdict             string // of the newest's verification
	}{
		"none": {"", func(*status.Tracker) {}, "local " + x.String(), "disk|S3", healthy, "verified when taken"},
		"on the disk, by verification": {
			"", failed, "s3 " + x.String(), "disk, damaged!|S3", "and the copy in s3 has not been verified since it was uploaded", "✗ damaged, just now",
		},
		"on the disk, by the mirror": {
			"", func(tr *status.Tracker) { find(tr, status.Local) },
			"s3 " + x.String(), "disk, damaged!|S3", "and the copy in s3 has not been verified since it was uploaded", "✗ damaged, just now",
		},
		"on the disk, set aside": {
			"", func(tr *status.Tracker) { failed(tr); rename(tr) },
			"s3 " + x.String(), "disk, damaged!|S3", "and the copy in s3 has not been verified since it was uploaded", "✗ damaged, just now",
		},
		"on the disk, set aside, and gone from S3": {
			"", func(tr *status.Tracker) { failed(tr); rename(tr); tr.SetInventory(status.S3, list[1:], nil) },
			"local " + older.String(), "disk, damaged!", "last good snapshot 1 h 12 min ago, next", "✗ damaged, just now",
		},
		"on the disk, the one in S3 verified": {
			status.S3, func(tr *status.Tracker) { find(tr, status.Local); verified(tr) },
			"s3 " + x.String(), "disk, damaged!|S3", "is damaged.", "✓ just now",
		},
		"in S3, by verification": {
			status.S3, failed, "local " + x.String(), "disk|S3, damaged!", "and the copy on the disk has not been verified since it was taken", "✗ damaged, just now",
		},
		"in both": {
			"", func(tr *status.Tracker) { find(tr, status.S3); find(tr, status.Local) },
			"local " + older.String(), "disk, damaged!|S3, damaged!", "last good snapshot 1 h 12 min ago, next", "✗ damaged, just now",
		},
		"in all": {
			"", func(tr *status.Tracker) {
				for _, p := range status.Places() {
					find(tr, p)
					tr.SetDamaged(p, noon, older, found)
				}
			},
			"", "disk, damaged!|S3, damaged!", "the newest, 12 min old, is damaged. next", "✗ damaged, just now",
		},
		"uploaded from there": {
			"", func(tr *status.Tracker) { find(tr, status.Local); tr.Uploaded(list[0], time.Second) },
			"local " + x.String(), "disk|S3", healthy, "verified when taken",
		},
		"verified again": {
			"", func(tr *status.Tracker) { find(tr, status.Local); verified(tr) }, "local " + x.String(), "disk|S3", healthy, "✓ just now",
		},
		"the other place's copy was verified": {
			"", func(tr *status.Tracker) { find(tr, status.S3); verified(tr) },
			"local " + x.String(), "disk|S3, damaged!", "its copy in s3 is damaged.", "✓ just now",
		},
		"gone from the disk": {
			"", func(tr *status.Tracker) {
				find(tr, status.Local)
				tr.Pruned(status.Local, noon, []snapshot.Name{x}, nil)
			},
			"s3 " + x.String(), "S3", healthy, "verified when taken",
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := everything()
			o.DrillFrom = c.from
			tr := tracker(o, list)
			c.story(tr)
			body := show(t, tr)
			if got := restores(body); got != c.restore {
				t.Errorf("restores %q, want %q", got, c.restore)
			}
			if got := newestTags(body); got != c.tags {
				t.Errorf("tags %q, want %q", got, c.tags)
			}
			if !strings.Contains(strings.ToLower(body), c.word) {
				t.Errorf("does not say %q", c.word)
			}
			_, row, _ := strings.Cut(body, "<tbody")
			row, _, _ = strings.Cut(row, "</tr>")
			if !strings.Contains(row, c.verdict) {
				t.Errorf("the newest is not %q in %s", c.verdict, textOf(row))
			}
		})
	}
}

// TestSnapshotThatFailedItsDrillIsNotRestored: it is the last choice.
func TestSnapshotThatFailedItsDrillIsNotRestored(t *testing.T) {
	list := statustest.History(noon)[:2]
	tr := tracker(everything(), list)
	fail := func(n snapshot.Name) {
		tr.End(status.Drill, noon, status.Outcome{Name: n, Reason: status.Start, Message: "m"})
	}
	fail(list[0].Name)
	body := show(t, tr)
	if got, want := restores(body), "local "+list[1].Name.String(); got != want {
		t.Errorf("restores %q, want %q", got, want)
	}
	wantTexts(t, body, "Restore the newest good snapshot</h2>", "The newest snapshot is skipped because it is damaged or its restore drill failed.", "✗ failed just now")
	fail(list[1].Name)
	if got, want := restores(show(t, tr)), "local "+list[0].Name.String(); got != want {
		t.Errorf("with two that failed it restores %q, want %q", got, want)
	}
}

// TestShrunkSnapshotIsDoubted: the page offers the newest, and says that the one before it had more.
func TestShrunkSnapshotIsDoubted(t *testing.T) {
	small := status.Copy{Name: statustest.Name(noon.Add(-time.Minute)), Size: 1, Facts: snapshot.Facts{RawSize: mib, Revision: 2}}
	large := status.Copy{Name: statustest.Name(noon.Add(-time.Hour)), Size: 1, Facts: snapshot.Facts{RawSize: 3 * mib, Revision: 1}}
	doubt := "Its database has 1.0 MiB; the one before it, " + large.Name.String() + ", has 3.0 MiB: which one do you want?"
	body := show(t, tracker(everything(), []status.Copy{small, large}))
	wantTexts(t, body, doubt)
	if got, want := restores(body), "local "+small.Name.String(); got != want {
		t.Errorf("restores %q, want %q", got, want)
	}
	if body := show(t, tracker(everything(), []status.Copy{small})); strings.Contains(body, "the one before") {
		t.Error("there is none before it")
	}
}

// TestSnapshotOfTheFutureIsNotTheNewest: one of a wrong clock is skipped by all that is about the newest, and says why.
func TestSnapshotOfTheFutureIsNotTheNewest(t *testing.T) {
	future, today := statustest.Taken(noon.Add(3*time.Hour), 7*mib, 7), statustest.Taken(noon.Add(-time.Hour), 3*mib, 3)
	tr := tracker(status.Options{}, []status.Copy{future, today})
	body := show(t, tr)
	wantTexts(t, body, "Last good snapshot 1 h ago", "Restore the newest snapshot</h2>", "The newest has 3.0 MiB")
	if got, want := restores(body), "local "+today.Name.String(); got != want {
		t.Errorf("restores %q, want %q", got, want)
	}
	if got := newestTags(body); got != "disk|dated in the future" || strings.Count(body, "dated in the future") != 1 {
		t.Errorf("tags %q", got)
	}
	body = show(t, tracker(status.Options{}, []status.Copy{future}))
	if restores(body) != "" || !strings.Contains(body, "here is no snapshot on the disk yet") {
		t.Error("the one of the future counts as the newest")
	}
}

// TestUnreadableDiskIsNotRestoredFrom: what was known of it may be gone.
func TestUnreadableDiskIsNotRestoredFrom(t *testing.T) {
	list := statustest.History(noon)[:3]
	for name, c := range map[string]struct {
		options status.Options
		restore string
		texts   []string
	}{
		"with S3": {everything(), "s3 " + list[0].Name.String(), []string{"Last good snapshot 12 min ago"}},
		"without": {status.Options{}, "", []string{"The last good snapshot is not known now.", "They can&#39;t be read now."}},
	} {
		t.Run(name, func(t *testing.T) {
			tr := tracker(c.options, list)
			tr.SetDamaged(status.Local, noon, list[1].Name, errors.New("m"))
			tr.SetInventory(status.Local, nil, errors.New("open /backups: no such file or directory"))
			body := show(t, tr)
			if got := restores(body); got != c.restore {
				t.Errorf("restores %q, want %q", got, c.restore)
			}
			wantTexts(t, body, append(c.texts, "<h1>Needs attention</h1>", "<li>the snapshots on the disk can&#39;t be read: open /backups")...)
			if got := newestTags(body); slices.Contains(strings.Split(got, "|"), "disk") {
				t.Errorf("tags %q", got)
			}
		})
	}
}

// TestVerdictIsOfACopy: the file that a drill has read is gone from the disk; nobody has read the copy in S3.
func TestVerdictIsOfACopy(t *testing.T) {
	now := noon
	tr := statustest.Healthy(&now)
	tr.SetInventory(status.Local, nil, nil)
	body := show(t, tr)
	if strings.Contains(body, "✓") {
		t.Error("a copy in S3 counts as verified")
	}
	wantTexts(t, body, "here is no snapshot on the disk any more")
}
