package metrics

import (
	"fmt"
	"slices"
	"time"
)

const (
	// tolerated is how many failures in a row of snapshots or of the mirror are no news yet: the next try may mend them.
	tolerated = 2
	// toleratedStarts is how often within crashWindow a daemon may be started: people try settings.
	toleratedStarts = 5
	crashWindow     = time.Hour
)

// grace is how late a run of this kind may be, half of its schedule's interval. The daemon begins runs within seconds, so it is for
// the runs themselves and for trying again, which drills do with longer pauses.
func (s *state) grace(k Kind) time.Duration {
	low, high := 2*time.Minute, 30*time.Minute
	if k == Drill {
		low, high = 2*time.Hour, 24*time.Hour
	}
	return min(max(s.plans[k].interval/2, low), high)
}

// patience is how long after it was due a snapshot may be under way: a large database may take longer than the grace. Once the
// next one is due too, it is late in any case.
func (s *state) patience() time.Duration { return max(s.grace(Snapshots), s.plans[Snapshots].interval) }

// reasons tells why not all is well; none: it is.
func (s *state) reasons(now time.Time) []string {
	if !s.rebuilt {
		return []string{"what the disk and the bucket hold is not known yet"}
	}
	var out []string
	add := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	if s.unlisted != "" {
		add("the snapshots on the disk can't be read: %s", s.unlisted)
	}
	s.snapshotReasons(now, add)
	if s.unpruned != "" {
		add("pruning on the disk failed: %s", s.unpruned)
	}
	s.shrinkReasons(now, add)
	if n := s.startsSince(now.Add(-crashWindow)); n > toleratedStarts {
		add("the daemon was started %d times within an hour, the last at %s", n, absolute(s.starts[len(s.starts)-1]))
	}
	if s.switched[Mirror] {
		s.mirrorReasons(now, add)
	}
	damaged := s.damaged()
	if len(damaged) > 0 {
		add("damage was found in %s", someOf(damaged))
	}
	if t := s.tracks[Verify]; t.failures > 0 && (t.reason != Damaged || len(damaged) == 0) {
		add("verification%s failed: %s", of(t.name), t.because())
	}
	if s.switched[Drill] {
		s.drillReasons(now, add)
	}
	if s.others != nil {
		out = append(out, s.others()...)
	}
	return out
}

func (s *state) snapshotReasons(now time.Time, add func(string, ...any)) {
	t, due := s.tracks[Snapshots], s.plans[Snapshots].due
	late := now.Sub(due)
	switch {
	case due.IsZero():
	case t.running && late > s.patience():
		add("the snapshot due at %s is under way since %s and not done", absolute(due), absolute(t.attempt))
	case !t.running && late > s.grace(Snapshots):
		add("no snapshot since the one due at %s, %s late", absolute(due), span(late))
	}
	if t.failures > tolerated {
		add("%d snapshots failed in a row, the last at %s: %s", t.failures, absolute(t.failed), t.because())
	}
	switch here := slices.ContainsFunc(s.stock[Local], func(x Snapshot) bool { return !x.Time.After(now) }); {
	case s.unlisted != "": // nobody knows
	case here || t.settled.After(t.success): // or left to another member
	case t.success.IsZero():
		add("there is no snapshot on the disk yet")
	default:
		add("there is no snapshot on the disk any more")
	}
}

func (s *state) drillReasons(now time.Time, add func(string, ...any)) {
	t, due := s.tracks[Drill], s.plans[Drill].due
	if t.failures > 0 {
		add("restore drill%s failed: %s", of(t.name), t.because())
	}
	if late := now.Sub(due); !due.IsZero() && late > s.grace(Drill) {
		add("no restore drill has passed since the one due at %s, %s late", absolute(due), span(late))
	}
}

// startsSince counts the starts after that time.
func (s *state) startsSince(after time.Time) int {
	n := 0
	for _, t := range s.starts {
		if t.After(after) {
			n++
		}
	}
	return n
}

func (s *state) mirrorReasons(now time.Time, add func(string, ...any)) {
	t := s.tracks[Mirror]
	oldest, limit := s.oldestWaiting(), s.plans[Snapshots].interval+s.grace(Snapshots)
	switch {
	case !oldest.IsZero() && now.Sub(oldest) > limit:
		add("S3 is behind since %s%s", absolute(oldest), s.waiters())
	case !s.missedAt.IsZero() && now.Sub(s.missedAt) <= limit:
		add("snapshots were pruned on the disk before S3 had them, the last at %s: S3 was away or is too slow, or the disk keeps too few", absolute(s.missedAt))
	}
	_, known := s.stock[S3]
	switch {
	case t.failures > tolerated:
		add("mirroring failed %d times in a row, the last at %s: %s", t.failures, absolute(t.failed), t.because())
	case s.awaitsS3():
		add("S3 has not answered since the start")
	// What waits is not known either, so waiting alone would look well, and does in a crash loop.
	case !known:
		add("S3 could not be listed since the start: %s", t.because())
	}
}

// waiters counts, behind another word, those that wait, and those that did until they were pruned.
func (s *state) waiters() string {
	var out string
	if n := len(s.waiting); n > 0 {
		out = ", " + count(n, "snapshot waits", "snapshots wait") + " for it"
	}
	if s.unseen > 0 {
		out += ", " + count(s.unseen, "was", "were") + " pruned here before it had them"
	}
	return out
}

// awaitsS3 is true from the start until the mirror's first pass has listed the bucket or failed.
func (s *state) awaitsS3() bool {
	_, known := s.stock[S3]
	return s.switched[Mirror] && !known && s.tracks[Mirror].failures == 0
}

// because is the last failure's text for people, or its class where there is none.
func (t *track) because() string {
	if t.message == "" {
		return string(t.reason)
	}
	return t.message
}

func of(name string) string {
	if name == "" {
		return ""
	}
	return " of " + name
}

// someOf names the first and counts the others.
func someOf(names []string) string {
	if len(names) == 1 {
		return names[0]
	}
	return fmt.Sprintf("%s and %s", names[0], count(len(names)-1, "other", "others"))
}
