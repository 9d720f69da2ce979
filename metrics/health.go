package metrics

import (
	"fmt"
	"time"
)

const (
	// tolerated is how many failures in a row of snapshots or of the mirror are no news yet: the next try may mend them.
	tolerated = 2
	// graceMin and graceMax bound how late a run may be, half of the schedule's interval.
	graceMin = 2 * time.Minute
	graceMax = 30 * time.Minute
)

// grace is how late a snapshot may be. The daemon begins runs within seconds, so it is for the runs themselves and for trying
// again.
func (s *state) grace() time.Duration {
	return min(max(s.interval/2, graceMin), graceMax)
}

// patience is how long after it was due a run may be under way: a large database may take longer than the grace. Once the
// next one is due too, it is late in any case.
func (s *state) patience() time.Duration { return max(s.grace(), s.interval) }

// reasons tells why not all is well; none: it is.
func (s *state) reasons(now time.Time) []string {
	if !s.rebuilt {
		return []string{"what the disk and the bucket hold is not known yet"}
	}
	var out []string
	add := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	s.snapshotReasons(now, add)
	if s.switched[Mirror] {
		s.mirrorReasons(now, add)
	}
	damaged := s.damaged()
	if len(damaged) > 0 {
		add("verification found damage in %s", someOf(damaged))
	}
	if t := s.tracks[Verify]; t.failures > 0 && (t.reason != Damaged || len(damaged) == 0) {
		add("verification%s failed: %s", of(t.name), t.because())
	}
	if t := s.tracks[Drill]; t.failures > 0 {
		add("restore drill%s failed: %s", of(t.name), t.because())
	}
	return out
}

func (s *state) snapshotReasons(now time.Time, add func(string, ...any)) {
	t := s.tracks[Snapshots]
	late := now.Sub(s.due)
	switch {
	case s.due.IsZero():
	case t.running && late > s.patience():
		add("the snapshot due at %s is under way since %s and not done", absolute(s.due), absolute(t.attempt))
	case !t.running && late > s.grace():
		add("no snapshot since the one due at %s, %s late", absolute(s.due), span(late))
	}
	if t.failures > tolerated {
		add("%d snapshots failed in a row, the last at %s: %s", t.failures, absolute(t.failed), t.because())
	}
	if _, any := s.newest(now, whichever); !any && t.settled.IsZero() {
		add("there is no snapshot yet")
	}
}

func (s *state) mirrorReasons(now time.Time, add func(string, ...any)) {
	t := s.tracks[Mirror]
	oldest := s.oldestWaiting()
	if !oldest.IsZero() && now.Sub(oldest) > s.interval+s.grace() {
		add("%s for S3, the oldest since %s", count(len(s.waiting), "snapshot waits", "snapshots wait"), absolute(oldest))
	}
	_, known := s.stock[S3]
	switch {
	case t.failures > tolerated:
		add("mirroring failed %d times in a row, the last at %s: %s", t.failures, absolute(t.failed), t.because())
	case known:
	// What waits is not known either, so waiting alone would look well, and does in a crash loop.
	case t.failures > 0:
		add("S3 could not be listed since the start: %s", t.because())
	default:
		add("S3 has not been listed since the start yet")
	}
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
