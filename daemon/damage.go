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
	unread := map[string]time.Time{} // files that could not be read, and when
	for ctx.Err() == nil {
		for _, x := range d.Recorder.Damages() {
			if x.Changed && x.Place == metrics.Local && d.clock().Sub(unread[x.Name]).Abs() >= maxPause {
				if !d.proveAgain(ctx, x.Name) {
					unread[x.Name] = d.clock()
				}
			}
		}
		if d.newestDamaged() {
			d.ask()
		}
		d.keepDamages()
		select {
		case <-ctx.Done():
		case <-d.found:
		case <-time.After(lookInterval):
		}
	}
}

// proveAgain comes to a verdict, or returns false if the file can't be read. What changes while it is being read is yet another.
func (d *Daemon) proveAgain(ctx context.Context, name string) bool {
	began := d.clock()
	log := d.Log.WithField("snapshot", name)
	n, err := snapshot.ParseName(name)
	if err == nil {
		err = d.Store.VerifyChecksum(ctx, n)
	}
	switch {
	case err == nil:
		log.Info("the file in the place of a damaged one is whole")
		d.Recorder.Whole(metrics.Local, name)
	case ctx.Err() != nil || errors.Is(err, snapshot.ErrNotFound): // it is gone, which is told by the next look
	case errors.Is(err, snapshot.ErrDamaged) || errors.Is(err, snapshot.ErrFormat):
		log.WithError(err).Error("the file in the place of a damaged one is no better")
		d.Recorder.Damaged(metrics.Local, began, name, err.Error())
	default:
		log.WithError(err).Error("the file in the place of a damaged one can't be read")
		return false
	}
	return true
}

// newestDamaged tells it of the file, whatever the bucket holds.
func (d *Daemon) newestDamaged() bool {
	all := d.Recorder.Damages()
	if len(all) == 0 {
		return false
	}
	l, err := d.Store.List()
	if err != nil {
		return false // which is told by the next look
	}
	e, ok := Newest(l, d.Node, d.clock())
	return ok && slices.ContainsFunc(all, func(x metrics.Damage) bool { return x.Place == metrics.Local && x.Name == e.Name.String() })
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
		d.unkept = true // it is written anew
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
	if d.Damages.Keep == nil {
		return
	}
	all := d.Recorder.Damages()
	if d.Mirror == nil { // of a bucket that is not looked at nothing is known, and nothing is forgotten
		all = append(all, slices.DeleteFunc(slices.Clone(d.damages), func(x metrics.Damage) bool { return x.Place != metrics.S3 })...)
	}
	same := func(a, b metrics.Damage) bool {
		return a.Name == b.Name && a.Place == b.Place && a.At.Equal(b.At) && a.Message == b.Message
	}
	if slices.EqualFunc(all, d.damages, same) && !d.unkept {
		return
	}
	if err := d.Damages.Keep(append([]metrics.Damage{}, all...)); err != nil {
		if !d.unkept {
			d.Log.WithError(err).Warn("keeping which snapshots are damaged failed; after a restart it has to be found anew")
		}
		d.unkept = true
		return
	}
	d.damages, d.unkept = all, false
}
