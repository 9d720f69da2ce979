package metrics

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"
)

// copyOf is a snapshot's copy in one place. Damage is known of copies, for the other place's need not be damaged.
type copyOf struct {
	name  string
	place Place
}

// Damage is a copy that was found damaged and is still kept.
type Damage struct {
	Name    string    `json:"name"`
	Place   Place     `json:"place"`
	At      time.Time `json:"at"` // when it was found
	Message string    `json:"message"`
	Changed bool      `json:"-"` // what lies there now may be another file than the one that was found damaged
}

// finding is what was found wrong with a copy.
type finding struct {
	at      time.Time
	message string
}

// Damages are all copies known to be damaged, in the order of their names.
func (m *Metrics) Damages() []Damage {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []Damage
	for c, f := range m.state.broken {
		if m.state.mayHold(c) {
			out = append(out, Damage{Name: c.name, Place: c.place, At: f.at, Message: f.message, Changed: m.state.replaced(c, f.at)})
		}
	}
	slices.SortFunc(out, func(a, b Damage) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Place, b.Place)) })
	return out
}

// Whole tells that a copy was read in full and found whole. It is no verification run, and counts none.
func (m *Metrics) Whole(p Place, name string) {
	m.change(func(s *state, _ bool) { s.mend(copyOf{name, p}) })
}

// damaged names the snapshots of which a copy is damaged, and where, in the order of their names.
func (s *state) damaged() []string {
	at := map[string][]string{}
	for _, p := range places() {
		for c := range s.broken {
			if c.place == p && s.mayHold(c) {
				at[c.name] = append(at[c.name], where(p))
			}
		}
	}
	var out []string
	for _, name := range slices.Sorted(maps.Keys(at)) {
		out = append(out, name+" "+strings.Join(at[name], " and "))
	}
	return out
}

// mayHold is true as well while nobody knows what the place holds.
func (s *state) mayHold(c copyOf) bool {
	list, known := s.stock[c.place]
	if !known {
		return c.place == Local || s.switched[Mirror]
	}
	return slices.ContainsFunc(list, func(x Snapshot) bool { return x.Name == c.name })
}

// replaced tells whether the copy that lies there is younger than what was found at that time.
func (s *state) replaced(c copyOf, found time.Time) bool {
	return slices.ContainsFunc(s.stock[c.place], func(x Snapshot) bool { return x.Name == c.name && x.Modified.After(found) })
}

// outdated tells whether what was found says nothing of the copy that lies there now. One here that changed is read before it is
// called whole; one in S3 was proven when it was brought there.
func (s *state) outdated(c copyOf, found time.Time) bool {
	return c.place == S3 && s.replaced(c, found)
}

// forget drops what is known of snapshots that no place holds, and what was found wrong with a copy that is gone. Before the
// rebuild verdicts may come ahead of the inventories.
func (s *state) forget() {
	if !s.rebuilt {
		return
	}
	for c, f := range s.broken {
		if !s.mayHold(c) || s.outdated(c, f.at) {
			s.mend(c)
		}
	}
	for name, m := range s.marks {
		switch {
		case !s.mayHold(copyOf{name, Local}) && !s.mayHold(copyOf{name, S3}):
			delete(s.marks, name)
		case !s.mayHold(copyOf{name, s.proves}): // what was proved is gone; the other place's copy was not
			m.verified, m.drilled, m.undrill = time.Time{}, time.Time{}, false
			s.marks[name] = m
		}
	}
}

// mend ends what is known against a copy. That is not a verification: if there was one, it stands no more.
func (s *state) mend(c copyOf) {
	if _, known := s.broken[c]; !known {
		return
	}
	delete(s.broken, c)
	if m, ok := s.marks[c.name]; ok && c.place == s.proves {
		m.verified = time.Time{}
		s.marks[c.name] = m
	}
}

// found notes damage that no verification run has found. What is known already is no news, but for a copy that has changed since.
func (s *state) found(p Place, at, now time.Time, name, message string) {
	c := copyOf{name, p}
	message = oneLine(message)
	if f, known := s.broken[c]; known {
		if s.replaced(c, f.at) && at.After(f.at) {
			s.broken[c] = finding{s.notOfTheFuture(c, at, now), message}
		}
		return
	}
	if s.outdated(c, at) {
		return
	}
	if p == s.proves {
		s.verdict(name, at, message)
	} else {
		s.broken[c] = finding{at, message}
	}
	s.remember(problem{At: at, Place: p, Name: name, Reason: Damaged, Message: message})
}

// notOfTheFuture is at, or when the copy that lies there came to be, if a wrong clock has dated that after now: it would count as
// changed for as long.
func (s *state) notOfTheFuture(c copyOf, at, now time.Time) time.Time {
	for _, x := range s.stock[c.place] {
		if x.Name == c.name && x.Modified.After(now) {
			return x.Modified
		}
	}
	return at
}

// verdict notes a verification, and what it found damaged, or "". Of old ones, before the rebuild, the newest counts.
func (s *state) verdict(name string, at time.Time, damage string) {
	m := s.marks[name]
	if !s.rebuilt && at.Before(m.verified) {
		return
	}
	m.verified = at
	s.marks[name] = m
	switch c := (copyOf{name, s.proves}); {
	case damage == "":
		delete(s.broken, c)
	case !s.outdated(c, at):
		s.broken[c] = finding{at, damage}
	}
}

func (s *state) drillVerdict(name string, at time.Time, passed bool) {
	m := s.marks[name]
	if s.rebuilt || !at.Before(m.drilled) {
		m.drilled, m.undrill = at, !passed
		s.marks[name] = m
	}
}
