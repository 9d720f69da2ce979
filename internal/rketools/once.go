package rketools

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"syscall"
	"time"

	"etcd-rolling-backup/daemon/mirror"
	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/internal/service"
	"etcd-rolling-backup/s3"
	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/member"
)

const (
	// retryPause is the time between two tries.
	retryPause = 5 * time.Second
	// retryFor is how long after the start anything is tried again: RKE kills the container after 300 seconds, and then nobody sees the error.
	retryFor = 150 * time.Second
)

// once takes one snapshot and uploads it. It is saved here first, whatever is wrong with S3.
func once(ctx context.Context, o saveOptions) error {
	name, err := zipName(o.name)
	if err != nil {
		return err
	}
	last := time.Now().Add(retryFor)
	o.log.WithField("name", o.name).Info("taking one snapshot")
	taken, err := o.takeOnce(ctx, name, last)
	if err != nil {
		return err
	}
	o.log.WithFields(map[string]any{"name": o.name, "revision": taken.Manifest.Revision, "bytes": taken.Size}).Info("snapshot saved")
	if err := o.upload(ctx, taken.Entry, last); err != nil {
		return err
	}
	return o.removeRecurring(ctx)
}

// zipName is the archive of a snapshot.
func zipName(name string) (snapshot.Name, error) {
	if err := checkName(name); err != nil {
		return snapshot.Name{}, err
	}
	return snapshot.OtherName(name + zipSuffix)
}

// takeOnce also removes an uncompressed database that an earlier call has left of this snapshot.
func (o saveOptions) takeOnce(ctx context.Context, name snapshot.Name, last time.Time) (snapshot.Taken, error) {
	state := o.paths.ReadStateFile(o.name)
	switch {
	case errors.Is(state.Err, fs.ErrNotExist):
		o.log.WithError(state.Err).Info("RKE has passed no state file")
	case state.Err != nil:
		o.log.WithError(state.Err).Warn("there is a problem with the state file")
	}
	cfg := o.config()
	var taken snapshot.Taken
	err := o.again(ctx, "snapshot", o.backupRetries, last, permanentSnapshot, func() (err error) {
		taken, err = service.Save(ctx, cfg, snapshot.TakeOptions{
			Named: func(time.Time) (snapshot.Name, error) { return name, nil }, Replace: true,
			StateFile:   func(context.Context) []byte { return state.Data },
			ToolVersion: o.version, MinFree: cfg.Store.MinFree, Stall: cfg.Etcd.Stall,
		}, o.log)
		return err
	})
	if err != nil {
		return taken, fmt.Errorf("snapshot %s: %w", o.name, err)
	}
	o.removeRaw(ctx)
	return taken, nil
}

// config adds RKE's flags to our settings.
func (o saveOptions) config() config.Config {
	cfg := o.ours
	cfg.Etcd.Endpoints, cfg.Etcd.CACert, cfg.Etcd.Cert, cfg.Etcd.Key = o.endpoints, o.cacert, o.cert, o.key
	cfg.Store.Dir, cfg.Store.Exposed, cfg.Store.MinFree = o.paths.Backup(), true, o.minFree()
	return cfg
}

// again repeats do until it succeeds, at most retries times.
func (o saveOptions) again(ctx context.Context, what string, retries uint, last time.Time, final func(error) bool, do func() error) error {
	for try := uint(1); ; try++ {
		err := do()
		if err == nil || ctx.Err() != nil || try > retries || final(err) || time.Now().Add(retryPause).After(last) {
			return err
		}
		o.log.WithError(err).WithField("try", try).Warnf("%s failed; trying again in %s", what, retryPause)
		select {
		case <-time.After(retryPause):
		case <-ctx.Done():
			return err
		}
	}
}

// permanentSnapshot reports whether a further try of a snapshot can't help.
func permanentSnapshot(err error) bool {
	return slices.ContainsFunc([]error{
		config.ErrUsage, member.ErrConfig, member.ErrCertificate, member.ErrDifferentClusters, snapshot.ErrName, snapshot.ErrUnusableDir, snapshot.ErrLowSpace,
		syscall.ENOSPC, syscall.EDQUOT, syscall.EROFS,
	}, func(target error) bool { return errors.Is(err, target) })
}

// upload stores the archive in the bucket, if there is one. An object that has the name already stays if the bucket has no versions.
func (o saveOptions) upload(ctx context.Context, e snapshot.Entry, last time.Time) error {
	if o.s3 == nil {
		return nil
	}
	b, err := o.openBucket()
	if err != nil {
		return err
	}
	defer b.Close()
	replace, err := replaceable(ctx, b, e.Name)
	if errors.Is(err, errThere) {
		o.log.WithField("name", o.name).Info("Skipping upload to s3 because snapshot already exists and versioning is not enabled for the bucket")
		return nil
	}
	if err != nil {
		return setServer(err)
	}
	dir := snapshot.NewDir(o.paths.Backup())
	err = o.again(ctx, "upload", o.s3Retries, last, permanentUpload, func() error { return mirror.Upload(ctx, dir, b, e, replace, nil) })
	switch {
	case errors.Is(err, snapshot.ErrExists): // another node was faster
		o.log.WithField("name", o.name).Info("Skipping upload to s3 because another node has just uploaded a snapshot of this name")
	case err != nil:
		return fmt.Errorf("failed to upload etcd snapshot file: %w", err)
	default:
		o.log.WithFields(map[string]any{"name": o.name, "bucket": b.String()}).Info("snapshot uploaded")
	}
	return nil
}

// permanentUpload reports whether a further try of an upload can't help.
func permanentUpload(err error) bool {
	return slices.ContainsFunc([]error{
		snapshot.ErrExists, snapshot.ErrDamaged, s3.ErrConfig, s3.ErrCredentials, s3.ErrPermission, s3.ErrNoBucket, s3.ErrCertificate, s3.ErrQuota,
	}, func(target error) bool { return errors.Is(err, target) })
}

var errThere = errors.New("the object exists")

// replaceable reports whether the upload may overwrite an object; errThere: there is one, and it may not. It is the first question to the
// server, so it also finds out whether there is a bucket.
func replaceable(ctx context.Context, b *s3.Bucket, n snapshot.Name) (bool, error) {
	objects, err := b.Named(ctx, n.String())
	if err != nil {
		return false, err
	}
	i := slices.IndexFunc(objects, func(e snapshot.Entry) bool { return e.Name == n })
	if i < 0 {
		return false, nil
	}
	if objects[i].Size == 0 {
		return true, nil
	}
	if versioned, err := b.Versioned(ctx); err != nil || !versioned {
		return false, errThere //nolint:nilerr // not known is as without versions
	}
	return true, nil
}

// removeStateFile removes the file with which RKE has called for one snapshot, whatever became of that: it contains the cluster's private
// keys, and RKE writes it again for each call.
func (p process) removeStateFile(name string) {
	path, err := p.paths.StateFile(name)
	if err != nil { // no name, so there is no such file
		return
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		service.NewLogger(config.Log{}, p.stderr).WithError(err).Warn("the state file, which contains private keys, was not removed")
	}
}
