package page_test

import (
	"strings"
	"testing"
	"time"

	"etcd-rolling-backup/daemon/status"
	"etcd-rolling-backup/internal/statustest"
)

const wouldLose = "A restore now would lose"

// journalStops lets the journal of a daemon stand still since then.
func journalStops(since time.Time, r status.Reason, message string) *status.Tracker {
	now := noon
	tr := statustest.Journaled(&now)
	tr.SetJournal(func(j *status.Journal) {
		j.Running, j.Since, j.Confirmed, j.At, j.Reason, j.Message = false, since, since, since, r, message
		j.Local.At, j.Bucket.At = since, since.Add(-31*time.Second)
	})
	return tr
}

// journalBreaks has n gaps of ten minutes, an hour apart, the newest of two hours ago.
func journalBreaks(n int) *status.Tracker {
	now := noon
	tr := statustest.Journaled(&now)
	list := statustest.History(noon)
	tr.SetJournal(func(j *status.Journal) {
		j.Local.Ranges = nil
		for i := n; i >= 0; i-- {
			x := status.Range{First: list[i+1].Revision, Last: list[i].Revision - 200, From: list[i+1].Name.Time, To: list[i].Name.Time.Add(-10 * time.Minute)}
			if i == 0 {
				x.Last, x.To = j.Revision, noon
			}
			j.Local.Ranges = append(j.Local.Ranges, x)
		}
	})
	return tr
}

// journalProven had a drill, which found that or nothing wrong.
func journalProven(wrong string) *status.Tracker {
	now := noon
	tr := statustest.Journaled(&now)
	tr.SetJournal(func(j *status.Journal) {
		j.Prove(status.Proof{At: noon.Add(-3 * time.Hour), Restored: 48_000_000, Message: wrong})
	})
	return tr
}

// journalBegins has recorded nothing yet, because nobody has written.
func journalBegins() *status.Tracker {
	now := noon
	tr := statustest.Healthy(&now)
	tr.SetJournal(func(j *status.Journal) {
		j.On, j.Running, j.Since, j.Revision, j.Confirmed = true, true, noon, statustest.History(noon)[0].Revision, noon.Add(-4*time.Second)
	})
	return tr
}

func TestRecoveryPointIsOneFigure(t *testing.T) {
	now := noon
	ill := statustest.Unhealthy(&now)
	local := statustest.Journaled(&now)
	local.SetDrills(false, status.Local)
	for name, c := range map[string]struct {
		tr             *status.Tracker
		mood, headline string
		fact, summary  string
	}{
		"off": {statustest.Healthy(&now), "well", "Healthy", "", ""},
		"well": {
			statustest.Journaled(&now), "well", "Healthy",
			"at most 1 s; with this disk; 31 s from S3; any moment since 2026-11-17 00:00:00 UTC, except in 1 gap",
			"A restore now would lose at most 1 s with this disk, 31 s from S3.",
		},
		"stopped, and less old than the newest snapshot": {
			journalStops(noon.Add(-7*time.Minute), status.Timeout, "m"), "ill", "Snapshots work, the journal needs attention",
			"at most 7 min; with this disk; 8 min from S3; any moment", "A restore now would lose at most 7 min with this disk, 8 min from S3.",
		},
		"stopped before the newest snapshot": {
			journalStops(noon.Add(-70*time.Minute), status.Timeout, "m"), "ill", "Snapshots work, the journal needs attention",
			"at most 13 min; with this disk; 13 min from S3; any moment", "A restore now would lose at most 13 min with this disk",
		},
		"interrupted": {
			journalStops(noon.Add(-time.Minute), status.Unreachable, "refused"), "wait", "Snapshots work, the journal was interrupted", "at most 1 min; with this disk;", "",
		},
		"the disk is too full": {
			journalStops(noon.Add(-time.Minute), status.LowSpace, "m"), "ill", "Snapshots work, the journal needs attention", "at most 1 min;", "",
		},
		"wrong": {journalProven("revision 7 is missing"), "ill", "Snapshots work, the journal needs attention", "at most 1 s; with this disk; 31 s from S3; any moment", ""},
		"proven": {
			journalProven(""), "well", "Healthy",
			"at most 1 s; with this disk; 31 s from S3; any moment since 2026-11-17 00:00:00 UTC, except in 1 gap; restored by a drill 3 h ago", "",
		},
		"begins": {journalBegins(), "well", "Healthy", "at most 4 s; with this disk; 4 s from S3", "at most 4 s with this disk, 4 s from S3."},
		"breaks": {
			journalBreaks(5), "well", "Healthy",
			"at most 1 s; with this disk; 31 s from S3; any moment since 2026-11-22 06:00:00 UTC, except in 5 gaps", "",
		},
		"starting": {status.New(status.Options{JournalSegment: time.Second, Now: statustest.Noon}), "wait", "Starting", "not known yet", ""},
	} {
		t.Run(name, func(t *testing.T) {
			body := show(t, c.tr)
			wantState(t, body, c.mood, c.headline)
			if got := factOf(body, wouldLose); !strings.HasPrefix(got, c.fact) || c.fact == "" && got != "" {
				t.Errorf("the figure is\n%s\nwant\n%s", got, c.fact)
			}
			wantTexts(t, body, c.summary)
		})
	}
	ill.SetJournal(func(j *status.Journal) { j.On, j.Reason, j.Since = true, status.LowSpace, noon })
	wantState(t, show(t, ill), "ill", "Needs attention")
}

// TestPageWithoutAJournalHasNoWordOfIt: it looks as before.
func TestPageWithoutAJournalHasNoWordOfIt(t *testing.T) {
	now := noon
	body := show(t, statustest.Healthy(&now))
	body = body[strings.Index(body, "</style>"):]
	for _, word := range []string{"ournal", "would lose", "--at", `class="bars"`, `class="gaps"`} {
		if strings.Contains(body, word) {
			t.Errorf("shows %q", word)
		}
	}
}

// TestTimelineShowsTheJournalAndItsGaps in a line for each place.
func TestTimelineShowsTheJournalAndItsGaps(t *testing.T) {
	now := noon
	const gap = "a gap of the journal, of which no moment can be restored"
	body := show(t, statustest.Journaled(&now))
	wantTexts(t, body, ">Journal</text>", ">S3 journal</text>", gap+": from 2026-11-21 11:12:30 UTC to 2026-11-21 13:00:00 UTC<")
	wantTexts(t, show(t, journalBreaks(5)), gap+": from 2026-11-22 10:50:00 UTC to 2026-11-22 11:00:00 UTC, from 2026-11-22 09:50:00 UTC to 2026-11-22 10:00:00 UTC, "+
		"from 2026-11-22 08:50:00 UTC to 2026-11-22 09:00:00 UTC, and 2 earlier ones<")
	if bars, gaps := strings.Count(body, `<path class="bars" d="M`), strings.Count(body, `<path class="gaps" d="M`); bars != 6 || gaps != 6 { // three widths, two places
		t.Errorf("%d lines of the journal, %d with gaps", bars, gaps)
	}
	tr := journalBreaks(1)
	tr.SetJournal(func(j *status.Journal) {
		j.Local.Ranges[1].Restored, j.Local.Ranges[1].From = true, j.Local.Ranges[1].From.Add(-600*time.Millisecond)
	})
	wantTexts(t, show(t, tr), gap+": from 2026-11-22 10:50:00 UTC to 2026-11-22 11:00:00 UTC, where the cluster was restored<")
	tr = statustest.Journaled(&now)
	tr.SetJournal(func(j *status.Journal) { j.Local.Ranges, j.Bucket.Ranges = j.Local.Ranges[1:], nil })
	body = show(t, tr)
	if strings.Contains(body, gap) || strings.Contains(body, "S3 journal") || strings.Count(body, `<path class="bars"`) != 3 {
		t.Error("one range has a gap, or S3 without a journal a line")
	}
	tr = statustest.Journaled(&now)
	o := status.Options{JournalSegment: time.Minute, Now: statustest.Noon}
	alone := status.New(o)
	alone.SetInventory(status.Local, statustest.History(noon), nil)
	alone.SetJournal(func(j *status.Journal) { *j = tr.State().Journal })
	if body = show(t, alone); strings.Contains(body, "S3 journal") || strings.Contains(body, "from S3") {
		t.Error("shows S3, which is off")
	}
}

func TestRestoreCommandOfAJournalSaysWhatItRestores(t *testing.T) {
	now := noon
	wantTexts(t, show(t, statustest.Journaled(&now)), "taken 12 min ago, from the disk, and the changes after it that the journal has.", `<code>--at "10m ago"</code>`)
}
