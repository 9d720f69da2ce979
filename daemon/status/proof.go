package status

import (
	"cmp"
	"slices"
	"time"
)

// proofProblems reports damage and restore drills that failed, were skipped or are overdue.
func (s State) proofProblems(l *problemList, now time.Time) {
	damages := s.Damages()
	if len(damages) > 0 {
		l.add(CodeDamaged, damages[0].Found, "damage was found in %s", someOf(damages))
	}
	if !s.Enabled[Drill] {
		return
	}
	if j := s.Jobs[Verify]; j.Failures > 0 && j.Reason != Damaged {
		l.add(CodeVerifyFailed, j.Failed, "verification%s failed: %s", j.of(), j.Because())
	}
	j := s.Jobs[Drill]
	if s.DrillFailed() {
		p := l.add(CodeDrillFailed, j.Failed, "restore drill%s failed: %s", j.of(), j.Because()).ofDisk(j.Reason)
		if j.Reason == Damaged && slices.ContainsFunc(damages, func(d Damage) bool { return d.Name == j.Name }) {
			p.under(CodeDamaged)
		}
	}
	skipped := j.skippedText()
	if skipped != "" {
		p := l.add(CodeDrillSkipped, j.Failed, "the restore drill was skipped and is tried again: %s", skipped).passing()
		s.ofDrill(p.under(CodeDrillFailed, CodeDrillLate))
	}
	if late := now.Sub(j.Due); !j.Due.IsZero() && late > s.grace(Drill) {
		if skipped != "" {
			skipped = ": the last one was skipped: " + skipped
		}
		p := l.add(CodeDrillLate, j.Due, "the restore drill due at %s has not passed yet, %s overdue%s", Absolute(j.Due), Span(late), skipped)
		s.ofDrill(p.addedTo(CodeDrillFailed))
	}
}

// DrillFailed reports whether the last drill that was not skipped failed, and that still says something. If its snapshot is gone and
// the drills since were skipped, it does not: it is not known whether the snapshots that exist can be restored.
func (s State) DrillFailed() bool {
	j := s.Jobs[Drill]
	return j.Failures > 0 && (j.Skipped == "" || j.Name.Set == "" || s.holdsFailed(j))
}

// holdsFailed reports whether a copy of the snapshot that failed the drill still exists. All its copies have the same database, but
// damage is in one copy only. A file that is newer than the drill is another one.
func (s State) holdsFailed(j JobState) bool {
	for _, p := range Places() {
		if !s.counts(p) || j.Reason == Damaged && p != s.DrillFrom {
			continue
		}
		if slices.ContainsFunc(s.Places[p].Copies, func(c Copy) bool {
			return c.Name == j.Name && (p != s.DrillFrom || !c.Modified.After(j.Failed))
		}) {
			return true
		}
	}
	return false
}

// skippedText says why the last drill was skipped, and what the one before said; "": it was not skipped, or there is no snapshot.
func (j JobState) skippedText() string {
	if j.Skipped == "" || j.Skipped == NoSnapshot {
		return ""
	}
	out := cmp.Or(j.SkippedBecause, string(j.Skipped))
	if j.Failures > 0 {
		out += "; the last one that ran failed at " + Absolute(j.Failed)
	}
	return out
}

// ofDrill says that a drill that was skipped for lack of disk space or of the bucket is explained by the problem of that.
func (s State) ofDrill(p *Problem) {
	switch r := s.Jobs[Drill].Skipped; {
	case r == s.Jobs[Snapshot].Reason && (r == LowSpace || r == Disk):
		p.under(CodeSnapshotsFailing)
	case r == Disk:
		p.under(CodeDiskUnreadable)
	case slices.Contains(S3Reasons(), r) && r != Other:
		p.under(CodeMirrorFailing, CodeS3Unlisted)
	}
}

func (j JobState) of() string {
	if j.Name.Set == "" {
		return ""
	}
	return " of " + j.Name.String()
}

// someOf names the first snapshot with its damaged copies and the damage, and counts the other snapshots.
func someOf(damages []Damage) string {
	first := damages[0]
	out := first.Name.String() + " " + first.Place.In()
	others := map[string]bool{}
	for _, d := range damages[1:] {
		if d.Name == first.Name {
			out += " and " + d.Place.In()
		} else {
			others[d.Name.String()] = true
		}
	}
	if n := len(others); n > 0 {
		out += " and " + Count(n, "other", "others")
	}
	if first.Damage != "" {
		out += ": " + first.Damage
	}
	return out
}
