package page

import (
	"slices"
	"strings"

	"etcd-rolling-backup/daemon/status"
)

// The moods are the colors of the headline: well is green, wait is amber, ill is red.
const (
	moodWell = "well"
	moodWait = "wait"
	moodIll  = "ill"
)

// headline is the one place that decides the color of the page and its headline. Green: nothing needs a person. Amber: something is
// wrong or not known yet, and may pass without a person; the reasons say what. Red: a person is needed; /readyz has the same reasons.
func (p *painter) headline(v *view) {
	problems, passing := p.problems, p.Passing(p.now)
	switch {
	case !p.Ready():
		v.Mood, v.Headline, v.Nothing = moodWait, "Starting", "Not known yet."
	case p.Places[status.Local].Error != "":
		v.Mood, v.Headline, v.Nothing = moodIll, "Needs attention", "They can't be read now."
	case len(problems) > 0 && !slices.ContainsFunc(problems, func(x status.Problem) bool { return !p.startsWith(x.Code) }):
		v.Mood, v.Headline = moodWait, "Starting"
	case len(problems) > 0 && !slices.ContainsFunc(problems, func(x status.Problem) bool { return !ofEtcdOnly(x.Code) }):
		v.Mood, v.Headline = moodIll, "Backups work, etcd needs attention"
	case len(problems) > 0 && !slices.ContainsFunc(problems, func(x status.Problem) bool { return !ofJournalOnly(x.Code) }):
		v.Mood, v.Headline = moodIll, "Snapshots work, the journal needs attention"
	case len(problems) > 0:
		v.Mood, v.Headline = moodIll, "Needs attention"
	case len(passing) > 0:
		v.Mood, v.Headline, problems = moodWait, passingHeadline(passing[0].Code), passing
	default:
		v.Mood, v.Headline = moodWell, "Healthy"
	}
	for _, x := range problems {
		v.Reasons = append(v.Reasons, x.Text)
	}
}

// tone is the color of a figure: that of a problem with one of the codes, or of something of its kind that may pass.
func (p *painter) tone(passes bool, codes ...status.Code) string {
	switch {
	case slices.ContainsFunc(p.problems, func(x status.Problem) bool { return slices.Contains(codes, x.Code) }):
		return bad
	case passes:
		return warn
	}
	return ""
}

// startsWith reports whether a problem is what every start begins with: nothing is wrong until a first run has failed.
func (p *painter) startsWith(c status.Code) bool {
	j := p.Jobs[status.Snapshot]
	first := j.Running && j.Failures == 0 && j.Success.IsZero()
	return c == status.CodeS3Starting || c == status.CodeNoSnapshot && first
}

// ofEtcdOnly reports whether snapshots are taken, and can be trusted, in spite of the problem.
func ofEtcdOnly(c status.Code) bool {
	return slices.Contains([]status.Code{status.CodeEtcdNoSpace, status.CodeEtcdNoLeader, status.CodeEtcdAlarm}, c)
}

// ofJournalOnly reports whether snapshots are taken, and can be trusted, in spite of the problem.
func ofJournalOnly(c status.Code) bool {
	return slices.Contains(journalCodes(), c)
}

// journalCodes returns the problems of the journal alone.
func journalCodes() []status.Code {
	return []status.Code{status.CodeJournalStopped, status.CodeJournalNoSpace, status.CodeJournalMirrorBehind, status.CodeJournalWrong}
}

func passingHeadline(c status.Code) string {
	switch c {
	case status.CodeEtcdAway:
		return "etcd does not answer"
	case status.CodeEtcdNoLeader:
		return "Backups work, etcd has no leader"
	case status.CodeSnapshotRetried:
		return "The snapshot failed, trying again"
	case status.CodeMirrorRetried:
		return "The upload to S3 failed, trying again"
	case status.CodeDrillSkipped:
		return "Backups work, the restore drill was skipped"
	case status.CodeJournalRetried:
		return "Snapshots work, the journal was interrupted"
	case status.CodeJournalGap:
		return "Backups work, the journal has a gap"
	}
	return "Trying again"
}

// isAbove reports whether one of the reasons shows the same failure: one fault is one error on the page.
func (p *painter) isAbove(f status.Failure, reasons []string) bool {
	if f.Reason == status.Damaged && f.Name.Set != "" {
		damages := p.Damages()
		return len(damages) > 0 && damages[0].Name == f.Name
	}
	return f.Message != "" && slices.ContainsFunc(reasons, func(r string) bool { return strings.Contains(r, f.Message) })
}
