package fleet

import (
	"cmp"
	"slices"
	"time"

	"etcd-rolling-backup/s3"
	"etcd-rolling-backup/snapshot"
)

const (
	// remembered is how many of the newest snapshots of a node are kept in memory.
	remembered = gaps + 4
	// ahead is how much later than now a snapshot may seem to be taken: the node has another clock.
	ahead = time.Minute
)

// place is where the snapshots of one node are. The node "" stands for rke-tools' names, which do not say the node.
type place struct{ folder, node string }

// series is what the names say of the snapshots of one node, without holding all of them.
type series struct {
	place
	newest []snapshot.Entry // scheduled ones, newest first, at most remembered; none of the future
	oldest snapshot.Entry   // scheduled
	kept   int              // scheduled ones
	manual int              // taken by somebody, with a label
	bytes  int64            // of all
	extra  int64            // of manual ones
	label  snapshot.Entry   // the newest manual one
	future snapshot.Entry   // the newest scheduled one that is dated in the future
}

// collector sorts the keys of a bucket by node.
type collector struct {
	now     func() time.Time
	nodes   map[place]*series
	objects int // snapshots of all nodes
	bytes   int64
	others  int // zips and databases that other programs or users named
	foreign int // anything else
}

func (c *collector) restart() {
	c.nodes, c.objects, c.bytes, c.others, c.foreign = map[place]*series{}, 0, 0, 0, 0
}

func (c *collector) visit(f s3.Found) {
	switch {
	case f.Foreign:
		c.foreign++
		return
	case f.Name.Other() || f.Name.Raw():
		c.others++
		return
	}
	at := place{f.Folder, f.Name.Node}
	s := c.nodes[at]
	if s == nil {
		s = &series{place: at}
		c.nodes[at] = s
	}
	c.objects++
	c.bytes += f.Size
	s.add(f.Entry, c.now())
}

// add counts one snapshot. Most come in the order of their times.
func (s *series) add(e snapshot.Entry, now time.Time) {
	s.bytes += e.Size
	isFuture := e.Name.Time.After(now.Add(ahead))
	switch {
	case e.Name.Set != snapshot.RollingSet:
		s.manual++
		s.extra += e.Size
		if !isFuture && e.Name.Time.After(s.label.Name.Time) {
			s.label = e
		}
		return
	case isFuture:
		s.kept++
		if e.Name.Time.After(s.future.Name.Time) {
			s.future = e
		}
		return
	}
	s.kept++
	if s.oldest.Name == (snapshot.Name{}) || e.Name.Time.Before(s.oldest.Name.Time) {
		s.oldest = e
	}
	at, _ := slices.BinarySearchFunc(s.newest, e, snapshot.NewestFirst)
	if at == remembered {
		return
	}
	s.newest = slices.Insert(s.newest, at, e)
	s.newest = s.newest[:min(len(s.newest), remembered)]
}

// sorted returns the nodes in a fixed order.
func (c *collector) sorted() []*series {
	var out []*series
	for _, s := range c.nodes {
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b *series) int { return cmp.Or(cmp.Compare(a.folder, b.folder), cmp.Compare(a.node, b.node)) })
	return out
}

func (s *series) times() []time.Time {
	var out []time.Time
	for _, e := range s.newest {
		out = append(out, e.Name.Time)
	}
	return out
}

// shown is the snapshot that the line of the node is about: the newest scheduled one, if there is one.
func (s *series) shown() snapshot.Entry {
	switch {
	case len(s.newest) > 0:
		return s.newest[0]
	case s.label.Name != (snapshot.Name{}):
		return s.label
	}
	return s.future
}

// samples are the snapshots whose manifests show whether more than one cluster is here: the two newest, because two clusters at the same
// schedule take turns, and the oldest, which stays if its cluster is gone.
func (s *series) samples() []snapshot.Entry {
	out := []snapshot.Entry{s.shown()}
	if len(s.newest) > 1 && s.node != "" {
		out = append(out, s.newest[1])
	}
	if len(s.newest) > 2 && s.node != "" {
		out = append(out, s.oldest)
	}
	return out
}
