package service

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/journal"
	"etcd-rolling-backup/snapshot/member"
)

// tail returns what a watch that continues the journal must show again, and with which revision it begins: as early as etcd has not compacted. If the
// segments can't be read, it is the last one.
func (r *recorder) tail(ctx context.Context, cfg config.Config, m *member.Member) (from int64, t journal.Tail, err error) {
	if r.at.last == 0 {
		return r.at.next(), t, nil
	}
	limited, cancel := context.WithTimeout(ctx, cfg.Etcd.Timeout)
	defer cancel()
	if from, err = m.Compacted(limited, journal.TailFrom(r.at.last)); err != nil {
		return 0, t, fmt.Errorf("ask %s what it has compacted: %w", m.Endpoint(), err)
	}
	if from < r.at.last {
		t, err = r.readTail(ctx, cfg.Store.Node, from)
	}
	if err != nil && ctx.Err() == nil {
		r.log.WithError(err).Warn("the end of the journal can't be read, so only its last revision is compared with etcd")
		t, err = journal.Tail{}, nil
	}
	return cmp.Or(t.From(), r.at.last), t, err
}

// readTail reads the tail behind a revision, as far back as the segments follow each other.
func (r *recorder) readTail(ctx context.Context, node string, from int64) (t journal.Tail, err error) {
	l, err := r.dir.List()
	if err != nil {
		return t, err
	}
	all := names(l, node)
	var chain []journal.Manifest
	last := r.pick(ctx, all, func(n snapshot.SegmentName) bool { return n.Last == r.at.last }, func(m journal.Manifest) bool {
		return m.ClusterID == r.at.cluster && m.LastDigest == r.at.digest
	})
	for m := last; m != nil; m = r.before(ctx, all, *m) {
		if chain = append(chain, *m); m.First <= from+1 {
			break
		}
	}
	for _, m := range slices.Backward(chain) {
		if err := r.addTo(ctx, &t, m, from); err != nil {
			return t, err
		}
	}
	return t, nil
}

func (r *recorder) addTo(ctx context.Context, t *journal.Tail, m journal.Manifest, from int64) error {
	n, err := snapshot.ParseSegmentName(m.Name)
	if err != nil {
		return err
	}
	f, err := r.dir.OpenSegment(n)
	if err != nil {
		return err
	}
	defer f.Close()
	s, err := journal.OpenFile(ctx, f, n)
	if err != nil {
		return err
	}
	return t.Add(ctx, s, from)
}
