package metrics

import "time"

// view is a table row's words.
func (r row) view(now time.Time, mirrored bool) rowView {
	v := rowView{When: moment{at(r.Time).Machine, r.Time.UTC().Format(time.DateTime)}, Age: relative(r.Time, now), Name: r.Name, Size: size(r.Size), Revision: "–"}
	if r.Revision > 0 {
		v.Revision = grouped(r.Revision)
	}
	if r.local {
		v.Tags = append(v.Tags, tag{Text: "disk"})
	}
	if r.s3 {
		v.Tags = append(v.Tags, tag{Text: "S3"})
	}
	if r.waiting && mirrored {
		v.Tags = append(v.Tags, tag{Text: "waits for S3", Wait: true})
	}
	v.Verified = verdictWords("verified", r.verified, r.damaged, "damaged, ", now)
	v.Drilled = verdictWords("drill", r.drilled, r.undrill, "failed ", now)
	return v
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
