package metrics

import (
	"slices"
	"time"
)

// How far back the newest snapshot is compared: for alerts, which people silence, longer than for the health of this moment. A defragmentation
// shrinks a database too, and would otherwise be called ill for a day. A little less than an hour and a day, so that a schedule of
// just these does not decide by its seconds.
const (
	shrankLately = 55 * time.Minute
	shrankToday  = 23*time.Hour + 30*time.Minute
)

// compared is what the newest snapshot is held against: the largest database and the highest revision of those taken within the window before
// it, and of the last one before that, which alone is there after a long stop. 0: there is none, or it is not known.
func (s *state) compared(newest Snapshot, window time.Duration) (raw, revision int64) {
	var last Snapshot
	take := func(x Snapshot) {
		x = s.described(x)
		raw, revision = max(raw, x.RawSize), max(revision, x.Revision)
	}
	for _, p := range places() {
		for _, x := range s.stock[p] {
			if !x.Time.Before(newest.Time) {
				continue
			}
			if newest.Time.Sub(x.Time) > window {
				if x.Time.After(last.Time) {
					last = x
				}
				break
			}
			take(x)
		}
	}
	if last.Name != "" {
		take(last)
	}
	return raw, revision
}

// shrunk says of a row that the one before it, of all rows, newest first, had more than twice as much; "" if not.
func shrunk(rows []row, r row) string {
	i := slices.IndexFunc(rows, func(x row) bool { return x.Time.Before(r.Time) })
	if i < 0 || r.RawSize == 0 || 2*r.RawSize >= rows[i].RawSize {
		return ""
	}
	return "its database has " + size(r.RawSize) + ", that of the one before, " + rows[i].Name + ", " + size(rows[i].RawSize) + ": is it the one you want?"
}

func (s *state) shrinkReasons(now time.Time, add func(string, ...any)) {
	x, any := s.newest(now)
	if !any || x.RawSize == 0 {
		return
	}
	before, revision := s.compared(x, shrankLately)
	if 2*x.RawSize < before {
		add("the newest snapshot's database has %s, less than half of the %s before", size(x.RawSize), size(before))
	}
	if x.Revision > 0 && x.Revision < revision {
		add("the newest snapshot's revision is %s, lower than the %s before: is it the same cluster?", grouped(x.Revision), grouped(revision))
	}
}
