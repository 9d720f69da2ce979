package rketools

import (
	"context"
	"errors"
	"fmt"

	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/input"
)

// remove deletes a snapshot here and in S3. That it is nowhere is no error: every host deletes the same object.
func remove(ctx context.Context, o deleteOptions) error {
	if err := checkName(o.name); err != nil {
		return err
	}
	dir := snapshot.NewDir(o.paths.Backup())
	if o.cleanup {
		return o.cleanUp(ctx, dir)
	}
	for _, file := range []string{o.name + zipSuffix, o.name} {
		if err := removeFile(ctx, dir, file); err != nil {
			return err
		}
	}
	o.log.WithField("name", o.name).Info("deleted local snapshot")
	if o.s3 == nil {
		return nil
	}
	return o.removeObjects(ctx)
}

// cleanUp removes the uncompressed database that a restore needed, if its archive is there. It never touches S3.
func (o deleteOptions) cleanUp(ctx context.Context, dir *snapshot.Dir) error {
	archive, err := open(dir, o.name+zipSuffix)
	switch {
	case errors.Is(err, snapshot.ErrNotFound):
		o.log.WithField("name", o.name).Info("nothing cleaned up: there is no archive, so the uncompressed snapshot is kept")
		return nil
	case errors.Is(err, snapshot.ErrDamaged) || errors.Is(err, input.ErrForm):
		o.log.WithError(err).Warn("nothing cleaned up: the archive is damaged, so the uncompressed snapshot is kept")
		return nil
	case err != nil:
		return err
	}
	defer archive.Close()
	if err := removeFile(ctx, dir, o.name); err != nil {
		return err
	}
	o.log.WithField("name", o.name).Info("removed the uncompressed snapshot; the archive is kept")
	return nil
}

// removeFile removes a file that may be missing.
func removeFile(ctx context.Context, dir *snapshot.Dir, file string) error {
	name, err := snapshot.OtherName(file)
	if err == nil {
		err = dir.Remove(ctx, name)
	}
	if errors.Is(err, snapshot.ErrNotFound) {
		return nil
	}
	return err
}

// removeRaw removes an uncompressed database of an earlier snapshot of the name, which a new archive replaces. Another file that happens to
// have the name stays.
func (o saveOptions) removeRaw(ctx context.Context) {
	dir := snapshot.NewDir(o.paths.Backup())
	raw, err := open(dir, o.name)
	if err != nil {
		return
	}
	defer raw.Close()
	if raw.in.Form != input.FormDatabase {
		return
	}
	if err := removeFile(ctx, dir, o.name); err != nil {
		o.log.WithError(err).Warn("the uncompressed database of an earlier snapshot of this name was not removed")
	}
}

func (o deleteOptions) removeObjects(ctx context.Context) error {
	b, err := o.openBucket()
	if err != nil {
		return err
	}
	defer b.Close()
	objects, err := objectsOf(ctx, b, o.name)
	if err != nil {
		return setServer(err)
	}
	for _, e := range objects {
		if err := b.Remove(ctx, e.Name); err != nil && !errors.Is(err, snapshot.ErrNotFound) {
			return fmt.Errorf("delete from S3: %w", err)
		}
		o.log.WithField("object", e.Name.String()).Info("deleted snapshot from S3")
	}
	return nil
}
