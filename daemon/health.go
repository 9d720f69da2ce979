package daemon

import (
	"context"
	"slices"
	"strings"
	"time"
)

// pastLimit bounds how long who tells of the state waits for the first pass of the mirror.
const pastLimit = 5 * time.Second

// waitPast returns once what lies in the bucket is known too, or has been waited for long enough.
func (d *Daemon) waitPast(ctx context.Context) {
	if d.Mirror == nil {
		return
	}
	select {
	case <-d.passed:
	case <-time.After(pastLimit):
	case <-ctx.Done():
	}
}

// unwell are the reasons why not all is well, as far as somebody tells.
func (d *Daemon) unwell() []string {
	if d.Health == nil {
		return nil
	}
	return d.Health()
}

// healthLoop logs when all has ceased to be well, for each reason that comes up, and when it is again. A reason that is there at one
// look only is not worth a line.
func (d *Daemon) healthLoop(ctx context.Context) {
	d.waitPast(ctx)
	var told map[string]bool
	pending, ill := false, false
	for ctx.Err() == nil {
		reasons := d.unwell()
		now, still := map[string]bool{}, map[string]bool{}
		for _, r := range reasons {
			r = gist(r)
			now[r] = true
			if told[r] {
				still[r] = true
			}
		}
		news := len(still) < len(now)
		switch {
		case news && pending: // whether it was the same before or not
			d.Log.WithField("reasons", list(reasons)).Error("not all is well")
			told, ill, news = now, true, false
		case len(reasons) == 0 && ill:
			d.Log.Info("all is well again")
			told, ill = nil, false
		default:
			told = still
		}
		pending = news
		select {
		case <-ctx.Done():
		case <-time.After(lookInterval):
		}
	}
}

// list is a list also as text, where its parts have blanks.
type list []string

// String implements fmt.Stringer.
func (l list) String() string { return strings.Join(l, "; ") }

// gist is a reason without its figures and their units, which change from look to look: how late, how often, since when.
func gist(reason string) string {
	words := slices.DeleteFunc(strings.Fields(reason), func(w string) bool {
		return strings.ContainsAny(w, "0123456789") || len(w) < len("late") || w == "days"
	})
	return strings.Join(words, " ")
}
