package status

import (
	"slices"
	"time"

	"etcd-rolling-backup/retention"
	"etcd-rolling-backup/snapshot"
)

// lossShown is how long a database that shrank or a revision that fell is a problem. A defragmentation shrinks the file too, and a
// compaction the bytes in use, and neither should be a problem for a day. It is a little less than an hour, so that with an hourly schedule
// the result does not depend on seconds. Keys that are gone are a problem for as long as the guard keeps the snapshots that have them:
// nothing but a deletion takes keys away, and after that time the snapshots go too.
const lossShown = 55 * time.Minute

// lossSection is where the documentation says what to do when keys are gone.
const (
	lossSection     = "docs/ALERTS.md, EtcdBackupKeysFell"
	resourceSection = "docs/ALERTS.md, EtcdBackupResourceGone"
)

// Losses returns the problems of which the snapshots show that etcd seems to have lost data.
func (s State) Losses(now time.Time) []Problem {
	var l problemList
	s.lossProblems(&l, now)
	return Fold(l)
}

// lossProblems reports that etcd seems to have lost data.
func (s State) lossProblems(l *problemList, now time.Time) {
	s.resourceProblem(l, now)
	s.keysProblem(l, now)
	c, ok := s.Compare(lossShown, now)
	if !ok {
		return
	}
	if c.Shrank() {
		p := l.add(CodeShrank, c.LossSince, "the database of the newest snapshot shrank to %s, less than half of the %s before",
			Size(c.Newest.RawSize), Size(c.RawSize))
		p.addedTo(CodeRevisionFell, CodeKeysFell)
	}
	if c.InUseFell() {
		p := l.add(CodeInUseFell, c.LossSince, "the database of the newest snapshot has %s in use, less than half of the %s before",
			Size(c.Newest.InUse), Size(c.InUse))
		p.addedTo(CodeRevisionFell, CodeKeysFell, CodeShrank)
	}
	if c.RevisionFell() {
		l.add(CodeRevisionFell, c.LossSince, "the revision of the newest snapshot fell to %s from %s: is it the same cluster?",
			Grouped(c.Newest.Revision), Grouped(c.Revision))
	}
}

// keysProblem reports that more than half of the keys are gone.
func (s State) keysProblem(l *problemList, now time.Time) {
	c, ok := s.Compare(retention.GuardWindow, now)
	if !ok || !c.KeysFell() {
		return
	}
	advice := "restore " + c.KeysBefore + ". It is protected from pruning until " + Absolute(c.KeysSince.Add(retention.GuardWindow))
	if c.KeysBefore == "" {
		advice = "look for another copy, because all snapshots here that had them are damaged"
	}
	p := l.add(CodeKeysFell, c.KeysSince, "the newest snapshot has %s, less than half of the %s before: if nobody deleted them on purpose, %s: %s",
		Count(int(c.Newest.Keys), "key", "keys"), Grouped(c.Keys), advice, lossSection)
	p.addedTo(CodeRevisionFell)
}

// Compare compares the newest snapshot with those in the window before it. Older manual snapshots are ignored: they may stay for years
// while all others are pruned, and then the time of a loss is not known. So are those of predecessors, because a restore sets the
// revision back on purpose. Those of another cluster count if that one has ended: an etcd that lost its data may have come back as a new
// cluster. It returns false while another member takes the snapshots, because no newer snapshot here would end a
// problem.
func (s State) Compare(window time.Duration, now time.Time) (retention.Comparison, bool) {
	var items []retention.Item
	seen := map[string]int{}
	newest, _ := s.Newest(now)
	others := s.setAside(now)
	aside := func(c Copy) bool {
		if others[c.Cluster] {
			return true
		}
		age := newest.Name.Time.Sub(c.Name.Time)
		return age < 0 || c.Name.Set != snapshot.RollingSet && age > window
	}
	for _, p := range Places() {
		for _, c := range slices.Concat(s.Places[p].Copies, s.Places[p].Others, s.Places[p].Broken) { // what is damaged now was there all the same
			if !s.counts(p) || aside(c) {
				continue
			}
			c = s.Described(c)
			item := retention.Item{ID: c.Name.String(), Time: c.Name.Time, RawSize: c.RawSize, InUse: c.InUse, Revision: c.Revision, Damaged: c.Damage != ""}
			item.Keys, item.KeysKnown = c.Keys.Get()
			if at, ok := seen[item.ID]; ok {
				items[at] = items[at].OrCopy(item)
				continue
			}
			seen[item.ID] = len(items)
			items = append(items, item)
		}
	}
	c, ok := retention.Compare(items, window, now)
	j := s.Jobs[Snapshot]
	over := j.Settled.After(j.Success) && now.Sub(c.Newest.Time) > window
	return c, ok && !over
}
