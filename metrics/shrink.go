package metrics

import (
	"cmp"
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

// before gives what a snapshot is held against: those taken within the window before it, and the last one before that, which
// alone is there after a long stop.
func (s *state) before(x Snapshot, window time.Duration, now time.Time) []Past {
	t := s.tracks[Snapshots]
	old := t.settled.After(t.success) && now.Sub(x.Time) > window // another member takes them, so none that is newer ends it
	if old || s.marks[x.Name].ahead {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(s.past), func(y Past) bool {
		return !y.Time.Before(x.Time) || x.Time.Sub(earlier(y.Next, x.Time)) > window
	})
}

// compared is the largest database and the highest revision of those before the newest. 0: there is none, or it is not known.
func (s *state) compared(newest Snapshot, window time.Duration, now time.Time) (raw, revision int64) {
	for _, y := range s.before(newest, window, now) {
		raw, revision = max(raw, y.RawSize), max(revision, y.Revision)
	}
	return raw, revision
}

// fell tells what the newest snapshot has much less of than one within the window before it, or the last before that.
func (s *state) fell(x Snapshot, window time.Duration, now time.Time) (raw, revision int64, shrank, older bool) {
	raw, revision = s.compared(x, window, now)
	return raw, revision, x.RawSize > 0 && 2*x.RawSize < raw, x.Revision > 0 && x.Revision < revision
}

// spare names the last that was large and the last with a high revision, and the largest and the highest: after a loss there may be another.
func (s *state) spare(p Place, now time.Time) []string {
	x, any := s.newest(now)
	if !any {
		return nil
	}
	_, _, shrank, older := s.fell(x, shrankToday, now)
	var largest, large, highest, high Snapshot
	for _, y := range s.stock[p] { // newest first
		_, bad := s.broken[copyOf{y.Name, p}]
		if y = s.described(y); bad || !y.Time.Before(x.Time) {
			continue
		}
		if shrank && 2*x.RawSize < y.RawSize {
			large = cmp.Or(large, y)
			if y.RawSize > largest.RawSize {
				largest = y
			}
		}
		if older && x.Revision < y.Revision {
			high = cmp.Or(high, y)
			if y.Revision > highest.Revision {
				highest = y
			}
		}
	}
	var out []string
	for _, y := range []Snapshot{largest, large, highest, high} {
		if y.Name != "" && !slices.Contains(out, y.Name) {
			out = append(out, y.Name)
		}
	}
	return out
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
	if !any {
		return
	}
	raw, revision, shrank, older := s.fell(x, shrankLately, now)
	if shrank {
		add("the newest snapshot's database has %s, less than half of the %s before", size(x.RawSize), size(raw))
	}
	if older {
		add("the newest snapshot's revision is %s, lower than the %s before: is it the same cluster?", grouped(x.Revision), grouped(revision))
	}
}
