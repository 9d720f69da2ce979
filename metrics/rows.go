package metrics

import (
	"slices"
	"time"
)

// row is one kept snapshot with all that is known of it.
type row struct {
	Snapshot
	mark
	in      []Place // where it is kept
	damaged []Place // of those, where its copy was found damaged
	waiting bool
}

// rows merges the places, newest first.
func (s *state) rows() []row {
	at := make(map[string]int, len(s.stock[Local]))
	out := make([]row, 0, len(s.stock[Local]))
	for _, p := range places() {
		for _, x := range s.stock[p] {
			i, ok := at[x.Name]
			if !ok {
				i = len(out)
				at[x.Name] = i
				out = append(out, row{Snapshot: s.described(x), mark: s.marks[x.Name]})
			}
			r := &out[i]
			r.in = append(r.in, p)
			if _, broken := s.broken[copyOf{x.Name, p}]; broken {
				r.damaged = append(r.damaged, p)
			}
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

// past leaves out the rows, newest first, that are dated after now, which only a wrong clock does: none of them is the newest.
func past(rows []row, now time.Time) []row {
	i := slices.IndexFunc(rows, func(r row) bool { return !r.Time.After(now) })
	if i < 0 {
		return nil
	}
	return rows[i:]
}

// best is the newest that has a copy not known to be damaged and did come back in its drill, or has had none; where all have failed
// theirs, the newest with such a copy.
func best(rows []row, now time.Time) (row, bool) {
	var second row
	for _, r := range past(rows, now) {
		if _, ok := r.whole(); !ok {
			continue
		}
		if !r.undrill || len(r.damaged) > 0 { // then it was the damaged copy that did not come back
			return r, true
		}
		if second.Name == "" {
			second = r
		}
	}
	return second, second.Name != ""
}

// whole is the first place whose copy is not known to be damaged.
func (r row) whole() (Place, bool) {
	for _, p := range r.in {
		if !slices.Contains(r.damaged, p) {
			return p, true
		}
	}
	return "", false
}

// doubts says what there is against one that has a copy to restore and a damaged one; "" of all others.
func (r row) doubts(proves Place) string {
	p, ok := r.whole()
	if !ok || len(r.damaged) == 0 {
		return ""
	}
	out := "its copy " + where(r.damaged[0]) + " is damaged"
	if p != proves || r.verified.IsZero() {
		out += ", the one " + where(p) + " has not been verified"
	}
	return out
}

func where(p Place) string {
	if p == S3 {
		return "in S3"
	}
	return "on the disk"
}
