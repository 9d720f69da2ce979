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
func list(ctx context.Context, bucket Bucket, o Options) ([]snapshot.Entry, error) {
	listed, err := bucket.List(ctx)
	if err != nil || believable(listed, o) {
		return listed, err
	}
	if listed, err = bucket.List(ctx); err != nil || believable(listed, o) {
		return listed, err
	}
	missing := lost(listed, o)[0]
	switch _, _, err := bucket.Tail(ctx, missing.Name); {
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
func unlisted(ctx context.Context, bucket Bucket, n snapshot.Name, o Options) error {
	listed, err := bucket.List(ctx)
	switch {
	case err != nil:
		return err
	case !slices.ContainsFunc(listed, func(e snapshot.Entry) bool { return e.Name == n }):
		return wrongListing(n)
	}
	mine, others := copiesOf(listed, o)
	o.Status.SetInventory(status.S3, mine, nil)
	o.Status.SetNodes(status.S3, others)
	return errThere
}

func believable(listed []snapshot.Entry, o Options) bool {
	return 2*len(lost(listed, o)) <= len(o.Status.State().Places[status.S3].Copies)
}

// lost returns this node's snapshots that were in the bucket and are not listed, newest first.
func lost(listed []snapshot.Entry, o Options) []status.Copy {
	there := map[snapshot.Name]bool{}
	for _, e := range listed {
		there[e.Name] = true
	}
	return slices.DeleteFunc(slices.Clone(o.Status.State().Places[status.S3].Copies), func(c status.Copy) bool { return there[c.Name] })
}
