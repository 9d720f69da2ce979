package retention_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"etcd-rolling-backup/retention"
)

// recorded is a history of snapshots and segments, in hours since it began.
type recorded struct {
	bases    []retention.Item
	segments []retention.Segment
}

func hour(h float64) time.Time { return now.Add(time.Duration(h * float64(time.Hour))) }

func (r *recorded) base(h float64, revision int64) {
	r.bases = append(r.bases, retention.Item{ID: fmt.Sprintf("base at %v", h), Time: hour(h), Revision: revision})
}

func (r *recorded) segment(h float64, first, last int64) {
	r.segments = append(r.segments, retention.Segment{ID: fmt.Sprintf("%d-%d", first, last), Begun: hour(h), First: first, Last: last})
}

// prune removes what neither the policy nor the journal needs, and returns what the journal keeps.
func (r *recorded) prune(p retention.Policy, keep time.Duration, at time.Time) (journal []string) {
	plan := retention.Plan(r.bases, p, at)
	remove := retention.Journal(plan, r.segments, keep, at)
	for _, d := range plan {
		if slices.Contains(d.Reasons, "journal") {
			journal = append(journal, d.ID)
		}
	}
	r.bases = keptItems(plan)
	r.segments = slices.DeleteFunc(r.segments, func(s retention.Segment) bool { return slices.Contains(remove, s.ID) })
	return journal
}

func (r *recorded) ids() (out []string) {
	for _, s := range r.segments {
		out = append(out, s.ID)
	}
	return out
}

// hourly records 100 revisions and a snapshot in each hour, and a segment each half an hour.
func hourly(hours int) *recorded {
	r := &recorded{}
	for h := range hours {
		r.base(float64(h), int64(100*h+1))
		r.segment(float64(h), int64(100*h+2), int64(100*h+51))
		r.segment(float64(h)+0.5, int64(100*h+52), int64(100*h+101))
	}
	return r
}

func wantTexts(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: %q, not %q", what, got, want)
	}
}

var lastOne = retention.Policy{Last: 1}

func TestJournalKeepsTheNewestSnapshotBeforeItsHorizonAndAllThatFollows(t *testing.T) {
	r := hourly(10)
	wantTexts(t, "kept for the journal", r.prune(lastOne, 3*time.Hour, hour(9.75)), "base at 9", "base at 8", "base at 7", "base at 6") // each is more than an eighth of 3 hours after the one before
	wantTexts(t, "segments", r.ids(), "602-651", "652-701", "702-751", "752-801", "802-851", "852-901", "902-951", "952-1001")
}

// The policy keeps fewer snapshots than the journal is long. Each day one that it kept takes the place of the first one, so that the journal does not grow forever.
func TestFirstSnapshotOfTheJournalIsReplacedWhereThePolicyKeepsLess(t *testing.T) {
	const day, week = 24, 7 * 24
	r := &recorded{}
	for h := range 6 * week {
		r.base(float64(h), int64(100*h+1))
		r.segment(float64(h), int64(100*h+2), int64(100*h+51))
		r.segment(float64(h)+0.5, int64(100*h+52), int64(100*h+101))
		journal := r.prune(retention.Policy{Last: day}, week*time.Hour, hour(float64(h)+0.75))
		if most := 7 + 2; len(journal) > most {
			t.Fatalf("hour %d: %d snapshots are kept for the journal, and %d are enough: %q", h, len(journal), most, journal)
		}
		if most := 2 * (week + day + 1); len(r.segments) > most {
			t.Fatalf("hour %d: %d segments, and %d are enough", h, len(r.segments), most)
		}
		from := hour(float64(max(0, h-week+1)))
		if first := r.bases[len(r.bases)-1]; first.Time.After(from) || r.segments[0].First > first.Revision+1 {
			t.Fatalf("hour %d: %+v is the first snapshot, and %+v the first segment", h, first, r.segments[0])
		}
	}
}

func TestJournalThatIsYoungerThanItsHorizonKeepsItsFirstSnapshot(t *testing.T) {
	r := &recorded{}
	for h := range 5 {
		r.base(float64(h), int64(100*h+1))
	}
	r.segment(2.9, 302, 310)
	r.segment(3.5, 311, 0)
	wantTexts(t, "kept for the journal", r.prune(lastOne, 7*24*time.Hour, hour(4)), "base at 3") // the segment that is being written leads to the one at 4
	wantTexts(t, "segments", r.ids(), "302-310", "311-0")
}

// Daily snapshots are a day apart, and sometimes seconds less: so each of a week is kept.
func TestJournalKeepsEachOfDailySnapshots(t *testing.T) {
	r := &recorded{}
	var want []string
	for d := range 9 {
		r.base(24*float64(d)-0.001*float64(d), int64(100*d+1))
		r.segment(24*float64(d)+0.1, int64(100*d+2), int64(100*d+101))
		if d > 0 {
			want = slices.Insert(want, 0, r.bases[d].ID)
		}
	}
	wantTexts(t, "kept for the journal", r.prune(lastOne, 7*24*time.Hour, hour(24*8.5)), want...)
}

// Of these hours, an eighth is between one and two: so each second one is kept too.
func TestJournalKeepsTheFirstSnapshotBehindEachGap(t *testing.T) {
	r := hourly(10)
	r.segments = slices.DeleteFunc(r.segments, func(s retention.Segment) bool { return s.ID == "352-401" || s.ID == "652-701" })
	wantTexts(t, "kept for the journal", r.prune(lastOne, 8*time.Hour+time.Minute, hour(9.75)), "base at 9", "base at 7", "base at 6", "base at 4", "base at 3", "base at 1")
}

func TestJournalOfAnEarlierClusterNeedsItsOwnSnapshot(t *testing.T) {
	for name, predecessor := range map[string]string{"of another ID": "a", "of the same ID": ""} {
		t.Run(name, func(t *testing.T) {
			r := hourly(6)
			for i := range r.bases {
				r.bases[i].Predecessor = predecessor
			}
			for h := 6; h < 10; h++ { // restored from the snapshot of 2:00
				r.base(float64(h), int64(100*(h-4)+1))
				r.segment(float64(h), int64(100*(h-4)+2), int64(100*(h-4)+101))
			}
			got := r.prune(lastOne, 9*time.Hour, hour(9.75))
			if !slices.Contains(got, "base at 0") || !slices.Contains(got, "base at 6") {
				t.Errorf("kept for the journal are %q", got)
			}
			before := len(r.segments)
			r.prune(lastOne, 2*time.Hour, hour(9.75))
			if before != 16 || slices.Contains(r.ids(), "402-451") || !slices.Contains(r.ids(), "302-401") {
				t.Errorf("of %d segments %q are left", before, r.ids())
			}
		})
	}
}

func TestSegmentsWithoutASnapshotAgeOut(t *testing.T) {
	r := hourly(10)
	r.bases = nil
	r.prune(lastOne, 3*time.Hour, hour(9.75))
	if len(r.segments) != 13 {
		t.Errorf("left are %q", r.ids())
	}
	r.prune(lastOne, 3*time.Hour, hour(100))
	wantTexts(t, "left", r.ids(), "952-1001")
}

func TestWithoutSegmentsTheJournalKeepsNothing(t *testing.T) {
	r := hourly(10)
	r.segments = nil
	if got := r.prune(lastOne, 3*time.Hour, hour(9.75)); len(got) != 0 || len(r.bases) != 1 {
		t.Errorf("kept are %q, %v", got, r.bases)
	}
}

func TestSegmentThatIsBeingWrittenIsNeverRemoved(t *testing.T) {
	r := hourly(3)
	r.segment(0.1, 20, 0)
	r.prune(lastOne, time.Minute, hour(1000))
	if !slices.Contains(r.ids(), "20-0") {
		t.Errorf("left are %q", r.ids())
	}
}

// drawRecorded draws hours of a journal with gaps, idle times, restores to an earlier revision, and a clock that is set.
func drawRecorded(t *rapid.T) *recorded {
	r := &recorded{}
	revision, clock, cluster := int64(1), 0.0, 0
	for i := range rapid.IntRange(1, 40).Draw(t, "steps") {
		clock += rapid.SampledFrom([]float64{0.01, 0.5, 1, 3}).Draw(t, "pause")
		switch rapid.SampledFrom([]string{"segment", "segment", "segment", "base", "base", "gap", "restore", "clock"}).Draw(t, "step") {
		case "segment":
			last := revision + int64(rapid.IntRange(1, 50).Draw(t, "events"))
			r.segments = append(r.segments, retention.Segment{ID: fmt.Sprint("s", i), Begun: hour(clock), First: revision + 1, Last: last})
			revision = last
		case "base":
			r.bases = append(r.bases, retention.Item{ID: fmt.Sprint("b", i), Time: hour(clock), Revision: revision, Predecessor: fmt.Sprint(cluster)})
		case "gap":
			revision += 10
		case "restore":
			revision, cluster = max(1, revision-int64(rapid.IntRange(0, 60).Draw(t, "back"))), cluster+1
		case "clock":
			clock = max(0, clock-float64(rapid.IntRange(0, 2).Draw(t, "set back")))
		}
	}
	for i, b := range r.bases {
		if b.Predecessor == fmt.Sprint(cluster) {
			r.bases[i].Predecessor = ""
		}
	}
	return r
}

// Whatever the clock did and however often the cluster was restored: what may have ended within the horizon stays, and so does the last segment.
func TestSegmentsWithinTheHorizonStay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := drawRecorded(t)
		keep, at := time.Hour*time.Duration(rapid.IntRange(1, 30).Draw(t, "keep")), hour(float64(rapid.IntRange(0, 80).Draw(t, "now")))
		before := slices.SortedStableFunc(slices.Values(r.segments), func(a, b retention.Segment) int { return a.Begun.Compare(b.Begun) })
		r.prune(lastOne, keep, at)
		for i, s := range before {
			if last := i == len(before)-1; (last || before[i+1].Begun.After(at.Add(-keep))) && !slices.Contains(r.segments, s) {
				t.Fatalf("%v is removed", s)
			}
		}
	})
}

func TestPruningAJournalAgainRemovesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := drawRecordedInOrder(t)
		keep, at := time.Hour*time.Duration(rapid.IntRange(1, 30).Draw(t, "keep")), hour(float64(rapid.IntRange(0, 80).Draw(t, "now")))
		r.prune(lastOne, keep, at)
		bases, segments := slices.Clone(r.bases), slices.Clone(r.segments)
		r.prune(lastOne, keep, at)
		if !slices.Equal(r.bases, bases) || !slices.Equal(r.segments, segments) {
			t.Fatalf("first left\n%v\n%v, then\n%v\n%v", bases, segments, r.bases, r.segments)
		}
	})
}

// What could be restored of the last keep before pruning, can be restored after it, however often it is pruned.
func TestEveryMomentWithinTheHorizonStaysRestorable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := drawRecordedInOrder(t)
		keep := time.Hour * time.Duration(rapid.IntRange(1, 20).Draw(t, "keep"))
		left := &recorded{}
		seen := recorded{}
		steps := append(slices.Clone(all.segments), retention.Segment{Begun: hour(1e3)})
		for i, s := range steps[:len(steps)-1] { // pruned while it grows
			at := steps[i+1].Begun
			left.segments, seen.segments = append(left.segments, s), append(seen.segments, s)
			for _, b := range all.bases {
				if !b.Time.Before(s.Begun) && b.Time.Before(at) {
					left.bases, seen.bases = append(left.bases, b), append(seen.bases, b)
				}
			}
			if i == len(steps)-2 {
				at = s.Begun.Add(time.Minute)
			}
			left.prune(lastOne, keep, at)
			horizon := at.Add(-keep)
			for j, x := range seen.segments {
				ended := at
				if j+1 < len(seen.segments) {
					ended = seen.segments[j+1].Begun
				}
				for _, b := range seen.bases {
					if b.Revision > x.Last && b.Time.Before(ended) {
						ended = b.Time
					}
				}
				if ended.After(horizon) && seen.restores(x.Last, ended) && !left.restores(x.Last, ended) {
					t.Fatalf("at %v, revision %d of %v can't be restored any more: left are\n%v\n%v", at, x.Last, ended, left.bases, left.segments)
				}
			}
		}
	})
}

// restores reports whether a snapshot from before a time leads to the revision.
func (r recorded) restores(revision int64, until time.Time) bool {
	return slices.ContainsFunc(r.bases, func(b retention.Item) bool {
		at := b.Revision
		if at > revision || b.Time.After(until) {
			return false
		}
		for _, s := range r.segments {
			if s.First <= at+1 && s.Last > at && s.Begun.Before(until) {
				at = s.Last
			}
		}
		return at >= revision
	})
}

// drawRecordedInOrder draws a journal of one cluster whose clock is right.
func drawRecordedInOrder(t *rapid.T) *recorded {
	r := &recorded{}
	revision, clock := int64(1), 0.0
	for i := range rapid.IntRange(1, 60).Draw(t, "steps") {
		clock += rapid.SampledFrom([]float64{0.1, 0.5, 1, 3}).Draw(t, "pause")
		switch rapid.SampledFrom([]string{"segment", "segment", "segment", "base", "gap"}).Draw(t, "step") {
		case "segment":
			last := revision + int64(rapid.IntRange(1, 50).Draw(t, "events"))
			r.segments = append(r.segments, retention.Segment{ID: fmt.Sprint("s", i), Begun: hour(clock), First: revision + 1, Last: last})
			revision = last
		case "base":
			r.bases = append(r.bases, retention.Item{ID: fmt.Sprint("b", i), Time: hour(clock), Revision: revision})
		case "gap": // and the snapshot after it
			revision += 10
			r.bases = append(r.bases, retention.Item{ID: fmt.Sprint("b", i), Time: hour(clock), Revision: revision})
		}
	}
	return r
}
