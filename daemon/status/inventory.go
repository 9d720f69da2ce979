package status

import (
	"cmp"
	"slices"
	"time"

	"etcd-rolling-backup/snapshot"
)

// NewestFirst orders copies newest first; those of the same time by name.
func NewestFirst(a, b Copy) int {
	return cmp.Or(b.Name.Time.Compare(a.Name.Time), cmp.Compare(a.Name.String(), b.Name.String()))
}

// SetInventory records the snapshots of this node's name in a place, in any order, or why it could not be listed. What is known about
// a copy is kept as long as the same file or object exists.
func (t *Tracker) SetInventory(p Place, copies []Copy, err error) {
	t.change(func(s *State) {
		s.shareDetails()
		i := s.Places[p]
		if err != nil {
			i.Error, i.Listed = oneLine(err.Error()), false
			s.Places[p] = i
			return
		}
		next := make([]Copy, len(copies))
		for n, c := range copies {
			next[n], _ = c.withKnown(slices.Concat(i.Copies, i.Others))
		}
		s.Places[p] = Inventory{Copies: next, Broken: i.Broken, Nodes: i.Nodes, NodesListed: i.NodesListed, Listed: true}
		s.sortByCluster()
		if p == S3 {
			s.seenInS3(s.Places[p].Copies)
		}
	})
}

// shareDetails copies the details of a copy to the other places' copies of the same size. A listing of S3 reads no manifests, so the
// details from the disk must be kept after its file is removed.
func (s *State) shareDetails() {
	for p, i := range s.Places {
		i.Copies = slices.Clone(i.Copies)
		for n, c := range i.Copies {
			i.Copies[n] = s.Described(c)
		}
		s.Places[p] = i
	}
}

// seenInS3 takes the newest snapshot in S3 as evidence of an earlier pass, if no other pass is known.
func (s *State) seenInS3(copies []Copy) {
	now := slices.IndexFunc(copies, func(c Copy) bool { return c.Name.Set == snapshot.RollingSet })
	s.job(Mirror, func(x *JobState) {
		if x.Success.IsZero() && now >= 0 && !copies[now].Name.Time.After(x.Attempt) {
			x.Success = copies[now].Name.Time
		}
	})
}

// SetBroken records the NAME.broken files on the disk. The text of the damage is kept from before the file was renamed.
func (t *Tracker) SetBroken(broken []Copy) {
	t.change(func(s *State) {
		i := s.Places[Local]
		known := slices.Concat(i.Copies, i.Broken)
		i.Broken = slices.SortedFunc(slices.Values(broken), NewestFirst)
		for n := range i.Broken {
			c := &i.Broken[n]
			for _, x := range slices.Backward(known) { // the first counts
				if x.Name == c.Name && x.Damage != "" {
					c.Damage, c.Found = x.Damage, x.Found
				}
				if x.Name == c.Name {
					c.Facts = c.WithSizes(x.Facts)
				}
			}
		}
		s.Places[Local] = i
	})
}

// withKnown returns c with what is known about the same file or object from an earlier listing, if it was there.
func (c Copy) withKnown(earlier []Copy) (out Copy, known bool) {
	i := slices.IndexFunc(earlier, func(x Copy) bool {
		sameSize := x.Size == c.Size || x.Size == 0 // earlier versions did not save the size
		return x.Name == c.Name && sameSize && (x.Modified.IsZero() || x.Modified.Equal(c.Modified))
	})
	if i < 0 {
		return c, false
	}
	x := earlier[i]
	known = x.Size == c.Size
	facts := c.WithSizes(x.Facts)
	facts.Cluster, facts.Corrupt, facts.Foreign = cmp.Or(c.Cluster, x.Cluster), c.Corrupt || x.Corrupt, x.Foreign
	x.Size, x.Modified, x.Facts = c.Size, c.Modified, facts
	x.Damage = cmp.Or(c.Damage, x.Damage)
	return x, known
}

// Known returns what is known about a listed copy, and whether an earlier listing had the same one. RawSize and Revision are 0 if they
// are not known, neither from this copy nor from another place's copy of the same size.
func (t *Tracker) Known(p Place, e snapshot.Entry) (c Copy, known bool) {
	c = Copy{Name: e.Name, Size: e.Size, Modified: e.Modified}
	if t == nil {
		return c, false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	i := t.state.Places[p]
	c, known = c.withKnown(slices.Concat(i.Copies, i.Others, i.Nodes))
	return t.state.Described(c), known
}

// copyIn changes one copy, if it is in that place. That may be one of another cluster, if somebody took it with a label.
func (s *State) copyIn(p Place, n snapshot.Name, f func(c *Copy)) {
	i := s.Places[p]
	i.Copies, i.Others = slices.Clone(i.Copies), slices.Clone(i.Others)
	for _, list := range [][]Copy{i.Copies, i.Others} {
		for at := range list {
			if list[at].Name == n {
				f(&list[at])
				s.Places[p] = i
			}
		}
	}
}

// add adds one copy to a place, or replaces the one with the same name.
func (s *State) add(p Place, c Copy) {
	i := s.Places[p]
	i.Copies = append(slices.DeleteFunc(slices.Clone(i.Copies), func(x Copy) bool { return x.Name == c.Name }), c)
	slices.SortFunc(i.Copies, NewestFirst)
	s.Places[p] = i
}

// SetDamaged records that a copy was found damaged when its manifest was read, or when the mirror read it for the upload. A
// verification reports damage with [Tracker.End] instead. It counts no run.
func (t *Tracker) SetDamaged(p Place, at time.Time, n snapshot.Name, found error) {
	t.change(func(s *State) {
		s.copyIn(p, n, func(c *Copy) {
			if c.Damage == "" {
				c.Damage, c.Found = oneLine(found.Error()), at
				s.remember(Failure{At: at, Place: p, Name: n, Reason: Damaged, Message: c.Damage})
			}
		})
	})
}

// SetIntact records that a copy that was found damaged is intact on the second read. It counts no run.
func (t *Tracker) SetIntact(p Place, n snapshot.Name) { t.change(func(s *State) { s.intact(p, n) }) }

func (s *State) intact(p Place, n snapshot.Name) {
	s.copyIn(p, n, func(c *Copy) { c.Damage, c.Found = "", time.Time{} })
}

// Pruned records the removals by the policy; with an error, others failed. Snapshots pruned on the disk are no longer pending.
func (t *Tracker) Pruned(p Place, at time.Time, names []snapshot.Name, err error) {
	t.change(func(s *State) {
		s.shareDetails()
		gone := func(n snapshot.Name) bool { return slices.Contains(names, n) }
		i := s.Places[p]
		i.Copies = slices.DeleteFunc(slices.Clone(i.Copies), func(c Copy) bool { return gone(c.Name) })
		s.Places[p] = i
		s.Counters.Pruned[p] += len(names)
		if p != Local {
			return
		}
		s.PruneError = ""
		if err != nil {
			s.PruneError, s.PruneAt = oneLine(err.Error()), at
			s.Counters.PruneFailures++
			s.remember(Failure{At: at, Place: Local, Reason: Disk, Message: s.PruneError})
		}
		kept := slices.DeleteFunc(slices.Clone(s.Mirror.Pending), gone)
		if lost := len(s.Mirror.Pending) - len(kept); lost > 0 {
			s.Counters.Unmirrored += lost
			s.Mirror.LostPending += lost
			s.Mirror.UnmirroredAt = at
		}
		s.Mirror.Pending = kept
	})
}

// SetPending records what a mirror pass must upload. A snapshot that was taken since the pass began stays pending, because the pass
// has not seen it.
func (t *Tracker) SetPending(at time.Time, names []snapshot.Name) {
	t.change(func(s *State) {
		next := slices.Clone(names)
		if x := s.Jobs[Snapshot]; !x.Success.Before(s.Jobs[Mirror].Attempt) && slices.Contains(s.Mirror.Pending, x.Name) && !slices.Contains(next, x.Name) {
			next = append(next, x.Name)
		}
		s.Mirror.Pending = next
		s.Mirror.settle()
		if len(next) > 0 && s.Mirror.PendingSince.IsZero() {
			s.Mirror.PendingSince = s.firstAfterS3(at)
		}
	})
}

// firstAfterS3 returns when the first pending snapshot after the newest one in S3 was taken. It returns at if only older ones are
// pending, such as those from before a bucket was configured.
func (s *State) firstAfterS3(at time.Time) time.Time {
	there := s.Places[S3].Copies
	for _, n := range s.Mirror.Pending {
		if len(there) > 0 && n.Time.After(there[0].Name.Time) && n.Time.Before(at) {
			at = n.Time
		}
	}
	return at
}

// NameTaken records that S3 has something else under the name of a snapshot.
func (t *Tracker) NameTaken(n snapshot.Name, at time.Time) {
	t.change(func(s *State) { s.Mirror.Taken, s.Mirror.TakenAt = n, at })
}

// NotPending says that S3 is no longer to hold a snapshot: it is gone from the disk.
func (t *Tracker) NotPending(n snapshot.Name) { t.change(func(s *State) { s.Mirror.drop(n) }) }

func (m *MirrorState) drop(n snapshot.Name) {
	m.Pending = slices.DeleteFunc(slices.Clone(m.Pending), func(x snapshot.Name) bool { return x == n })
	m.settle()
}

// Uploaded says that a snapshot was read in full on the disk and has arrived in S3, so both copies are intact.
func (t *Tracker) Uploaded(c Copy, took time.Duration) {
	t.change(func(s *State) {
		s.Counters.Uploads++
		s.Counters.UploadedBytes += max(c.Size, 0)
		s.Counters.observe(StageUpload, took)
		s.intact(Local, c.Name)
		s.add(S3, Copy{Name: c.Name, Size: c.Size, Facts: c.Facts, Sent: true})
		s.Mirror.drop(c.Name)
	})
}

// settle resets the time since which S3 is behind, once the mirror has uploaded everything. Its pass may still fail to prune.
func (m *MirrorState) settle() {
	if len(m.Pending) == 0 {
		m.PendingSince, m.LostPending = time.Time{}, 0
	}
}

// Mirrored records a successful pass: S3 is in sync, except for snapshots taken since the pass began. locked is how many snapshots
// Object Lock protected from pruning.
func (t *Tracker) Mirrored(at time.Time, locked int) {
	t.change(func(s *State) {
		s.succeeded(Mirror, at, snapshot.Name{})
		s.Mirror.Locked, s.Mirror.LostPending, s.Mirror.PendingSince = locked, 0, time.Time{}
		if len(s.Mirror.Pending) > 0 {
			s.Mirror.PendingSince = s.Jobs[Snapshot].Success
		}
	})
}
