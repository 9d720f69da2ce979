package metrics_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"etcd-rolling-backup/daemon/status"
	"etcd-rolling-backup/internal/statustest"
)

// ofJournal are the lines on the journal.
func ofJournal(lines []string) string {
	lines = slices.DeleteFunc(lines, func(l string) bool { return !strings.HasPrefix(l, "journal_") })
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

func TestScrapeOfAJournal(t *testing.T) {
	now := noon
	want := strings.TrimSpace(`
journal_behind_revisions 0
journal_bytes{place="local"} 8.51443712e+08
journal_bytes{place="s3"} 8.50395136e+08
journal_drill_failures_total 0
journal_gaps_total 0
journal_proven_timestamp_seconds 0
journal_recovery_point_timestamp_seconds{place="local"} 1.7953495494e+09
journal_recovery_point_timestamp_seconds{place="s3"} 1.795349519e+09
journal_revision_timestamp_seconds{place="local"} 1.7953495493e+09
journal_revision_timestamp_seconds{place="s3"} 1.795349519e+09
journal_revision{place="local"} 4.8294422e+07
journal_revision{place="s3"} 4.8294242e+07
journal_running 1
journal_segment_seconds 30
`)
	if got := ofJournal(scrape(t, statustest.Journaled(&now))); got != want {
		t.Errorf("the scrape has:\n%s\nwant:\n%s", got, want)
	}
}

// TestWithoutAJournalThereIsNoMetricOfIt, nor one of S3 without a mirror, nor an age of decades before anything is known.
func TestWithoutAJournalThereIsNoMetricOfIt(t *testing.T) {
	now := noon
	if got := ofJournal(scrape(t, statustest.Healthy(&now))); got != "" {
		t.Errorf("switched off, the scrape has:\n%s", got)
	}
	tr := status.New(status.Options{JournalSegment: 30 * time.Second, Now: statustest.Noon})
	want := "journal_behind_revisions 0\njournal_bytes{place=\"local\"} 0\njournal_gaps_total 0\njournal_running 0\njournal_segment_seconds 30"
	if got := ofJournal(scrape(t, tr)); got != want {
		t.Errorf("before anything is known, the scrape has:\n%s", got)
	}
}

// TestScrapeOfTheJournalsUploadsAndDrills: what waits is unknown until S3 was listed. A failure keeps the time of the last proof.
func TestScrapeOfTheJournalsUploadsAndDrills(t *testing.T) {
	now := noon
	tr := statustest.Journaled(&now)
	for _, step := range []struct {
		story func()
		lines []string
	}{
		{func() { tr.SetWaitingSegments(3, 4096) }, []string{"journal_waiting_segments 3", "journal_waiting_bytes 4096"}},
		{func() { tr.SetWaitingSegments(0, 0) }, []string{"journal_waiting_segments 0", "journal_waiting_bytes 0"}},
		{
			func() {
				tr.SetJournal(func(j *status.Journal) { j.Prove(status.Proof{At: noon, Restored: 90, From: 40, To: 60}) })
			},
			[]string{"journal_drill_passed 1", "journal_drill_failures_total 0", "journal_proven_timestamp_seconds 1.79534955e+09"},
		},
		{
			func() {
				tr.SetJournal(func(j *status.Journal) {
					j.Prove(status.Proof{At: noon.Add(time.Hour), Message: "the databases differ"})
				})
			},
			[]string{"journal_drill_passed 0", "journal_drill_failures_total 1", "journal_proven_timestamp_seconds 1.79534955e+09"},
		},
	} {
		step.story()
		got := scrape(t, tr)
		for _, line := range step.lines {
			if !slices.Contains(got, line) {
				t.Errorf("lacks %s:\n%s", line, ofJournal(got))
			}
		}
	}
}
