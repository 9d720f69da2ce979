package metrics

import (
	"cmp"
	"slices"
	"time"
)

// newestFirst orders whatever has a snapshot; of one moment's, by name.
func newestFirst[T any](of func(T) Snapshot) func(a, b T) int {
	return func(a, b T) int {
		x, y := of(a), of(b)
		return cmp.Or(y.Time.Compare(x.Time), cmp.Compare(x.Name, y.Name))
	}
}

func itself(x Snapshot) Snapshot { return x }

// inventory replaces what a place holds. What was known of a snapshot and is not in list stays known.
func (s *state) inventory(p Place, list []Snapshot) {
	next := slices.Clone(list)
	for _, x := range next {
		s.note(x)
	}
	if next == nil {
		next = []Snapshot{} // known to be empty
	}
	slices.SortStableFunc(next, newestFirst(itself))
	s.stock[p] = next
	switch {
	case p == Local:
		s.unlisted = ""
	case len(next) == 0 && s.emptied.IsZero():
		s.emptied = s.tracks[Mirror].attempt
	}
	s.forget()
}

// keep adds one snapshot to a place.
func (s *state) keep(p Place, x Snapshot) {
	list := slices.DeleteFunc(slices.Clone(s.stock[p]), func(y Snapshot) bool { return y.Name == x.Name })
	list = append(list, x)
	s.note(x)
	slices.SortStableFunc(list, newestFirst(itself))
	s.stock[p] = list
}

// drop removes snapshots from a place; one pruned here waits for S3 no more. Of these it gives the number.
func (s *state) drop(p Place, names []string) (unmirrored int) {
	gone := func(x Snapshot) bool { return slices.Contains(names, x.Name) }
	if list, ok := s.stock[p]; ok {
		s.stock[p] = slices.DeleteFunc(slices.Clone(list), gone)
	}
	if p == Local {
		for _, x := range s.waiting {
			if gone(x) {
				unmirrored++
				s.unseen++
				s.missed = earlier(s.missed, s.waitsSince(x))
			}
		}
		s.waiting = slices.DeleteFunc(slices.Clone(s.waiting), gone)
	}
	s.forget()
	return unmirrored
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
	if len(next) == 0 {
		s.missed, s.unseen = time.Time{}, 0
	}
}

// note keeps what the manifest tells for as long as any place holds the snapshot.
func (s *state) note(x Snapshot) {
	if x.RawSize == 0 && x.Revision == 0 {
		return
	}
	m := s.marks[x.Name]
	m.raw, m.revision = cmp.Or(x.RawSize, m.raw), cmp.Or(x.Revision, m.revision)
	s.marks[x.Name] = m
}

// described is x with what another copy of it or an earlier inventory told.
func (s *state) described(x Snapshot) Snapshot {
	m := s.marks[x.Name]
	x.RawSize, x.Revision = cmp.Or(x.RawSize, m.raw), cmp.Or(x.Revision, m.revision)
	return x
}

// arrived moves one snapshot to S3's side. While S3 has not been listed, one upload does not tell what it holds. It was read in
// full for it, so both copies are whole; old news has no time, and mends nothing.
func (s *state) arrived(x Snapshot) {
	if s.rebuilt {
		s.mend(copyOf{x.Name, Local})
		s.mend(copyOf{x.Name, S3})
	}
	if _, known := s.stock[S3]; known {
		s.keep(S3, x)
	}
	s.waiting = slices.DeleteFunc(slices.Clone(s.waiting), func(y Snapshot) bool { return y.Name == x.Name })
	s.missed, s.unseen = time.Time{}, 0 // the newest comes first
	if x.Name == s.fresh.Name {
		s.fresh = Snapshot{}
	}
}
