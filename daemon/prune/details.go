package prune

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"etcd-rolling-backup/snapshot"
)

// maxUnread is how many manifests may be unreadable before the others are not tried: if a permission is missing or the server does not
// answer, all of them fail.
const maxUnread = 3

// Details reads what a manifest says. A damaged manifest gives zero Facts and no error.
type Details func(ctx context.Context, e snapshot.Entry) (snapshot.Facts, error)

// FromManifest converts the result of reading a manifest to that of [Details]. A damaged or missing manifest, and one of a newer format,
// give zero Facts and no error; so does a snapshot of another program, but for Foreign.
func FromManifest(m snapshot.Manifest, err error) (snapshot.Facts, error) {
	switch {
	case err == nil:
		return m.Facts(), nil
	case errors.Is(err, snapshot.ErrDamaged), errors.Is(err, snapshot.ErrFormat), errors.Is(err, snapshot.ErrNotFound):
		return snapshot.Facts{}, nil
	case errors.Is(err, snapshot.ErrNoManifest):
		return snapshot.Facts{Foreign: true}, nil
	}
	return snapshot.Facts{}, err
}

// facts has those of the snapshots whose manifests could be read, or are damaged.
type facts map[snapshot.Name]snapshot.Facts

// read reads all of them, newest first. Its error names the first one that could not be read: the others mostly fail for the same cause.
func read(ctx context.Context, entries []snapshot.Entry, details Details) (facts, error) {
	out, unread := facts{}, 0
	var failed error
	for _, e := range entries {
		if unread >= maxUnread || ctx.Err() != nil {
			break
		}
		x, err := details(ctx, e)
		if err != nil {
			unread++
			failed = cmp.Or(failed, fmt.Errorf("prune: read the manifest of %s: %w", e.Name, err))
			continue
		}
		out[e.Name] = x
	}
	return out, errors.Join(failed, ctx.Err())
}

func (f facts) origins(entries []snapshot.Entry) []snapshot.Origin {
	var out []snapshot.Origin
	for _, e := range entries {
		out = append(out, snapshot.Origin{Cluster: f[e.Name].Cluster, Name: e.Name})
	}
	return out
}
