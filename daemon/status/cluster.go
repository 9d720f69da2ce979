package status

import (
	"cmp"
	"slices"
	"time"

	"etcd-rolling-backup/snapshot"
)

// aliveFor is how long after its last snapshot another cluster counts as alive: a little more than a week, for weekly schedules.
const aliveFor = 8 * 24 * time.Hour

// SetCluster records the cluster of the member, as the member says, and what it was restored from. If the saved State was of another
// cluster that this one does not succeed, its results are not this daemon's: two daemons share directory and node name, or somebody
// made a new cluster. They are dropped; what is known about files and objects stays.
func (t *Tracker) SetCluster(l snapshot.Lineage) {
	t.change(func(s *State) {
		before := s.Cluster
		if before.Cluster == l.Cluster {
			l.Since = before.Since
			if len(l.Predecessors) == 0 {
				l.Predecessors = before.Predecessors
			}
		} else if before.Known() && !s.Confirmed && !l.Has(before.Cluster) {
			s.Jobs, s.Mirror, s.History, s.Starts, s.PruneError = map[Job]JobState{}, MirrorState{}, nil, nil, ""
			s.Resources = Resources{}
		}
		changed := !s.Confirmed || before.Cluster != l.Cluster || !slices.Equal(before.Predecessors, l.Predecessors)
		s.Cluster, s.Confirmed = l, true
		if changed {
			s.sortByCluster()
		}
	})
}

// Lineage returns the cluster whose snapshots this daemon may remove; unknown until the member has answered once since the start,
// because the saved State may be that of another daemon.
func (t *Tracker) Lineage() snapshot.Lineage {
	s := t.State()
	if !s.Confirmed {
		return snapshot.Lineage{}
	}
	return s.Cluster
}

// Lineage returns the cluster with those of its predecessors that are not alive any more.
func (s State) Lineage() snapshot.Lineage {
	var all []snapshot.Origin
	for _, i := range s.Places {
		all = append(all, origins(slices.Concat(i.Copies, i.Others))...)
	}
	return s.Cluster.Settled(all)
}

func origins(copies []Copy) []snapshot.Origin {
	var out []snapshot.Origin
	for _, c := range copies {
		out = append(out, snapshot.Origin{Cluster: c.Cluster, Name: c.Name})
	}
	return out
}

// sortByCluster moves the snapshots of other clusters to Others, and those of this one's lineage to Copies. One whose manifest was not
// read yet is among the Copies.
func (s *State) sortByCluster() {
	l := s.Lineage()
	s.Cluster.Since = l.Since
	for p, i := range s.Places {
		all := slices.Concat(i.Copies, i.Others)
		slices.SortFunc(all, NewestFirst)
		i.Copies, i.Others = nil, nil
		for _, c := range all {
			if l.Stranger(c.Cluster) {
				i.Others = append(i.Others, c)
			} else {
				i.Copies = append(i.Copies, c)
			}
		}
		s.Places[p] = i
	}
}

// Stranger reports whether a listed snapshot of this node's name is known to be of another cluster.
func (t *Tracker) Stranger(p Place, e snapshot.Entry) bool {
	if t == nil {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	_, known := Copy{Name: e.Name, Size: e.Size, Modified: e.Modified}.withKnown(t.state.Places[p].Others)
	return known
}

// crowd is how many of the other clusters' newest snapshots tell when their daemons take the next ones.
const crowd = 8

// SecondTaken reports whether another cluster takes its snapshots in this second of the minute and stores them in the bucket under this
// node's name. The bucket can hold one snapshot of each name, and names have whole seconds: with the same schedule, one cluster's
// snapshots would never arrive, and the daemon of the other one would not know of it.
func (t *Tracker) SecondTaken(at time.Time) bool {
	s := t.State()
	others := s.Places[S3].Others
	return s.counts(S3) && slices.ContainsFunc(others[:min(len(others), crowd)], func(c Copy) bool { return c.Name.Time.Second() == at.Second() })
}

// SetManifests records what the manifests of listed copies say.
func (t *Tracker) SetManifests(p Place, read map[snapshot.Name]snapshot.Facts) {
	if len(read) == 0 {
		return
	}
	t.change(func(s *State) {
		i := s.Places[p]
		for _, list := range [][]Copy{i.Copies, i.Others, i.Nodes} {
			for n := range list {
				if x, ok := read[list[n].Name]; ok {
					x.Keys = x.Keys.Or(list[n].Keys) // a drill may have counted them
					list[n].Facts = x
				}
			}
		}
		s.sortByCluster()
	})
}

// SetNodes records the snapshots of other nodes in a place, as they were listed at that time.
func (t *Tracker) SetNodes(p Place, copies []Copy, at time.Time) {
	t.change(func(s *State) {
		i := s.Places[p]
		next := make([]Copy, len(copies))
		for n, c := range copies {
			next[n], _ = c.withKnown(i.Nodes)
		}
		i.Nodes, i.NodesListed = next, at
		s.Places[p] = i
	})
}

// rival is another cluster that takes snapshots of this node's name in one place: since this cluster's first one, and recently.
type rival struct {
	snapshot.Life
	place Place
}

// rivals returns them in a fixed order.
func (s State) rivals(now time.Time) []rival {
	var out []rival
	for p, i := range s.Places {
		for _, x := range snapshot.Lives(origins(i.Others)) {
			since := s.Cluster.Since.IsZero() || s.Cluster.Alongside(x)                                          // before this cluster's first snapshot, any other is alongside
			undone := slices.Contains(s.Cluster.Successors, x.Cluster) && x.Newest.Time.Before(s.newestOwn(now)) // this cluster goes on, and that one does not
			if s.counts(p) && since && !undone && now.Sub(x.Newest.Time) < aliveFor {
				out = append(out, rival{x, p})
			}
		}
	}
	slices.SortFunc(out, func(a, b rival) int { return cmp.Or(cmp.Compare(a.place, b.place), cmp.Compare(a.Cluster, b.Cluster)) })
	return out
}

// clash reports whether another cluster's object has the name of a file of this one, which can't be uploaded then.
func (s State) clash() bool {
	return slices.ContainsFunc(s.Places[S3].Others, func(o Copy) bool {
		return slices.ContainsFunc(s.Places[Local].Copies, func(c Copy) bool { return c.Name == o.Name })
	})
}

// newestOwn is when the newest snapshot of this cluster itself was taken.
func (s State) newestOwn(now time.Time) (newest time.Time) {
	for _, i := range s.Places {
		for _, c := range i.Copies {
			if c.Cluster == s.Cluster.Cluster && c.Name.Time.After(newest) && !c.Name.Time.After(now) {
				newest = c.Name.Time
			}
		}
	}
	return newest
}

// setAside returns the clusters that a loss of data is not looked for in: predecessors, and others that are alive.
func (s State) setAside(now time.Time) map[snapshot.ID]bool {
	out := map[snapshot.ID]bool{}
	for _, id := range s.Lineage().Predecessors {
		out[id] = true
	}
	for _, r := range s.rivals(now) {
		out[r.Cluster] = true
	}
	return out
}

// clusterProblems reports other clusters that take snapshots under this node's name in the same place.
func (s State) clusterProblems(l *problemList, now time.Time) {
	for _, r := range s.rivals(now) {
		remedy := "give each cluster its own --dir, or each daemon its own --node"
		if r.place == S3 {
			remedy = "give each cluster its own --s3-folder"
		}
		p := l.add(CodeOtherCluster, s.Cluster.Since, "another cluster, %s, keeps snapshots of the same node name %s, the newest of %s; "+
			"this node is of cluster %s: %s", r.Cluster, r.place.In(), Absolute(r.Newest.Time), s.Cluster.Cluster, remedy)
		if r.place == Local {
			p.addedTo(CodeOtherDaemon)
		}
	}
}
