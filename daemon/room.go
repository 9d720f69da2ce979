package daemon

import (
	"context"
	"errors"
	"slices"

	"github.com/sirupsen/logrus"

	"etcd-rolling-backup/daemon/prune"
	"etcd-rolling-backup/daemon/status"
	"etcd-rolling-backup/snapshot"
)

// take takes one snapshot. If the disk has no room for it, take removes what the policy no longer keeps, and tries once more.
func (d *Daemon) take(ctx context.Context, log logrus.FieldLogger) (snapshot.Taken, error) {
	taken, err := d.Taker.Take(ctx, log, d.alive)
	if errors.Is(err, snapshot.ErrLowSpace) && d.makeRoom(ctx, log, err) {
		return d.Taker.Take(ctx, log, d.alive)
	}
	return taken, err
}

// makeRoom applies the policy to the snapshots that exist, as after a new one: there is something to remove after the policy was made
// smaller, or after an earlier prune failed. It reports whether it removed anything. The newest snapshot must be intact, because what
// is removed relies on it, and no new one has just been verified.
func (d *Daemon) makeRoom(ctx context.Context, log logrus.FieldLogger, lack error) bool {
	plan, err := prune.Local(ctx, d.Store, d.scope(), d.clock(), d.details, true)
	if err != nil || !slices.ContainsFunc(plan, func(x prune.Decision) bool { return !x.Keep }) || !d.newestIntact(ctx, log) {
		return false // the retry reports an error of the directory as well
	}
	decisions, err := d.applyPolicy(ctx, log)
	removed := len(prune.Removed(decisions))
	log = log.WithFields(logrus.Fields{"kept": len(decisions) - removed, "pruned": removed})
	if err != nil {
		log.WithError(err).Error("pruning failed")
	}
	log.WithError(lack).Warn("low disk space: removed snapshots that the policy no longer keeps, trying again")
	return ctx.Err() == nil
}

// newestIntact reads the newest snapshot in full. A damaged one is left to the damage loop; the next retry relies on the one before.
func (d *Daemon) newestIntact(ctx context.Context, log logrus.FieldLogger) bool {
	l, err := d.Store.List()
	newest, ok := d.newest(l)
	if err != nil || !ok {
		return false
	}
	err = d.Store.VerifyChecksum(ctx, newest.Name, func(int64, int64) { d.alive() })
	if err == nil || ctx.Err() != nil {
		return err == nil
	}
	log.WithError(err).WithField("snapshot", newest.Name.String()).Error("low disk space, but nothing is pruned: the newest snapshot is not intact")
	if errors.Is(err, snapshot.ErrDamaged) {
		d.Status.SetDamaged(status.Local, d.clock(), newest.Name, err)
		notifyOne(d.damageFound)
	}
	return false
}
