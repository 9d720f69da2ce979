package prune

import (
	"context"
	"errors"
	"slices"
	"time"

	"etcd-rolling-backup/retention"
	"etcd-rolling-backup/snapshot"
)

// Store is a local directory; *snapshot.Dir is one.
type Store interface {
	// Remove deletes one for good; a missing one wraps snapshot.ErrNotFound.
	Remove(ctx context.Context, n snapshot.Name) error
	List() (snapshot.Listing, error)
	// Manifest reads the manifest of one. If it is damaged, the error wraps snapshot.ErrDamaged.
	Manifest(n snapshot.Name) (snapshot.Manifest, error)
	// RemoveBroken deletes a NAME.broken file; the error for a missing one wraps snapshot.ErrNotFound.
	RemoveBroken(ctx context.Context, n snapshot.Name) error
}

// StoreDetails reads the manifests of a directory.
func StoreDetails(store Store) Details {
	return func(_ context.Context, e snapshot.Entry) (snapshot.Facts, error) {
		return FromManifest(store.Manifest(e.Name))
	}
}

// Local prunes a directory, or with dryRun says what it would remove. The decisions on this node's snapshots are followed by the orphans
// of other nodes, and by files that were set aside as damaged. What was done counts next to an error.
func Local(ctx context.Context, store Store, s Scope, now time.Time, details Details, dryRun bool) ([]Decision, error) {
	l, err := store.List()
	if err != nil {
		return nil, err
	}
	s.Journal.Segments = l.Segments
	decisions, _, err := Plan(ctx, l.Snapshots, s, now, details)
	orphans, orphanErr := Orphans(ctx, l.Snapshots, s, now, details)
	err = errors.Join(err, orphanErr)
	decisions = append(decisions, orphans...)
	broken := planBroken(l, s, now)
	if slices.ContainsFunc(broken, func(d Decision) bool { return !d.Keep }) && !aloneIn(ctx, l.Snapshots, s, details) {
		for i := range broken {
			broken[i].Keep, broken[i].Reasons = true, []string{"damaged, and it might be of another cluster"}
		}
	}
	if !dryRun {
		err = errors.Join(err, apply(ctx, store.Remove, decisions), apply(ctx, store.RemoveBroken, broken))
	}
	return append(decisions, broken...), err
}

// planBroken decides on the damaged files. They hold what nothing else may hold, so each stays for as long as the guard protects what
// came before a loss, and for as long as the policy would keep it if it were intact. One with an intact file of its name was replaced.
func planBroken(l snapshot.Listing, s Scope, now time.Time) []Decision {
	var out []Decision
	for _, b := range l.Broken {
		if !b.Name.Rolling(s.Node) {
			continue
		}
		d := Decision{Entry: b, Broken: true, Reasons: []string{"damaged, and no rule would keep it"}}
		switch {
		case slices.ContainsFunc(l.Snapshots, func(e snapshot.Entry) bool { return e.Name == b.Name }):
			d.Reasons = []string{"damaged, and replaced by an intact one"}
		case now.Sub(b.Modified) < retention.GuardWindow:
			d.Keep, d.Reasons = true, []string{"damaged, and set aside within the last day"}
		case wouldKeep(l.Snapshots, b, s, now):
			d.Keep, d.Reasons = true, []string{"damaged, and the policy would keep it"}
		}
		out = append(out, d)
	}
	return out
}

// aloneIn reports whether all snapshots of this node there are of its lineage, as far as their manifests are intact. A damaged file may
// not say any more whose it is.
func aloneIn(ctx context.Context, intact []snapshot.Entry, s Scope, details Details) bool {
	mine := slices.DeleteFunc(slices.Clone(intact), func(e snapshot.Entry) bool { return !e.Name.OfNode(s.Node) })
	f, err := read(ctx, mine, details)
	settled := s.Lineage.Settled(f.origins(mine))
	return err == nil && s.Lineage.Known() && !slices.ContainsFunc(mine, func(e snapshot.Entry) bool { return settled.Stranger(f[e.Name].Cluster) })
}

// wouldKeep reports whether the policy would keep the damaged file if it were intact.
func wouldKeep(intact []snapshot.Entry, broken snapshot.Entry, s Scope, now time.Time) bool {
	others := slices.DeleteFunc(slices.Clone(intact), func(e snapshot.Entry) bool { return !e.Name.Rolling(s.Node) })
	items := itemsOf(append([]snapshot.Entry{broken}, others...))
	return slices.ContainsFunc(retention.Plan(items, s.Policy, now), func(d retention.Decision) bool { return d.ID == items[0].ID && d.Keep })
}
