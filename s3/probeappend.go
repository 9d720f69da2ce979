package s3

import (
	"context"
	"errors"
	"fmt"

	"github.com/minio/minio-go/v7"
)

// appendOnly proves that a thief of the keys could destroy nothing: old versions stay when a name is stored again, and neither a version
// nor a name can be deleted.
func (p *probe) appendOnly(ctx context.Context) []Permission {
	versioning := Permission{Action: "versioning", Purpose: "keep snapshots that a stolen key overwrites", Err: errNotTried}
	version := Permission{Action: "s3:DeleteObjectVersion", Purpose: "must be refused", Err: errNotTried}
	name := Permission{Action: "s3:DeleteObject", Purpose: "must be refused", Err: errNotTried}
	lines := func() []Permission { return []Permission{versioning, version, name} }
	if !p.stored {
		versioning.Optional, version.Optional, name.Optional = true, true, true
		return lines()
	}
	stored, err := p.stat(ctx, "probe", p.small, false)
	if err != nil {
		versioning.Err, version.Err, name.Err = err, err, err
		return lines()
	}
	versioned := stored.VersionID != "" && stored.VersionID != "null"
	versioning.Err, versioning.Detail = nil, "the bucket keeps old versions"
	version.Err, version.Detail = nil, "the bucket has no old versions"
	if versioned {
		version.Detail, version.Err = p.refused(ctx, stored.VersionID, "s3:DeleteObjectVersion",
			"whoever steals these keys can delete every version of every snapshot: remove s3:DeleteObject and s3:DeleteObjectVersion from their policy")
	} else {
		versioning.Err = p.explain(ctx, op{doing: "probe"}, fmt.Errorf("%w: the bucket does not keep old versions, so whoever steals these keys "+
			"can overwrite every snapshot: enable versioning, for example with: mc version enable ALIAS/%s", ErrExposed, p.cfg.Bucket))
	}
	name.Detail, name.Err = p.refused(ctx, "", "s3:DeleteObject", "whoever steals these keys can delete or hide every snapshot: remove s3:DeleteObject from their policy")
	return lines()
}

// refused tries to delete the probe, or a version of it, and returns an error if that works. If a lock refuses it, the way around a lock
// in governance mode is tried, which needs a permission of its own.
func (p *probe) refused(ctx context.Context, version, action, danger string) (string, error) {
	remove := func(bypass bool) error {
		return p.do(ctx, op{doing: "probe", action: action, key: p.small.key}, func(ctx context.Context) error {
			return p.core.RemoveObject(ctx, p.cfg.Bucket, p.small.key, minio.RemoveObjectOptions{VersionID: version, GovernanceBypass: bypass})
		})
	}
	err := remove(false)
	if errors.Is(err, ErrLocked) {
		err = remove(true)
	}
	switch {
	case err == nil:
		return "", p.explain(ctx, op{doing: "probe"}, fmt.Errorf("%w: %s is allowed: %s", ErrExposed, action, danger))
	case errors.Is(err, ErrPermission):
		return "these keys may not do it", nil
	case errors.Is(err, ErrLocked):
		return "Object Lock refuses it, as long as the lock lasts", nil
	}
	return "", err
}
