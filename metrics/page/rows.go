package page

import (
	"slices"
	"time"

	"etcd-rolling-backup/daemon/status"
)

// row is one snapshot with everything that is known about it.
type row struct {
	status.Copy                // of the first place that has it; the results of verification and drill are for the drilled place
	in          []status.Place // where it is stored
	damaged     []status.Place // where its copy is damaged
	found       time.Time      // when damage was found in the copy of the drilled place
	pending     bool           // not uploaded yet
}

// rowsOf merges the places, newest first.
func rowsOf(s status.State) []row {
	at := map[string]int{}
	var out []row
	of := func(c status.Copy) *row {
		i, ok := at[c.Name.String()]
		if !ok {
			i = len(out)
			at[c.Name.String()] = i
			out = append(out, row{Copy: s.Described(c)})
			out[i].Verified, out[i].Drilled, out[i].BadDrill = time.Time{}, time.Time{}, false
		}
		return &out[i]
	}
	for _, p := range status.Places() {
		if p == status.S3 && !s.Enabled[status.Mirror] || s.Places[p].Error != "" {
			continue // if it can't be listed, it can't be restored from either
		}
		for _, c := range s.Places[p].Copies {
			r := of(c)
			r.in = append(r.in, p)
			if p == s.DrillFrom {
				r.Verified, r.Drilled, r.BadDrill = c.Verified, c.Drilled, c.BadDrill
			}
		}
	}
	for _, d := range s.Damages() {
		if s.Places[d.Place].Error != "" {
			continue
		}
		r := of(d.Copy)
		r.damaged = append(r.damaged, d.Place)
		if d.Place == s.DrillFrom {
			r.found = d.Found
		}
		if !slices.Contains(r.in, d.Place) {
			r.in = append([]status.Place{d.Place}, r.in...)
		}
	}
	for i := range out {
		out[i].pending = slices.Contains(s.Mirror.Pending, out[i].Name)
	}
	slices.SortStableFunc(out, func(a, b row) int { return status.NewestFirst(a.Copy, b.Copy) })
	return out
}

// past returns the rows except those dated in the future, which come from a wrong clock and do not count as the newest.
func (p *painter) past() []row {
	return slices.DeleteFunc(slices.Clone(p.rows), func(r row) bool { return r.Name.Time.After(p.now) })
}

// best returns the newest snapshot that has a copy not known to be damaged, and whose drill did not fail. If all drills failed, it
// returns the newest with such a copy.
func (p *painter) best() (row, bool) {
	var second row
	for _, r := range p.past() {
		switch {
		case r.intact() == "":
		case !r.BadDrill || len(r.damaged) > 0: // then the drill failed with the damaged copy
			return r, true
		case second.Name.Set == "":
			second = r
		}
	}
	return second, second.Name.Set != ""
}

// intact returns the first place whose copy is not known to be damaged; "": none.
func (r row) intact() status.Place {
	for _, p := range r.in {
		if !slices.Contains(r.damaged, p) {
			return p
		}
	}
	return ""
}

// doubts returns a warning for a snapshot with an intact copy and a damaged one; "" for all others.
func (r row) doubts(drilled status.Place) string {
	p := r.intact()
	if p == "" || len(r.damaged) == 0 {
		return ""
	}
	out := "its copy " + r.damaged[0].In() + " is damaged"
	if p != drilled || r.Verified.IsZero() {
		out += ", and the copy " + p.In() + " has not been verified since it was " + map[status.Place]string{status.Local: "taken", status.S3: "uploaded"}[p]
	}
	return out
}

// rowView returns the texts of a table row.
func (p *painter) rowView(r row) rowView {
	t := r.Name.Time
	v := rowView{
		When: moment{at(t).Machine, t.UTC().Format(time.DateTime)}, Age: status.Relative(t, p.now), Name: r.Name.String(),
		Size: status.Size(r.Size), Revision: "not known", Keys: "–",
	}
	if r.Revision > 0 {
		v.Revision = status.Grouped(r.Revision)
	}
	if n, known := r.Keys.Get(); known {
		v.Keys = status.Grouped(n)
	}
	for _, place := range r.in {
		v.Tags = append(v.Tags, r.tag(place))
	}
	if r.pending && p.Enabled[status.Mirror] {
		v.Tags = append(v.Tags, tag{Text: "not in S3 yet", Tone: "wait"})
	}
	if p.fromPredecessor(r.Copy) {
		v.Tags = append(v.Tags, tag{Text: "from before the restore"})
	}
	if p.lostKeys(r) {
		v.Tags = append(v.Tags, tag{Text: "keys fell", Tone: bad})
	}
	if t.After(p.now) {
		v.Tags = append(v.Tags, tag{Text: "dated in the future", Tone: "wait"})
	}
	v.Verified, v.Drilled = verdictView{Label: "verified", None: "verified when taken"}, verdictView{Label: "drill", None: "no drill"}
	v.Verified.set(r.Verified, false, "", p.now)
	v.Drilled.set(r.Drilled, r.BadDrill, "failed ", p.now)
	if slices.Contains(r.damaged, p.DrillFrom) {
		v.Verified.set(r.found, true, "damaged, ", p.now)
	}
	return v
}

func (r row) tag(p status.Place) tag {
	t := tag{Text: "disk"}
	if p == status.S3 {
		t.Text = "S3"
	}
	if slices.Contains(r.damaged, p) {
		t.Text, t.Tone = t.Text+", damaged", bad
	}
	return t
}

func (v *verdictView) set(at time.Time, bad bool, word string, now time.Time) {
	switch {
	case at.IsZero():
	case bad:
		v.Text, v.Bad = "✗ "+word+status.Relative(at, now), true
	default:
		v.Text = "✓ " + status.Relative(at, now)
	}
}
