package metrics

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// maxProblems is how many errors are remembered for the status page.
const maxProblems = 10

// problem is one error, or several in a row that are the same.
type problem struct {
	At, Since time.Time // the last time and the first
	Times     int
	Kind      Kind  // "": damage found by the way, or with the reason disk that pruning failed
	Place     Place // of that
	Name      string
	Reason    Reason
	Message   string
}

// remember adds p to the list, or to the last of its kind if that is the same once more.
func (s *state) remember(p problem) {
	p.Since, p.Times = p.At, 1
	last := slices.IndexFunc(s.problems, func(q problem) bool { return q.Kind == p.Kind && q.Place == p.Place })
	switch {
	case last >= 0 && s.problems[last].same(p):
		q := &s.problems[last]
		q.Times++
		if p.At.Before(q.Since) {
			q.Since = p.At
		}
		s.stamp(&q.At, p.At)
	case s.toldDamage(p):
		return
	default:
		s.problems = append(s.problems, p)
	}
	slices.SortStableFunc(s.problems, func(a, b problem) int { return b.At.Compare(a.At) })
	s.problems = s.problems[:min(len(s.problems), maxProblems)]
}

func (p problem) same(q problem) bool {
	return p.Name == q.Name && p.Reason == q.Reason && p.Message == q.Message
}

// toldDamage is true where another kind of work has told of the same damage: a drill begins with a verification, and the mirror
// tells of a damaged archive ahead of its pass. Where p says more, it takes the other's place.
func (s *state) toldDamage(p problem) bool {
	if p.Reason != Damaged || p.Message == "" {
		return false
	}
	for i, q := range s.problems {
		if q.Kind == p.Kind || q.Reason != Damaged || q.Message == "" || q.Name != p.Name && q.Name != "" && p.Name != "" {
			continue
		}
		if strings.Contains(q.Message, p.Message) {
			return true
		}
		if strings.Contains(p.Message, q.Message) {
			s.problems = slices.Delete(slices.Clone(s.problems), i, i+1)
			return false
		}
	}
	return false
}

func (p problem) view(now time.Time) problemView {
	v := problemView{What: p.what(), Name: p.Name, Ago: relative(p.At, now), When: at(p.At), Message: cmp.Or(p.Message, string(p.Reason))}
	if p.Times > 1 {
		first := p.Since.UTC().Format(time.TimeOnly)
		if p.Since.UTC().Format(time.DateOnly) != p.At.UTC().Format(time.DateOnly) {
			first = absolute(p.Since)
		}
		v.Often = fmt.Sprintf("%s times since %s, the last ", grouped(int64(p.Times)), first)
	}
	return v
}

func (p problem) what() string {
	switch p.Kind {
	case Snapshots:
		return "Snapshot failed"
	case Mirror:
		return "Mirroring failed"
	case Verify:
		return "Verification failed"
	case Drill:
		return "Restore drill failed"
	}
	if p.Reason == Disk {
		return "Pruning failed"
	}
	return "Damage found " + where(p.Place)
}
