package metrics

import (
	"slices"
	"time"
)

// view is a table row's words.
func (r row) view(now time.Time, o Options) rowView {
	v := rowView{When: moment{at(r.Time).Machine, r.Time.UTC().Format(time.DateTime)}, Age: relative(r.Time, now), Name: r.Name, Size: size(r.Size), Revision: "not known"}
	if r.Revision > 0 {
		v.Revision = grouped(r.Revision)
	}
	for _, p := range r.in {
		v.Tags = append(v.Tags, r.tag(p))
	}
	if r.waiting && o.Mirror {
		v.Tags = append(v.Tags, tag{Text: "waits for S3", Tone: "wait"})
	}
	if r.Time.After(now) {
		v.Tags = append(v.Tags, tag{Text: "dated in the future", Tone: "wait"})
	}
	v.Verified = verdictWords("verified", r.verified, slices.Contains(r.damaged, o.Proves), "damaged, ", now)
	v.Drilled = verdictWords("drill", r.drilled, r.undrill, "failed ", now)
	v.Verified.None, v.Drilled.None = "not verified", "not drilled"
	return v
}

func (r row) tag(p Place) tag {
	t := tag{Text: "disk"}
	if p == S3 {
		t.Text = "S3"
	}
	if slices.Contains(r.damaged, p) {
		t.Text, t.Tone = t.Text+", damaged", bad
	}
	return t
}

func verdictWords(label string, at time.Time, bad bool, word string, now time.Time) verdictView {
	v := verdictView{Label: label, Bad: bad}
	switch {
	case at.IsZero():
	case bad:
		v.Text = "✗ " + word + relative(at, now)
	default:
		v.Text = "✓ " + relative(at, now)
	}
	return v
}
