package status

import (
	"slices"
	"time"
)

const (
	// tolerated is how many failures in a row of snapshots or of the mirror are no problem yet: a retry may succeed.
	tolerated = 2
	// toleratedStarts is how often the daemon may be started within StartsWindow, because people try settings.
	toleratedStarts = 5
	// StartsWindow is the time after which a start is no longer counted.
	StartsWindow = time.Hour
	// takenShown is how long a taken name is a problem. A thief takes the next one by then.
	takenShown = 24 * time.Hour
)

// grace is how late a run of this job may be: half of its schedule's interval. The daemon begins runs within seconds, so the grace is
// for the duration of runs and for retries, which for drills come after longer pauses.
func (s State) grace(j Job) time.Duration {
	low, high := 2*time.Minute, 30*time.Minute
	if j == Drill {
		low, high = 2*time.Hour, 24*time.Hour
	}
	return min(max(s.Jobs[j].Interval/2, low), high)
}

// maxRunTime is how long after its due time a snapshot may still be running: a large database may take longer than the grace. Once the
// next one is due, it is late in any case.
func (s State) maxRunTime() time.Duration { return max(s.grace(Snapshot), s.Jobs[Snapshot].Interval) }

// Problems returns the reasons why the backups are unhealthy at that time: each needs a person. None: they are healthy.
func (s State) Problems(now time.Time) []Problem {
	return slices.DeleteFunc(s.findings(now), func(p Problem) bool { return p.Passing })
}

// Passing returns what is wrong at that time but may pass without a person, because the daemon tries again.
func (s State) Passing(now time.Time) []Problem {
	return slices.DeleteFunc(s.findings(now), func(p Problem) bool { return !p.Passing })
}

// findings returns all that is wrong, one for each fault.
func (s State) findings(now time.Time) []Problem {
	if !s.Ready() {
		return []Problem{{Code: CodeStarting, Text: "starting: the snapshots on the disk and in the bucket are not known yet"}}
	}
	var l problemList
	s.snapshotProblems(&l, now)
	s.etcdProblems(&l, now)
	s.lossProblems(&l, now)
	if n := s.StartsSince(now.Add(-StartsWindow)); n > toleratedStarts {
		l.add(CodeCrashLoop, s.Starts[len(s.Starts)-n], "the daemon was started %d times within an hour, the last at %s", n, Absolute(s.Starts[len(s.Starts)-1]))
	}
	if s.Enabled[Mirror] {
		s.mirrorProblems(&l, now)
	}
	s.proofProblems(&l, now)
	s.clusterProblems(&l, now)
	s.journalProblems(&l, now)
	return Fold(l)
}

func (s State) snapshotProblems(l *problemList, now time.Time) {
	j, disk := s.Jobs[Snapshot], s.Places[Local]
	if disk.Error != "" {
		l.add(CodeDiskUnreadable, time.Time{}, "the snapshots on the disk can't be read: %s", disk.Error).under(CodeDirectoryReplaced)
	}
	switch {
	case j.Failures > tolerated:
		p := l.add(CodeSnapshotsFailing, j.Failed, "%d snapshots failed in a row, the last at %s: %s", j.Failures, Absolute(j.Failed), j.Because())
		p.ofDisk(j.Reason)
	case j.Failures > 0:
		p := l.add(CodeSnapshotRetried, j.Failed, "the snapshot failed at %s and is tried again: %s", Absolute(j.Failed), j.Because())
		p.passing().ofDisk(j.Reason).under(CodeSnapshotLate, CodeNoSnapshot)
	}
	late, why := now.Sub(j.Due), ""
	if j.Failures > 0 && j.Failures <= tolerated {
		why = ": " + j.Because()
	}
	known := []Code{CodeSnapshotsFailing, CodeDiskUnreadable, CodeCrashLoop}
	switch {
	case j.Due.IsZero():
	case j.Running && late > s.maxRunTime():
		p := l.add(CodeSnapshotLate, j.Due, "the snapshot due at %s is still being taken; it began at %s", Absolute(j.Due), Absolute(j.Attempt))
		p.addedTo(known...)
	case !j.Running && late > s.grace(Snapshot):
		p := l.add(CodeSnapshotLate, j.Due, "the snapshot due at %s has not been taken, %s overdue%s", Absolute(j.Due), Span(late), why)
		p.addedTo(known...)
	}
	here := slices.ContainsFunc(disk.Copies, func(c Copy) bool { return !c.Name.Time.After(now) })
	switch {
	case disk.Error != "": // not known
	case here || j.Settled.After(j.Success): // or left to another member
	case j.Success.IsZero():
		l.add(CodeNoSnapshot, time.Time{}, "there is no snapshot on the disk yet%s", why).under(CodeSnapshotsFailing, CodeDirectoryReplaced)
	default:
		l.add(CodeNoSnapshot, time.Time{}, "there is no snapshot on the disk any more").under(CodeDirectoryReplaced)
	}
	if s.PruneError != "" {
		p := l.add(CodePruneFailed, s.PruneAt, "pruning on the disk failed: %s", s.PruneError).under(CodeDiskUnreadable)
		if j.Reason == Disk { // the same disk
			p.under(CodeSnapshotsFailing)
		}
	}
}

func (s State) mirrorProblems(l *problemList, now time.Time) {
	j, m := s.Jobs[Mirror], s.Mirror
	limit := s.Jobs[Snapshot].Interval + s.grace(Snapshot)
	why := ""
	if j.Failures > 0 && j.Failures <= tolerated {
		why = "; the last pass failed at " + Absolute(j.Failed) + ": " + j.Because()
	}
	switch {
	case !m.PendingSince.IsZero() && now.Sub(m.PendingSince) > limit:
		p := l.add(CodeMirrorBehind, m.PendingSince, "S3 is behind since %s%s%s", Absolute(m.PendingSince), m.pendingText(), why)
		p.addedTo(CodeMirrorFailing)
	case !m.UnmirroredAt.IsZero() && now.Sub(m.UnmirroredAt) <= limit:
		p := l.add(CodeUnmirrored, m.UnmirroredAt, "snapshots were pruned on the disk before they were uploaded, the last at %s: "+
			"S3 was unreachable or is too slow, or the disk keeps too few", Absolute(m.UnmirroredAt))
		p.addedTo(CodeMirrorFailing)
	}
	if !m.TakenAt.IsZero() && now.Sub(m.TakenAt) <= takenShown {
		l.add(CodeNameTaken, m.TakenAt, "S3 had something else under the name of %s, found at %s: somebody else stores under this node's names (is its key stolen?), "+
			"or S3 has lost a part of an upload. This node stores its snapshot again", m.Taken, Absolute(m.TakenAt))
	}
	switch {
	case j.Failures > tolerated:
		p := l.add(CodeMirrorFailing, j.Failed, "mirroring failed %d times in a row, the last at %s: %s", j.Failures, Absolute(j.Failed), j.Because())
		if s.ofFile(p, j.Reason); j.Reason == Config && s.clash() {
			p.addedTo(CodeOtherCluster)
		}
	case s.AwaitsS3():
		l.add(CodeS3Starting, time.Time{}, "S3 has not answered since the start")
	// Without a listing the pending snapshots are not known, so S3 would look healthy.
	case !s.Places[S3].Listed:
		l.add(CodeS3Unlisted, j.Failed, "S3 could not be listed since the start: %s", j.Because())
	case j.Failures > 0:
		p := l.add(CodeMirrorRetried, j.Failed, "mirroring failed at %s and is tried again: %s", Absolute(j.Failed), j.Because())
		s.ofFile(p.passing().under(CodeMirrorBehind), j.Reason)
	}
}

// ofFile says that a pass which failed because of a file on the disk is explained by the problem of that file.
func (s State) ofFile(p *Problem, r Reason) {
	p.ofDisk(r)
	if r == Damaged {
		p.under(CodeDamaged)
	}
}

// pendingText returns the numbers of pending snapshots and of those that were pruned while they were pending.
func (m MirrorState) pendingText() string {
	out, before := "", ": "
	if n := len(m.Pending); n > 0 {
		out, before = before+Count(n, "snapshot is", "snapshots are")+" not uploaded yet", ", "
	}
	if n := m.LostPending; n > 0 {
		out += before + Count(n, "snapshot was", "snapshots were") + " pruned on the disk before the upload"
	}
	return out
}

// AwaitsS3 reports whether the mirror's first pass since the start has neither listed the bucket nor failed yet.
func (s State) AwaitsS3() bool {
	return s.Enabled[Mirror] && !s.Places[S3].Listed && s.Jobs[Mirror].Failures == 0
}

// StartsSince counts the starts of the daemon after that time.
func (s State) StartsSince(after time.Time) int {
	n := 0
	for _, t := range s.Starts {
		if t.After(after) {
			n++
		}
	}
	return n
}
