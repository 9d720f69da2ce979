package status

import (
	"cmp"
	"slices"
	"time"
)

const (
	// JournalPause is how long the journal waits at most before it is started again.
	JournalPause = 15 * time.Second
	// journalTolerated is how long the journal may stand still: an election takes seconds, a restart of etcd or a new base minutes.
	journalTolerated = 5 * time.Minute
	// journalSilence is how long etcd may not confirm that nothing is missing. It is asked each few seconds.
	journalSilence = 2 * time.Minute
	// segmentsBehind is by how many segments S3 may be behind.
	segmentsBehind = 10
)

const (
	journalSection       = "docs/ALERTS.md, EtcdBackupJournalStopped"
	journalMirrorSection = "docs/ALERTS.md, EtcdBackupJournalMirrorBehind"
	journalWrongSection  = "docs/ALERTS.md, EtcdBackupJournalWrong"
)

// journalProblems reports that less can be restored than the journal promises. Snapshots go on in each case.
func (s State) journalProblems(l *problemList, now time.Time) {
	if !s.Journal.On {
		return
	}
	s.journalStopped(l, now)
	s.journalGap(l, now)
	s.journalProof(l)
	if s.Enabled[Mirror] {
		s.journalMirror(l, now)
	}
}

// journalStopped reports that the journal stands still. A disk that is too full is reported immediately: snapshots are next.
func (s State) journalStopped(l *problemList, now time.Time) {
	j, since := s.Journal, s.standsSince(now)
	var p *Problem
	switch {
	case !j.Running && j.Reason == LowSpace:
		p = l.add(CodeJournalNoSpace, j.Since, "the disk is too full for the journal, which is not up to date since %s and is tried again every %s; snapshots go on as long as they fit: %s (%s)",
			Absolute(since), Span(JournalPause), j.why(), journalSection)
	case now.Sub(since) > journalTolerated && !j.Running && j.Reason == InUse: // the other one may record all of it
		p = l.add(CodeJournalStopped, since, "this daemon does not record the journal since %s: %s (%s)", Absolute(since), j.why(), journalSection)
	case now.Sub(since) > journalTolerated:
		p = l.add(CodeJournalStopped, since, "the journal is not up to date since %s, so from then on only snapshots can be restored: %s (%s)",
			Absolute(since), j.why(), journalSection)
	case !j.Running && j.Reason != "" && j.Revision == 0:
		p = l.add(CodeJournalRetried, j.Since, "the journal could not begin at %s and is tried again: %s", Absolute(j.Since), j.why()).passing()
	case !j.Running && j.Reason != "":
		p = l.add(CodeJournalRetried, j.Since, "the journal was interrupted at %s and is started again: %s", Absolute(j.Since), j.why()).passing()
	default:
		return
	}
	p.ofDisk(j.Reason).under(CodeEtcdAway, CodeEtcdNoLeader)
	if x := s.Jobs[Snapshot]; x.Failures > 0 && x.Reason == j.Reason { // the same disk, or the same etcd
		p.under(CodeSnapshotsFailing, CodeSnapshotRetried)
	}
}

// why says why nothing is recorded.
func (j Journal) why() string {
	switch {
	case !j.Running && (j.Message != "" || j.Reason != ""):
		return cmp.Or(j.Message, string(j.Reason))
	case !j.Running:
		return "it has not started"
	case j.Behind > 0:
		return "it is " + Count(int(j.Behind), "revision", "revisions") + " behind etcd"
	}
	return "etcd has not said since that nothing is missing"
}

// standsSince returns until when the journal is known to have every change. Of what came before the start of the daemon nothing is known
// until the recorder has continued it.
func (s State) standsSince(now time.Time) time.Time {
	began := s.Journal.Since
	if n := len(s.Starts); n > 0 {
		began = latest(began, s.Starts[n-1])
	}
	return cmp.Or(s.Journal.known(), began, now)
}

// journalMirror reports that S3 lacks what the disk has for longer than many segments, and than a snapshot may be late. A new snapshot is
// uploaded before the segments.
func (s State) journalMirror(l *problemList, now time.Time) {
	there, _ := s.Journaled(S3, now)
	point := s.RecoveryPoint(S3, now)
	limit := max(segmentsBehind*s.Journal.Segment, s.grace(Snapshot))
	if there >= s.Journal.Revision || point.IsZero() || now.Sub(point) <= limit {
		return
	}
	l.add(CodeJournalMirrorBehind, point, "S3 has the changes until %s only, and the disk has newer ones, so the loss of this node's disk would cost %s (%s)",
		Absolute(point), Span(now.Sub(point)), journalMirrorSection).
		under(CodeMirrorFailing, CodeMirrorBehind, CodeS3Unlisted, CodeS3Starting)
}

// journalGap says for an hour that the journal on the disk has a new gap. Nobody can fill it, and the backups are healthy. A restore is no gap: whoever
// did it knows.
func (s State) journalGap(l *problemList, now time.Time) {
	gaps := slices.DeleteFunc(Gaps(s.Restorable(Local)), func(g Period) bool { return g.Restored || now.Sub(g.To) > lossShown || g.To.After(now) })
	if n := len(gaps); n > 0 {
		g := gaps[n-1]
		l.add(CodeJournalGap, g.To, "the journal has a gap: no moment between %s and %s can be restored", Absolute(g.From), AbsoluteFrom(g.To)).passing()
	}
}
