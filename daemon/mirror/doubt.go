package mirror

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"etcd-rolling-backup/daemon/status"
	"etcd-rolling-backup/snapshot"
)

// list lists the bucket. A listing that lacks most of what was there at the last one may be wrong, and would cause every archive to be
// uploaded again. So it is read a second time, and then the newest missing snapshot is looked for: it must be gone.
func (v view) list(ctx context.Context) ([]snapshot.Entry, error) {
	listed, err := v.fetch(ctx)
	if err != nil || v.believable(listed) {
		return listed, err
	}
	if listed, err = v.fetch(ctx); err != nil || v.believable(listed) {
		return listed, err
	}
	missing := v.lost(listed)[0]
	switch _, _, err := v.bucket.Tail(ctx, missing.Name); {
	case errors.Is(err, snapshot.ErrNotFound):
		return listed, nil
	case err != nil:
		return nil, fmt.Errorf("list bucket: most of its snapshots are missing; look for one of them: %w", err)
	}
	return nil, wrongListing(missing.Name)
}

func wrongListing(n snapshot.Name) error {
	return fmt.Errorf("list bucket: the listing is wrong: %s is missing in it, but is in the bucket: "+
		"nothing is pruned there (does a proxy or a cache answer for the server?)", n)
}

// unlisted handles an object that the server has and the listing had not. If another process has stored it meanwhile, a second listing
// has it, and the error is errThere; otherwise the listing is wrong, also about what it says nothing of.
func (v view) unlisted(ctx context.Context, n snapshot.Name) error {
	listed, err := v.fetch(ctx)
	switch {
	case err != nil:
		return err
	case !slices.ContainsFunc(listed, func(e snapshot.Entry) bool { return e.Name == n }):
		return wrongListing(n)
	}
	v.record(listed)
	return errThere
}

func (v view) believable(listed []snapshot.Entry) bool {
	return 2*len(v.lost(listed)) <= len(v.options.Status.State().Places[status.S3].Copies)
}

// lost returns this node's snapshots that were in the bucket and are not listed, newest first.
func (v view) lost(listed []snapshot.Entry) []status.Copy {
	there := map[snapshot.Name]bool{}
	for _, e := range listed {
		there[e.Name] = true
	}
	return slices.DeleteFunc(slices.Clone(v.options.Status.State().Places[status.S3].Copies), func(c status.Copy) bool { return there[c.Name] })
}
