package source

import (
	"context"
	"errors"
	"slices"

	"etcd-rolling-backup/internal/history"
	"etcd-rolling-backup/snapshot"
)

// highest finds Opened.Highest for a snapshot, if that is asked for.
func (r Request) highest(ctx context.Context, all []Listing, own snapshot.Manifest) (revision int64, err error) {
	if !r.FindHighest {
		return 0, nil
	}
	read, late := manifests(ctx, all, snapshot.Name{}, func(snapshot.Name) bool { return true })
	if late > 0 {
		r.notice("warning: %d snapshots in %s were not read, because there are too many for %s: if one of them is of this cluster and has a higher revision, give --bump-revision",
			late, Wheres(all), manifestLimit)
	}
	kin := kinOf(clusters(all, read, snapshot.NewDir(r.Dir)), own.ClusterID)
	var bases []history.Snapshot
	for _, e := range merged(all).Snapshots {
		if m, known := read[of(e)]; known {
			bases = append(bases, history.SnapshotOf(e.Name, m))
		}
	}
	p, err := piecesOf(ctx, all, ScratchAt(r.scratchPath()), r.skipped)
	if err != nil {
		return 0, err
	}
	revision = history.Find(history.Records{Segments: p.names(), Snapshots: bases, Manifest: p.reader(ctx)}).Highest(kin)
	recorded, err := r.highestRestored(kin)
	return max(revision, recorded), errors.Join(err, p.close())
}

// highestRestored is the highest revision of what restores have made of such clusters, of which there may be no snapshot yet, and of the data that is
// replaced.
func (r Request) highestRestored(kin func(snapshot.ID) bool) (revision int64, err error) {
	if !r.FindHighest {
		return 0, nil
	}
	restores, err := snapshot.NewDir(r.Dir).Restores()
	again := false
	for _, x := range restores {
		switch {
		case r.Replaced.AsRestored(x):
			again = true
		case kin(x.ClusterID) || slices.ContainsFunc(x.Predecessors, kin):
			revision = max(revision, x.Revision)
		}
	}
	if !again {
		revision = max(revision, r.Replaced.Revision)
	}
	return revision, err
}

// unknownCluster has no kin: the snapshot does not say its cluster.
func unknownCluster(snapshot.ID) bool { return false }

// AsRestored reports that nothing was written since a restore. Then the same restore again must have the same number: other members may be
// restored with it already.
func (d Replaced) AsRestored(x snapshot.Restored) bool {
	return x.ClusterID == d.ClusterID && x.Revision == d.Revision
}

// kinOf tells the clusters that are one through restores, before and after them.
func kinOf(lives []snapshot.Life, id snapshot.ID) func(snapshot.ID) bool {
	own, known := lifeOf(lives, id)
	return func(other snapshot.ID) bool {
		its, found := lifeOf(lives, other)
		return other == id || known && found && own.Related(its.Lineage)
	}
}
