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

// waitsSince is since when a snapshot has waited for S3. The newest may have been under way for long since the time in its name, and
// waits only since then; what lay here before there was anything in S3, since that was seen.
func (s *state) waitsSince(x Snapshot) time.Time {
	since := x.Time
	if x.Wanted.After(since) {
		since = x.Wanted
	}
	if x.Name == s.fresh.Name {
		since = s.freshAt
	}
	if since.Before(s.emptied) {
		return s.emptied
	}
	return since
}

// oldestWaiting is since when S3 lacks what it should have: since the first of those has waited that wait, or did before they were
// pruned here. Zero: it lacks nothing.
func (s *state) oldestWaiting() time.Time {
	out := s.missed
	for _, x := range s.waiting {
		out = earlier(out, s.waitsSince(x))
	}
	return out
}
