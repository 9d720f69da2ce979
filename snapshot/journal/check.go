package journal

import (
	"context"
	"fmt"
	"os"
	"time"

	"go.etcd.io/bbolt"

	"etcd-rolling-backup/snapshot"
)

// Proof follows a journal from one segment to the next one and proves that nothing is missing or changed: the digests of each segment, every
// revision, and the seams. So a chain of any length is proven with one segment open at a time.
type Proof struct {
	Cluster  snapshot.ID // 0: not known before the first segment
	Revision int64       // up to which all is proven; before the first segment that of the snapshot
	Digest   string      // of that revision; "": not known
	Segments int
	Events   int64     // after the revision at the beginning
	From, To time.Time // of the first and the last checkpoint
}

// Add proves the next segment, as Follow chooses it, and calls visit, if it is not nil, for each record of it and for each event that no segment
// before it had. After an error the proof is as before; errors wrap ErrGap, ErrHistory or snapshot.ErrDamaged, or come from visit.
func (p *Proof) Add(ctx context.Context, s *Segment, visit func(Record) error) error {
	if p.Cluster != 0 && s.ClusterID != p.Cluster {
		return fmt.Errorf("%w: %s is of the cluster %s, not %s", ErrHistory, s.label(), s.ClusterID, p.Cluster)
	}
	var events int64
	err := follow(ctx, []*Segment{s}, p.Revision, p.Digest, func(r Record) error {
		if r.event() {
			events++
		}
		if visit == nil {
			return nil
		}
		return visit(r)
	})
	if err != nil || s.Last <= p.Revision {
		return err
	}
	if p.From.IsZero() {
		p.From = s.From
	}
	p.Cluster, p.Revision, p.Digest, p.To = s.ClusterID, s.Last, s.LastDigest, s.To
	p.Segments++
	p.Events += events
	return nil
}

// Newest returns the newest revision of a snapshot's database, which has been checked, and its digest, with which a Proof begins. It closes db.
func Newest(db *os.File) (revision int64, digest string, err error) {
	err = snapshot.ViewDatabase(db, func(tx *bbolt.Tx) error {
		g := &merge{tx: tx}
		j, err := g.begin(0)
		revision, digest = g.Base, j.last
		return err
	})
	return revision, digest, err
}
