package metrics

import "time"

// newest is the newest snapshot of all places that is not dated in the future, as past has it.
func (s *state) newest(now time.Time) (Snapshot, bool) {
	var out Snapshot
	for _, p := range places() {
		for _, x := range s.stock[p] {
			if x.Time.After(now) {
				continue
			}
			if x.Time.After(out.Time) {
				out = x
			}
			break
		}
	}
	return s.described(out), out.Name != ""
}

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
