// Package prune applies the retention policy, with its guard, to the rolling snapshots of one node in a store.
//
// Invariants: only rolling snapshots of the node are ever removed, and never the newest; a snapshot that the guard might have to
// protect is not removed while its manifest can't be read. All pruning, also the manual one, goes through this package.
package prune

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"etcd-rolling-backup/retention"
	"etcd-rolling-backup/snapshot"
)

// maxUnread is how many manifests may be unreadable before the others are not tried: if a permission is missing or the server does not
// answer, all of them fail.
const maxUnread = 3

// Decision says whether one snapshot is kept, and why.
type Decision struct {
	snapshot.Entry
	Keep    bool
	Guarded bool     // the guard keeps it and the policy does not
	Broken  bool     // it is a file that was set aside as damaged: NAME.broken
	Reasons []string // never empty
}

// Details returns the size of a snapshot's database in bytes and its revision, from its manifest; 0: not known. A damaged manifest
// gives 0 and no error.
type Details func(ctx context.Context, e snapshot.Entry) (rawSize, revision int64, err error)

// Plan decides on the node's rolling snapshots among the entries, newest first. It removes nothing. Its error names the snapshots whose
// manifests could not be read; the decisions are valid all the same, and keep these.
func Plan(ctx context.Context, entries []snapshot.Entry, node string, p retention.Policy, now time.Time, details Details) ([]Decision, error) {
	byID := map[string]snapshot.Entry{}
	var items []retention.Item
	for _, e := range entries {
		if e.Name.Rolling(node) {
			id := e.Name.String()
			byID[id] = e
			items = append(items, retention.Item{ID: id, Time: e.Name.Time})
		}
	}
	plan := retention.Plan(items, p, now)
	unread, err := guard(ctx, plan, now, func(x retention.Item) (rawSize, revision int64, err error) { return details(ctx, byID[x.ID]) })
	out := make([]Decision, len(plan))
	for i, d := range plan {
		out[i] = Decision{Entry: byID[d.ID], Keep: d.Keep, Guarded: d.Guarded, Reasons: d.Reasons}
		if !d.Keep && unread[d.ID] {
			out[i].keep("its manifest can't be read, so it might be from before a loss")
		}
	}
	return out, err
}

// guard reads the details that retention.Guard compares, and applies it, unless the plan keeps everything. unread has the IDs of the
// snapshots whose manifests could not be read.
func guard(ctx context.Context, plan []retention.Decision, now time.Time, details func(retention.Item) (rawSize, revision int64, err error)) (unread map[string]bool, err error) {
	if !slices.ContainsFunc(plan, func(d retention.Decision) bool { return !d.Keep }) {
		return nil, nil
	}
	compared := retention.Compared(plan, now)
	unread = map[string]bool{}
	var failed error // the first; the others are mostly the same
	for i := range plan {
		d := &plan[i]
		if !slices.Contains(compared, d.Item) {
			continue
		}
		if len(unread) >= maxUnread || ctx.Err() != nil {
			unread[d.ID] = true
			continue
		}
		if d.RawSize, d.Revision, err = details(d.Item); err != nil {
			unread[d.ID] = true
			failed = cmp.Or(failed, fmt.Errorf("prune: compare with %s: %w", d.ID, err))
		}
	}
	retention.Guard(plan, now)
	return unread, errors.Join(failed, ctx.Err())
}

func (d *Decision) keep(reason string) {
	d.Keep, d.Reasons = true, append(slices.Clone(d.Reasons), reason)
}

// apply removes what was decided. What could not be removed counts as kept from then on and is in the error; the rest is removed
// all the same.
func apply(ctx context.Context, remove func(context.Context, snapshot.Name) error, decisions []Decision) error {
	var failed error
	for i := range decisions {
		d := &decisions[i]
		if d.Keep {
			continue
		}
		// Another process may have removed it just now: what was wanted has happened.
		if err := remove(ctx, d.Name); err != nil && !errors.Is(err, snapshot.ErrNotFound) {
			d.keep("it could not be removed")
			failed = errors.Join(failed, fmt.Errorf("prune: %w", err))
		}
	}
	return failed
}

// Removed returns the names of the snapshots that the decisions do not keep.
func Removed(decisions []Decision) []snapshot.Name {
	var out []snapshot.Name
	for _, d := range decisions {
		if !d.Keep && !d.Broken {
			out = append(out, d.Name)
		}
	}
	return out
}

// Guarded counts the snapshots that only the guard keeps.
func Guarded(decisions []Decision) int {
	n := 0
	for _, d := range decisions {
		if d.Guarded {
			n++
		}
	}
	return n
}
