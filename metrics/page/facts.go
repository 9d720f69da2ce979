package page

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"etcd-rolling-backup/daemon/status"
)

const notKnown = "not known yet"

// facts returns the boxes at the top of the page. free below 0: not known.
func (p *painter) facts(free int64) []fact {
	s3 := []fact{{Label: "In S3", Value: "off", More: []string{"no bucket is configured"}}}
	if p.Enabled[status.Mirror] {
		s3 = []fact{p.mirrorFact()}
	}
	proofs := []fact{{Label: "Last restore drill", Value: "off", More: []string{"nothing tests that a snapshot can be restored"}}}
	if p.Enabled[status.Drill] {
		proofs = []fact{p.verifyFact(), p.drillFact()}
	}
	out := slices.Concat(p.journalFact(), []fact{p.lastFact(), p.nextFact(), p.diskFact(free)}, s3, proofs)
	if p.Member.Asked {
		etcd := etcdFact(p.Member, p.now)
		etcd.Tone = p.tone(etcdTrouble(p.Member) != "", status.CodeEtcdAlarm, status.CodeEtcdAway, status.CodeEtcdCorrupt, status.CodeEtcdNoLeader, status.CodeEtcdNoSpace)
		out = append(out, etcd)
	}
	return out
}

// summary returns one line: the last good snapshot, and the next one.
func (p *painter) summary() string {
	if !p.Ready() {
		return ""
	}
	next := p.upcoming()
	x, ok := p.best()
	if !ok {
		last := "No snapshot has been taken yet."
		if rows := p.past(); len(rows) > 0 {
			last = "The newest, " + status.Span(p.now.Sub(rows[0].Name.Time)) + " old, is damaged."
		} else if p.Places[status.Local].Error != "" {
			last = "The last good snapshot is not known now."
		}
		return sentences(last, next)
	}
	last := "Last good snapshot " + status.Relative(x.Name.Time, p.now)
	if next != "" {
		last += ", " + next
	}
	return sentences(last, x.doubts(p.DrillFrom), p.journalSummary())
}

// upcoming returns when the next snapshot begins, and that the last one failed if it did; "" if that is not known.
func (p *painter) upcoming() string {
	j := p.Jobs[status.Snapshot]
	switch {
	case j.Running:
		return "one is running now"
	case j.Next.IsZero():
		return ""
	}
	next := coming(j.Next, p.now, "is due now")
	if j.Failures > 0 {
		return "but the last try failed " + status.Relative(j.Failed, p.now) + ", the next one " + next
	}
	return "next " + next
}

func (p *painter) lastFact() fact {
	f := fact{Label: "Last good snapshot", Value: p.never()}
	x, ok := p.best()
	if !ok {
		if rows := p.past(); len(rows) > 0 {
			f.Value, f.Tone = "none", bad
			f.More = append(f.More, "the newest, of "+status.Absolute(rows[0].Name.Time)+", is damaged")
		} else if p.Places[status.Local].Error != "" {
			f.Value, f.Tone = "not known", bad
		}
		return f
	}
	f.Value = status.Relative(x.Name.Time, p.now)
	bytes := status.Size(x.Size)
	if x.RawSize > 0 {
		bytes += ", " + status.Size(x.RawSize) + " unpacked"
	}
	f.More = append(f.More, status.Absolute(x.Name.Time), bytes)
	if n, known := x.Keys.Get(); known {
		f.More = append(f.More, status.Count(int(n), "key", "keys"))
	}
	if d := x.doubts(p.DrillFrom); d != "" {
		f.More = append(f.More, d)
	}
	return f
}

func (p *painter) nextFact() fact {
	f := fact{Label: "Next snapshot", Value: notKnown}
	j := p.Jobs[status.Snapshot]
	switch {
	case j.Running:
		f.Value = "running"
		f.More = append(f.More, "since "+status.Absolute(j.Attempt))
	case j.Next.IsZero():
		return f
	default:
		f.Value = coming(j.Next, p.now, "due now")
		f.More = append(f.More, status.Absolute(j.Next))
	}
	if j.Failures > 0 {
		f.Label, f.Tone = "Next try", p.tone(true, status.CodeSnapshotsFailing, status.CodeSnapshotLate, status.CodeNoSnapshot)
		f.More = append(f.More, "failed "+status.Count(j.Failures, "time", "times")+" in a row")
	}
	if j.Interval > 0 {
		f.More = append(f.More, "every "+status.Span(j.Interval))
	}
	return f
}

func (p *painter) diskFact(free int64) fact {
	f := fact{Label: "On the disk", Value: notKnown}
	if i := p.Places[status.Local]; i.Listed {
		f.Value = status.Count(len(i.Copies), "snapshot", "snapshots")
		f.More = append(append(f.More, total(i.Copies)), p.others(status.Local)...)
	} else if i.Error != "" {
		f.Value, f.Tone = "can't be read", bad
	}
	if free >= 0 {
		f.More = append(f.More, status.Size(free)+" free")
	}
	return f
}

func (p *painter) mirrorFact() fact {
	j, m := p.Jobs[status.Mirror], p.Mirror
	f := fact{Label: "In S3", Value: notKnown}
	f.Tone = p.tone(j.Failures > 0, status.CodeMirrorFailing, status.CodeMirrorBehind, status.CodeUnmirrored, status.CodeNameTaken, status.CodeS3Unlisted)
	if i := p.Places[status.S3]; i.Listed {
		f.Value = status.Count(len(i.Copies), "snapshot", "snapshots")
		f.More = append(append(f.More, "of this node, "+total(i.Copies)), p.others(status.S3)...) // other nodes may share the folder
	}
	if n := len(m.Pending); n > 0 {
		f.More = append(f.More, status.Grouped(int64(n))+" not uploaded yet, behind for "+status.Span(p.now.Sub(m.PendingSince)))
	}
	switch {
	case j.Failures > 0:
		f.More = append(f.More, "last pass failed "+status.Relative(j.Failed, p.now))
	case j.Running:
		f.More = append(f.More, "a pass is running")
	case !j.Success.IsZero():
		f.More = append(f.More, "in sync as of "+status.Relative(j.Success, p.now))
	}
	return f
}

// verifyFact does not count the verified snapshots: drills verify the newest one, and a low number would look like a fault.
func (p *painter) verifyFact() fact {
	f := p.proofFact("Last verification", "", p.Jobs[status.Verify])
	f.More = append(f.More, "each snapshot is verified when it is taken, and the newest again in each restore drill")
	return f
}

func (p *painter) drillFact() fact {
	j := p.Jobs[status.Drill]
	shown := j
	if !p.DrillFailed() {
		shown.Failures = 0
	}
	f := p.proofFact("Last restore drill", "passed ", shown)
	if j.Skipped != "" { // or else it would look as if its hour had not come yet
		f.More = append(f.More, "the last one was skipped ("+string(j.Skipped)+")")
	}
	switch {
	case j.Running:
		f.More = append(f.More, "one is running")
	case !j.Next.IsZero():
		f.More = append(f.More, "next "+coming(j.Next, p.now, "is due now"))
	}
	return f
}

// proofFact is how the last verification or drill ended, and when.
func (p *painter) proofFact(label, passed string, j status.JobState) fact {
	switch {
	case j.Failures > 0 && j.Reason == status.Damaged: // the damage is a problem for as long as it exists, and shown once
		return fact{Label: label, Value: "found damage", More: []string{status.Absolute(j.Failed)}}
	case j.Failures > 0:
		return fact{Label: label, Value: "failed", Tone: bad, More: []string{status.Absolute(j.Failed)}}
	case j.Success.IsZero():
		return fact{Label: label, Value: p.never()}
	}
	return fact{Label: label, Value: passed + status.Relative(j.Success, p.now), More: []string{status.Absolute(j.Success)}}
}

func failureView(f status.Failure, now time.Time) problemView {
	v := problemView{What: failureTitle(f), Ago: status.Relative(f.At, now), When: at(f.At), Message: cmp.Or(f.Message, string(f.Reason))}
	if f.Name.Set != "" {
		v.Name = f.Name.String()
	}
	if f.Times > 1 {
		first := f.Since.UTC().Format(time.TimeOnly)
		if f.Since.UTC().Format(time.DateOnly) != f.At.UTC().Format(time.DateOnly) {
			first = status.Absolute(f.Since)
		}
		v.Often = fmt.Sprintf("%s times since %s, the last ", status.Grouped(int64(f.Times)), first)
	}
	return v
}

func failureTitle(f status.Failure) string {
	titles := map[status.Job]string{
		status.Snapshot: "Snapshot failed", status.Mirror: "Mirroring failed", status.Verify: "Verification failed", status.Drill: "Restore drill failed",
		"": "Damage found " + f.Place.In(),
	}
	if f.Job == "" && f.Reason == status.Disk {
		return "Pruning failed"
	}
	return titles[f.Job]
}

// never returns the text for something that has not happened, or is not known yet.
func (p *painter) never() string {
	if !p.Ready() {
		return notKnown
	}
	return "none yet"
}

// total returns the size of all copies.
func total(copies []status.Copy) string {
	n := int64(0)
	for _, c := range copies {
		n += c.Size
	}
	return status.Size(n)
}

// coming returns "in 5 min", or due once t is reached.
func coming(t, now time.Time, due string) string {
	if t.Sub(now) < time.Second {
		return due
	}
	return status.Relative(t, now)
}

// sentences joins the parts that are not empty, each with a capital letter and a full stop.
func sentences(parts ...string) string {
	var out []string
	for _, s := range parts {
		if s != "" {
			s = strings.ToUpper(s[:1]) + s[1:]
			if !strings.HasSuffix(s, ".") && !strings.HasSuffix(s, "?") {
				s += "."
			}
			out = append(out, s)
		}
	}
	return strings.Join(out, " ")
}
