package rketools

import (
	"context"
	"fmt"

	"github.com/sirupsen/logrus"

	"etcd-rolling-backup/s3"
	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/input"
	"etcd-rolling-backup/snapshot/peer"
)

// downloadSnapshot brings a snapshot to /backup, from S3 or from the host that serves it.
func downloadSnapshot(ctx context.Context, o downloadOptions) error {
	if o.s3 != nil {
		return o.fromS3(ctx)
	}
	d := download{name: o.name, dir: o.paths.Backup(), minFree: o.ours.Store.MinFree, log: o.log, endpoint: o.localEndpoint, identity: o.identity}
	return d.fromPeer(ctx)
}

// serveSnapshot serves a snapshot to the other hosts.
func serveSnapshot(ctx context.Context, c call, id peer.Identity) error {
	return serve{name: c.name, dir: c.paths.Backup(), identity: id, minFree: c.ours.Store.MinFree, log: c.log}.run(ctx)
}

// fromS3 fetches the archive and unpacks its database next to it, or fetches the database that an old rke-tools stored. What is here already
// stays until the new file is complete and proven.
func (c call) fromS3(ctx context.Context) error {
	if err := checkName(c.name); err != nil {
		return err
	}
	b, err := c.openBucket()
	if err != nil {
		return err
	}
	defer b.Close()
	objects, err := objectsOf(ctx, b, c.name)
	if err != nil {
		return setServer(err)
	}
	if len(objects) == 0 {
		return fmt.Errorf("failed to download s3 backup: no backups found: %w: %s has neither %s%s nor %s", snapshot.ErrNotFound, b, c.name, zipSuffix, c.name)
	}
	if err := c.fetch(ctx, b, objects[0].Name); err != nil {
		return fmt.Errorf("failed to download s3 backup: %w", err)
	}
	return nil
}

// fetch fetches one object.
func (c call) fetch(ctx context.Context, b *s3.Bucket, object snapshot.Name) error {
	local, _ := localName(c.name, object.String())
	log := c.log.WithFields(logrus.Fields{"object": object.String(), "bucket": b.String()})
	log.Info("downloading snapshot")
	body, size, err := b.Get(ctx, object)
	if err != nil {
		return err
	}
	defer body.Close()
	dir := snapshot.NewDir(c.paths.Backup())
	file, err := dir.Replace(local)
	if err != nil {
		return err
	}
	defer file.Close()
	if err := file.Receive(ctx, body, size, c.ours.Store.MinFree); err != nil {
		return err
	}
	if err := c.keep(ctx, dir, file, local); err != nil {
		return fmt.Errorf("%s: %w", object, err)
	}
	log.WithField("bytes", size).Info("snapshot downloaded and verified")
	return nil
}

// keep proves what was fetched, and then gives it its name: the database /backup/NAME, and of an archive /backup/NAME.zip too.
func (c call) keep(ctx context.Context, dir *snapshot.Dir, file *snapshot.Replacement, local string) error {
	in, err := look(file.File)
	if err != nil {
		return err
	}
	if local == c.name && in.Form == input.FormDatabase {
		if _, err := prove(ctx, file.File); err != nil {
			return err
		}
		return file.Commit()
	}
	u, err := unpack(ctx, dir, c.name, in, c.ours.Store.MinFree)
	switch {
	case err != nil:
		return err
	case local == c.name: // an archive without the suffix: its place is taken by the database
		return nil
	case u.Damage == nil:
		return file.Commit()
	}
	c.log.WithError(u.Damage).WithField("file", local).Warn("the archive is damaged; its database is intact")
	if existing, err := open(dir, local); err == nil { // maybe not damaged, so it stays
		return existing.Close()
	}
	return file.Commit()
}
