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
	return func(_ context.Context, e snapshot.Entry) (rawSize, revision int64, err error) {
		m, err := store.Manifest(e.Name)
		return FromManifest(m, err)
	}
}

// FromManifest converts the result of reading a manifest to that of [Details]. A damaged or missing manifest, and one of a newer
// format, gives 0 and no error.
func FromManifest(m snapshot.Manifest, err error) (rawSize, revision int64, _ error) {
	switch {
	case err == nil:
		return m.RawSize, m.Revision, nil
	case errors.Is(err, snapshot.ErrDamaged), errors.Is(err, snapshot.ErrFormat), errors.Is(err, snapshot.ErrNotFound):
		return 0, 0, nil
	}
	return 0, 0, err
}

// Local prunes a directory, or with dryRun says what it would remove. The decisions on files that were set aside as damaged come last.
// What was done counts next to an error.
func Local(ctx context.Context, store Store, node string, p retention.Policy, now time.Time, details Details, dryRun bool) ([]Decision, error) {
	l, err := store.List()
	if err != nil {
		return nil, err
	}
	decisions, err := Plan(ctx, l.Snapshots, node, p, now, details)
	broken := planBroken(l, node, p, now)
	if !dryRun {
		err = errors.Join(err, apply(ctx, store.Remove, decisions), apply(ctx, store.RemoveBroken, broken))
	}
	return append(decisions, broken...), err
}

// planBroken decides on the damaged files. They hold what nothing else may hold, so each stays for as long as the guard protects what
// came before a loss, and for as long as the policy would keep it if it were intact. One with an intact file of its name was replaced.
func planBroken(l snapshot.Listing, node string, p retention.Policy, now time.Time) []Decision {
	var out []Decision
	for _, b := range l.Broken {
		if !b.Name.Rolling(node) {
			continue
		}
		d := Decision{Entry: b, Broken: true, Reasons: []string{"damaged, and no rule would keep it"}}
		switch {
		case slices.ContainsFunc(l.Snapshots, func(e snapshot.Entry) bool { return e.Name == b.Name }):
			d.Reasons = []string{"damaged, and replaced by an intact one"}
		case now.Sub(b.Modified) < retention.GuardWindow:
			d.Keep, d.Reasons = true, []string{"damaged, and set aside within the last day"}
		case wouldKeep(l.Snapshots, b, node, p, now):
			d.Keep, d.Reasons = true, []string{"damaged, and the policy would keep it"}
		}
		out = append(out, d)
	}
	return out
}

// wouldKeep tells whether the policy would keep the damaged file if it were intact.
func wouldKeep(intact []snapshot.Entry, broken snapshot.Entry, node string, p retention.Policy, now time.Time) bool {
	items := []retention.Item{{ID: broken.Name.String(), Time: broken.Name.Time}}
	for _, e := range intact {
		if e.Name.Rolling(node) {
			items = append(items, retention.Item{ID: e.Name.String(), Time: e.Name.Time})
		}
	}
	return slices.ContainsFunc(retention.Plan(items, p, now), func(d retention.Decision) bool { return d.ID == items[0].ID && d.Keep })
}
