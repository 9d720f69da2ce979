package metrics

import (
	"cmp"
	"slices"
	"time"
)

// row is one kept snapshot with all that is known of it.
type row struct {
	Snapshot
	mark
	local, s3, waiting bool
}

// rows merges the places, newest first. What one place does not know of a snapshot comes from the other.
func (s *state) rows() []row {
	at := make(map[string]int, len(s.stock[Local]))
	out := make([]row, 0, len(s.stock[Local]))
	for _, p := range places() {
		for _, x := range s.stock[p] {
			i, ok := at[x.Name]
			if !ok {
				i = len(out)
				at[x.Name] = i
				out = append(out, row{Snapshot: x, mark: s.marks[x.Name]})
			}
			r := &out[i]
			r.local = r.local || p == Local
			r.s3 = r.s3 || p == S3
			r.RawSize, r.Revision = cmp.Or(r.RawSize, x.RawSize), cmp.Or(r.Revision, x.Revision)
		}
	}
	for _, x := range s.waiting {
		if i, ok := at[x.Name]; ok {
			out[i].waiting = true
		}
	}
	slices.SortStableFunc(out, newestFirst(func(r row) Snapshot { return r.Snapshot }))
	return out
}

func newestFirst[T any](of func(T) Snapshot) func(a, b T) int {
	return func(a, b T) int {
		x, y := of(a), of(b)
		return cmp.Or(y.Time.Compare(x.Time), cmp.Compare(x.Name, y.Name))
	}
}

func itself(x Snapshot) Snapshot { return x }

// inventory replaces what a place holds. What was known of a snapshot and is not in list stays known.
func (s *state) inventory(p Place, list []Snapshot) {
	known := make(map[string]Snapshot, len(s.stock[p]))
	for _, x := range s.stock[p] {
		known[x.Name] = x
	}
	next := slices.Clone(list)
	for i := range next {
		x := &next[i]
		old := known[x.Name]
		x.RawSize, x.Revision = cmp.Or(x.RawSize, old.RawSize), cmp.Or(x.Revision, old.Revision)
	}
	if next == nil {
		next = []Snapshot{} // known to be empty
	}
	slices.SortStableFunc(next, newestFirst(itself))
	s.stock[p] = next
	s.forget()
}

// keep adds one snapshot to a place.
func (s *state) keep(p Place, x Snapshot) {
	list := slices.DeleteFunc(slices.Clone(s.stock[p]), func(y Snapshot) bool { return y.Name == x.Name })
	list = append(list, x)
	slices.SortStableFunc(list, newestFirst(itself))
	s.stock[p] = list
}

// drop removes snapshots from a place; one pruned here waits for S3 no more.
func (s *state) drop(p Place, names []string) {
	gone := func(x Snapshot) bool { return slices.Contains(names, x.Name) }
	if list, ok := s.stock[p]; ok {
		s.stock[p] = slices.DeleteFunc(slices.Clone(list), gone)
	}
	if p == Local {
		s.waiting = slices.DeleteFunc(slices.Clone(s.waiting), gone)
	}
	s.forget()
}

// forget drops the marks of snapshots that no place holds, and what was found wrong with a copy that is gone: the other place's need
// not be damaged. Before the rebuild marks may come ahead of the inventories.
func (s *state) forget() {
	if !s.rebuilt {
		return
	}
	_, known := s.stock[s.proves]
	for name, m := range s.marks {
		copied := slices.ContainsFunc(s.stock[s.proves], func(x Snapshot) bool { return x.Name == name })
		if !s.held(name) || (m.damaged || m.undrill) && known && !copied {
			delete(s.marks, name)
		}
	}
}

// setWaiting replaces what waits for S3. A snapshot that came after the pass began stays, for the pass has not seen it.
func (s *state) setWaiting(list []Snapshot) {
	next := slices.Clone(list)
	unseen := func(x Snapshot) bool { return x.Name == s.fresh.Name && !s.freshAt.Before(s.tracks[Mirror].attempt) }
	if i := slices.IndexFunc(s.waiting, unseen); i >= 0 {
		x := s.waiting[i]
		if !slices.ContainsFunc(next, func(y Snapshot) bool { return y.Name == x.Name }) {
			next = append(next, x)
		}
	}
	s.waiting = next
}

// arrived moves one snapshot to S3's side. While S3 has not been listed, one upload does not tell what it holds.
func (s *state) arrived(x Snapshot) {
	if _, known := s.stock[S3]; known {
		s.keep(S3, x)
	}
	s.waiting = slices.DeleteFunc(slices.Clone(s.waiting), func(y Snapshot) bool { return y.Name == x.Name })
	if x.Name == s.fresh.Name {
		s.fresh = Snapshot{}
	}
}

// verdict notes a verification. Of old ones, before the rebuild, the newest counts.
func (s *state) verdict(name string, at time.Time, damaged bool) {
	m := s.marks[name]
	if s.rebuilt || !at.Before(m.verified) {
		m.verified, m.damaged = at, damaged
		s.marks[name] = m
	}
}

func (s *state) drillVerdict(name string, at time.Time, passed bool) {
	m := s.marks[name]
	if s.rebuilt || !at.Before(m.drilled) {
		m.drilled, m.undrill = at, !passed
		s.marks[name] = m
	}
}
