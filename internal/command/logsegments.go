package command

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
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
	l.unread = l.notRead(from)
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
	chosen, around := between(j.Names, l.since, l.until)
	for _, n := range slices.SortedStableFunc(slices.Values(slices.Concat(chosen, around)), begun) {
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
		case !slices.Contains(chosen, n) && ctx.Err() == nil: // its changes were not asked for
			if proof.Revision == 0 {
				proof.Revision = n.Last
			}
		case errors.Is(err, snapshot.ErrDamaged), errors.Is(err, snapshot.ErrFormat):
			l.warn("the changes in %s are missing here: %s%s", n, line(journal.Unnamed(err)), l.elsewhere())
			damaged = cmp.Or(damaged, fmt.Errorf("%w: not all changes could be read", snapshot.ErrDamaged))
			if proof.Revision == 0 || n.First <= proof.Revision+1 && n.Last > proof.Revision { // the next one has no gap before it
				proof.Revision, proof.Digest = n.Last, ""
			}
		default:
			return err
		}
	}
	if l.shown == 0 && damaged == nil {
		l.note("no such change is recorded%s%s", l.end(from, proof), l.elsewhere())
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
	gap := (proof.Cluster == s.ClusterID || proof.Cluster == 0 && proof.Revision > 0) && s.First > proof.Revision+1 && !restored() // of a damaged one, the cluster is not known
	if gap && l.touches(proof.Revision, s.First, proof.To, s.From) {
		l.warn("the journal has a gap: no revisions from %d to %d%s", proof.Revision+1, s.First-1, l.elsewhere())
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

// touches reports that what is asked for may have changes between two revisions, which were received at these times.
func (l *logging) touches(before, after int64, from, to time.Time) bool {
	u := l.until
	return !l.since.follows(max(after-1, before), to) && (u.revision == 0 || u.revision > before) && (u.at.IsZero() || !u.at.Before(from))
}

// notRead says which place may have what is missing; "": all were read.
func (l *logging) notRead(from []source.Listing) string {
	other := ""
	switch place := l.String("from"); {
	case l.cfg.S3 != nil && place == string(config.Local):
		other = "the bucket"
	case place == string(config.S3):
		if _, err := os.Stat(l.cfg.Store.Dir); err == nil {
			other = "the directory " + l.cfg.Store.Dir
		}
	}
	if other == "" {
		return ""
	}
	return fmt.Sprintf(" in %s; %s was not read: --from all reads both", source.Wheres(from), other)
}

// elsewhere is what notRead says, the first time.
func (l *logging) elsewhere() (text string) {
	text, l.unread = l.unread, ""
	return text
}

// begun is the order in which segments were begun.
func begun(a, b snapshot.SegmentName) int {
	return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(a.First, b.First))
}

// between are the segments that may have changes between two points, in the order in which they were begun. One ends before the next one of its
// node begins. around are those on the two sides of revisions that are missing between the points: only they show that.
func between(names []snapshot.SegmentName, since, until point) (chosen, around []snapshot.SegmentName) {
	next, early := map[string]snapshot.SegmentName{}, map[snapshot.SegmentName]bool{}
	late := func(n snapshot.SegmentName) bool { return until.passed(n.First, n.Time) }
	for _, n := range slices.Backward(slices.SortedStableFunc(slices.Values(names), begun)) {
		x, has := next[n.Node]
		next[n.Node] = n
		last := n.Last
		if !n.Complete() {
			last = math.MaxInt64
		}
		early[n] = has && (x.Time.Add(time.Second).Before(since.at) || last < since.revision) // names have whole seconds
		if !early[n] && !late(n) {
			chosen = append(chosen, n)
		}
		if has && !early[x] && !late(n) && x.First > max(n.Last+1, since.revision) {
			around = append(around, n, x)
		}
	}
	around = slices.DeleteFunc(slices.Compact(around), func(n snapshot.SegmentName) bool { return slices.Contains(chosen, n) })
	return chosen, around
}
