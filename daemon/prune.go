package daemon

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"etcd-rolling-backup/retention"
	"etcd-rolling-backup/snapshot"
)

// Store is the place that keeps the snapshots; *snapshot.Dir is one.
type Store interface {
	List() (snapshot.Listing, error)
	// Manifest reads what one says of itself.
	Manifest(n snapshot.Name) (snapshot.Manifest, error)
	// Prove reads one in full. Damage is an error, and a missing one wraps snapshot.ErrNotFound.
	VerifyChecksum(ctx context.Context, n snapshot.Name) error
	// Remove deletes one for good; a missing one wraps snapshot.ErrNotFound.
	Remove(ctx context.Context, n snapshot.Name) error
	// RemovePartials clears what dead writers left and returns their file names.
	RemovePartials(ctx context.Context) ([]string, error)
}

// spared is why a snapshot is kept that the policy does not keep.
const spared = "the newest has much less, or a lower revision"

// PlanPrune decides on the node's rolling snapshots, and on no other, newest first. Those to spare are kept whatever the policy says.
func PlanPrune(entries []snapshot.Entry, node string, p retention.Policy, now time.Time, spare ...string) []retention.Decision {
	var items []retention.Item
	for _, e := range entries {
		if e.Name.Rolling(node) {
			items = append(items, retention.Item{ID: e.Name.String(), Time: e.Name.Time})
		}
	}
	decisions := retention.Plan(items, p, now)
	for i := range decisions {
		if d := &decisions[i]; !d.Keep && slices.Contains(spare, d.ID) {
			d.Keep, d.Reasons = true, []string{spared}
		}
	}
	return decisions
}

func countSpared(decisions []retention.Decision) int {
	n := 0
	for _, d := range decisions {
		if slices.Contains(d.Reasons, spared) {
			n++
		}
	}
	return n
}

// Prune lists the store, removes what the policy does not keep, and returns what became of each. What could not be
// removed counts as kept and is in the error, the rest is removed all the same.
func Prune(ctx context.Context, store Store, node string, p retention.Policy, now time.Time) ([]retention.Decision, error) {
	l, err := store.List()
	if err != nil {
		return nil, err
	}
	decisions := PlanPrune(l.Snapshots, node, p, now)
	return decisions, removePruned(ctx, store, decisions)
}

// removePruned does what was decided. What can't be removed is kept from now on.
func removePruned(ctx context.Context, store Store, decisions []retention.Decision) error {
	var failed error
	for i := range decisions {
		d := &decisions[i]
		if d.Keep {
			continue
		}
		name, err := snapshot.ParseName(d.ID)
		if err != nil {
			return errors.Join(failed, err)
		}
		// Another process may have removed it just now: what was wanted has happened.
		if err := store.Remove(ctx, name); err != nil && !errors.Is(err, snapshot.ErrNotFound) {
			d.Keep, d.Reasons = true, append(d.Reasons, "it could not be removed")
			failed = errors.Join(failed, fmt.Errorf("prune: %w", err))
		}
	}
	return failed
}

// Newest is the node's newest rolling snapshot that is not dated in the future, which only a wrong clock does.
func Newest(l snapshot.Listing, node string, now time.Time) (snapshot.Entry, bool) {
	for _, e := range l.Snapshots {
		if e.Name.Rolling(node) && !e.Name.Time.After(now) {
			return e, true
		}
	}
	return snapshot.Entry{}, false
}
