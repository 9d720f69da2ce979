package metrics

import (
	"slices"
	"time"
)

// newest is the newest snapshot of all places that pleases and is not dated after now, which only a wrong clock does.
func (s *state) newest(now time.Time, pleases func(Snapshot) bool) (Snapshot, bool) {
	var out Snapshot
	for _, p := range places() {
		for _, x := range s.stock[p] {
			if x.Time.After(now) || !pleases(x) {
				continue
			}
			if x.Time.After(out.Time) {
				out = x
			}
			break
		}
	}
	return out, out.Name != ""
}

func (s *state) whole(x Snapshot) bool { return !s.marks[x.Name].damaged }

func whichever(Snapshot) bool { return true }

// oldestWaiting is since when the first of those has waited that wait for S3; zero when none does. The newest may have been
// under way for long since the time in its name, and waits only since then.
func (s *state) oldestWaiting() time.Time {
	var out time.Time
	for _, x := range s.waiting {
		since := x.Time
		if x.Name == s.fresh.Name {
			since = s.freshAt
		}
		if out.IsZero() || since.Before(out) {
			out = since
		}
	}
	return out
}

// damaged names the kept snapshots whose last verification found damage, in the order of their names.
func (s *state) damaged() []string {
	var out []string
	for name, m := range s.marks {
		if m.damaged && s.held(name) {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

func (s *state) held(name string) bool {
	for _, list := range s.stock {
		if slices.ContainsFunc(list, func(x Snapshot) bool { return x.Name == name }) {
			return true
		}
	}
	return false
}
