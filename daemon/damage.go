package daemon

import (
	"context"
	"errors"
	"slices"
	"time"

	"etcd-rolling-backup/metrics"
	"etcd-rolling-backup/snapshot"
)

// damageLoop keeps for the next process which copies were found damaged, whoever found it, and reads the file that was put in the
// place of a damaged one: that it is another does not make it whole.
func (d *Daemon) damageLoop(ctx context.Context) {
	for ctx.Err() == nil {
		for _, x := range d.Recorder.Damages() {
			if x.Changed && x.Place == metrics.Local {
				d.proveAgain(ctx, x.Name)
			}
		}
		d.keepDamages()
		select {
		case <-ctx.Done():
		case <-d.found:
		case <-time.After(lookInterval):
		}
	}
}

func (d *Daemon) proveAgain(ctx context.Context, name string) {
	if d.Prove == nil {
		return
	}
	log := d.Log.WithField("snapshot", name)
	switch err := d.Prove(ctx, name); {
	case err == nil:
		log.Info("the file in the place of a damaged one is whole")
		d.Recorder.Whole(metrics.Local, name)
	case ctx.Err() != nil || errors.Is(err, snapshot.ErrNotFound): // it is gone, which is told by the next look
	default:
		log.WithError(err).Error("the file in the place of a damaged one is no better")
		d.Recorder.Damaged(metrics.Local, d.clock(), name, err.Error())
	}
}

// foundDamage lets the next process know at once, for a crash may come before the next look.
func (d *Daemon) foundDamage() {
	select {
	case d.found <- struct{}{}:
	default: // asked for already
	}
}

// recallDamages tells of the copies that were found damaged before the start. A wrong clock may have dated them in the future.
func (d *Daemon) recallDamages() {
	if d.Damages.Read == nil {
		return
	}
	all, err := d.Damages.Read()
	if err != nil {
		d.Log.WithError(err).Warn("which snapshots were found damaged before this start is not known")
	}
	now := d.clock()
	for _, x := range all {
		if x.At.After(now) {
			x.At = now
		}
		d.Recorder.Damaged(x.Place, x.At, x.Name, x.Message)
	}
	d.damages = all
}

// keepDamages leaves word for the next process where there is news.
func (d *Daemon) keepDamages() {
	all := d.Recorder.Damages()
	same := func(a, b metrics.Damage) bool {
		return a.Name == b.Name && a.Place == b.Place && a.At.Equal(b.At) && a.Message == b.Message
	}
	if d.Damages.Keep == nil || slices.EqualFunc(all, d.damages, same) {
		return
	}
	d.damages = all
	if err := d.Damages.Keep(all); err != nil {
		d.Log.WithError(err).Warn("keeping which snapshots are damaged failed; after a restart it has to be found anew")
	}
}
