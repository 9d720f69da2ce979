package metrics

import (
	"slices"
	"time"
)

// maxPast bounds the list of them, which a database that shrinks a little each time would make as long as the day.
const maxPast = 100

// Past is a snapshot that later ones are compared with, whether it is still kept or not: the policy may remove it with the next
// run. As JSON it is kept for the next process.
type Past struct {
	Name     string    `json:"name"`
	Time     time.Time `json:"time"`
	Next     time.Time `json:"next,omitzero"` // of the one after it, whether that is known still or not; zero: there is none
	RawSize  int64     `json:"raw_size,omitempty"`
	Revision int64     `json:"revision,omitempty"`
}

// addPast adds x to a list, oldest first, and drops what no later snapshot needs.
func addPast(list []Past, x Past) []Past {
	list = slices.Clone(list)
	if i := slices.IndexFunc(list, func(y Past) bool { return y.Name == x.Name }); i >= 0 {
		x.Next = earlier(x.Next, list[i].Next)
		list = slices.Delete(list, i, i+1)
	}
	i, _ := slices.BinarySearchFunc(list, x.Time, func(y Past, t time.Time) int { return y.Time.Compare(t) })
	if i < len(list) {
		x.Next = earlier(x.Next, list[i].Time)
	}
	if i > 0 {
		list[i-1].Next = earlier(list[i-1].Next, x.Time)
	}
	return trimPast(slices.Insert(list, i, x))
}

// trimPast keeps the last two, and of those before them whose successors are of the last day the ones that say more than all
// between them and the newest.
func trimPast(list []Past) []Past {
	if len(list) < 3 {
		return list
	}
	newest, last := list[len(list)-1], list[len(list)-2]
	out := []Past{newest, last}
	raw, revision := last.RawSize, last.Revision
	for _, x := range slices.Backward(list[:len(list)-2]) {
		if newest.Time.Sub(x.Next) > shrankToday {
			break
		}
		if x.RawSize > raw || x.Revision > revision {
			out = append(out, x)
			raw, revision = max(raw, x.RawSize), max(revision, x.Revision)
		}
	}
	slices.Reverse(out)
	if n := len(out) - maxPast; n > 0 {
		out = slices.Delete(out, 1, 1+n) // the oldest is the largest
	}
	return out
}

// passed notes what later snapshots are compared with: those that are newer than all that are known, for what was dropped from the list
// must not come back with another successor. One dated in the future when it is seen first, by a wrong clock, never is one of them; of those
// that a clock which is behind has in the future, nothing changes.
func (s *state) passed(now time.Time, list ...Snapshot) {
	list = slices.Clone(list)
	slices.SortStableFunc(list, func(a, b Snapshot) int { return a.Time.Compare(b.Time) })
	past, changed := without(s.past, now), false
	for _, x := range list {
		x = s.described(x)
		same := func(y Past) bool { return y.Name == x.Name }
		m := s.marks[x.Name]
		if x.Time.After(now) && !slices.ContainsFunc(s.past, same) {
			m.ahead = true
			s.marks[x.Name] = m
		}
		if x.Name == "" || x.Time.After(now) || m.ahead || x.RawSize == 0 && x.Revision == 0 {
			continue
		}
		if n := len(past); n == 0 || x.Time.After(past[n-1].Time) || slices.ContainsFunc(past, same) {
			past, changed = addPast(past, Past{Name: x.Name, Time: x.Time, RawSize: x.RawSize, Revision: x.Revision}), true
		}
	}
	if changed {
		s.past = append(past, slices.DeleteFunc(slices.Clone(s.past), func(y Past) bool { return !y.Time.After(now) })...)
	}
}

// without leaves out what is dated after now, also as a successor.
func without(list []Past, now time.Time) []Past {
	list = slices.DeleteFunc(slices.Clone(list), func(x Past) bool { return x.Time.After(now) })
	for i := range list {
		if list[i].Next.After(now) {
			list[i].Next = time.Time{}
		}
	}
	return list
}

// earlier is the earlier of two times of which zero is none.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// Past is what the next process is to Remember.
func (m *Metrics) Past() []Past {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.state.past)
}

// Blank tells that nothing was known of the past at the start, as on a new disk, and nothing was remembered since.
func (m *Metrics) Blank() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.state.blank
}

// Remember tells, before all else, what an earlier process knew of snapshots that may be gone; where that was Blank, later too.
func (m *Metrics) Remember(list []Past) {
	m.change(func(s *state, _ bool) {
		if s.rebuilt && !s.blank {
			return
		}
		s.blank = false
		for _, x := range list {
			s.note(Snapshot{Name: x.Name, RawSize: x.RawSize, Revision: x.Revision})
			s.past = addPast(s.past, x)
		}
	})
}

// Spare names those in a place that nobody should remove yet, whatever the policy says, for the newest has shrunk or its revision fell: at
// most four from before that, for as long as the alerts tell of it.
func (m *Metrics) Spare(p Place) []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.state.spare(p, m.o.Now())
}
