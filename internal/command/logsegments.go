package command

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/internal/source"
	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/journal"
)

// show prints the changes of all segments, each once. What is missing is reported, and what is damaged is the error at the end.
func (l *logging) show(ctx context.Context, from []source.Listing) error {
	j := source.JournalOf(from, l.scratch())
	if len(j.Names) == 0 {
		elsewhere := ""
		if l.cfg.S3 != nil && !slices.ContainsFunc(from, func(f source.Listing) bool { return f.Place == config.S3 }) {
			elsewhere = " (in the bucket? --from s3)"
		}
		l.note("there is no journal in %s: the daemon writes one with --journal%s", source.Wheres(from), elsewhere)
		return nil
	}
	var proof journal.Proof
	var last snapshot.SegmentName // that was shown
	var damaged error
	restores := sync.OnceValue(func() func(a, b snapshot.SegmentName) bool { return j.Restores(ctx) })
	for _, n := range between(j.Names, l.since, l.until) {
		l.batch = nil
		s, closer, err := j.Open(ctx, n)
		if err == nil {
			restored := func() bool { return s.Restored || restores()(last, n) }
			err = errors.Join(l.segment(ctx, s, &proof, restored), closer.Close(), l.flush())
		}
		switch {
		case err == nil:
			last = n
		case errors.Is(err, journal.ErrEmpty), errors.Is(err, snapshot.ErrNotFound): // it is being written, or was just pruned
		case errors.Is(err, snapshot.ErrDamaged), errors.Is(err, snapshot.ErrFormat):
			l.warn("the changes in %s are missing here: %s", n, line(journal.Unnamed(err)))
			damaged = cmp.Or(damaged, err)
		default:
			return err
		}
	}
	if l.shown == 0 && damaged == nil {
		l.note("no such change is recorded%s", l.end(from, proof))
	}
	return damaged
}

// end says where the journal ends, if all of it was read.
func (l *logging) end(from []source.Listing, proof journal.Proof) string {
	if proof.Revision == 0 || l.until != (point{}) {
		return ""
	}
	return fmt.Sprintf("; the journal in %s ends at revision %d, received %s", source.Wheres(from), proof.Revision, moment(proof.To))
}

// segment proves one segment, and then prints what no segment before it had. restored says whether the cluster was restored before it, where revisions are
// missing.
func (l *logging) segment(ctx context.Context, s *journal.Segment, proof *journal.Proof, restored func() bool) error {
	start := *proof
	gap := proof.Cluster == s.ClusterID && s.First > proof.Revision+1 && !restored()
	if gap {
		l.warn("the journal has a gap: no revisions from %d to %d", proof.Revision+1, s.First-1)
	}
	if proof.Cluster != s.ClusterID || s.First > proof.Revision+1 {
		start = journal.Proof{Revision: s.First - 1}
	}
	checked := start
	err := checked.Add(ctx, s, nil)
	if errors.Is(err, journal.ErrHistory) {
		start = journal.Proof{Revision: s.First - 1}
		checked = start
		err = checked.Add(ctx, s, nil)
	}
	if err != nil {
		return err
	}
	if start.Cluster == 0 && proof.Cluster != 0 && !gap {
		l.warn("the cluster was restored: what follows is of cluster %s from revision %d on", s.ClusterID, s.First)
	}
	*proof = start
	return proof.Add(ctx, s, l.add)
}

// between are the segments that may have changes between two points, in the order in which they were begun. One ends before the next one of its
// node begins.
func between(names []snapshot.SegmentName, since, until point) (chosen []snapshot.SegmentName) {
	all := slices.SortedStableFunc(slices.Values(names), func(a, b snapshot.SegmentName) int {
		return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(a.First, b.First))
	})
	next := map[string]time.Time{}
	for _, n := range slices.Backward(all) {
		end, has := next[n.Node]
		next[n.Node] = n.Time
		last := n.Last
		if !n.Complete() {
			last = math.MaxInt64
		}
		if has && end.Add(time.Second).Before(since.at) || has && last < since.revision || until.passed(n.First, n.Time) { // names have whole seconds
			continue
		}
		chosen = append(chosen, n)
	}
	slices.Reverse(chosen)
	return chosen
}
