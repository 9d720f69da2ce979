package daemon

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/sirupsen/logrus"

	"etcd-rolling-backup/metrics"
	"etcd-rolling-backup/retention"
	"etcd-rolling-backup/snapshot"
)

// runID tells the lines of one run from those of others.
func runID() string { return fmt.Sprintf("%08x", rand.Uint32()) }

// cycle takes one snapshot, prunes after it, and tells when the next run is due.
func (d *Daemon) cycle(ctx context.Context) time.Time {
	began := d.clock()
	if d.attempt == 0 {
		d.run = began
	}
	log := d.Log.WithField("run", runID())
	d.Recorder.Attempt(metrics.Snapshots, began)
	d.runBegan(began)
	taken, err := d.Taker.Take(ctx, log, d.alive)
	now := d.clock()
	log = log.WithField("duration_seconds", seconds(now.Sub(began)))
	if err != nil && ctx.Err() != nil {
		d.runStopped()
		log.Info("run cut off by the stop; nothing of it is kept")
		return now
	}
	next := d.Schedule.Next(d.run)
	if !next.After(now) {
		log.WithField("missed", stamp(next)).Warn("run took longer than the schedule's interval; passed over the runs it missed")
		d.run, next = now, d.Schedule.Next(now)
	}
	if err != nil && !errors.Is(err, ErrSkipped) {
		return d.failed(log, err, now, next)
	}
	d.attempt = 0
	if err != nil {
		d.runSkipped(now)
		d.Recorder.Skipped(metrics.Snapshots, now, metrics.Role)
		d.schedule(next, next)
		log.WithField("next", stamp(next)).Info(err.Error())
		d.notify(d.Notifier.Status(fmt.Sprintf("last run %v, next run %s", err, stamp(next))))
		return next
	}
	d.finish(ctx, log, taken, next)
	return next
}

// failed logs the error and chooses between another try and the next run, whichever comes first.
func (d *Daemon) failed(log logrus.FieldLogger, err error, now, next time.Time) time.Time {
	d.attempt++
	again := now.Add(backoff(d.attempt))
	if !again.Before(next) {
		again = next
		d.attempt = 0
	}
	reason := d.reason(metrics.Snapshots, err)
	d.Recorder.Failed(metrics.Snapshots, now, "", reason, err.Error())
	d.runFailed(now, reason, err.Error())
	d.schedule(again, next)
	d.beat(false)
	log.WithError(err).WithFields(logrus.Fields{"reason": string(reason), "next": stamp(again)}).Error("snapshot failed")
	d.notify(d.Notifier.Status(fmt.Sprintf("last run failed, next try %s: %v", stamp(again), err)))
	return again
}

// finish prunes and writes the cycle's closing line.
func (d *Daemon) finish(ctx context.Context, log logrus.FieldLogger, t snapshot.Taken, next time.Time) {
	select {
	case <-d.urgent: // this is the one that was asked for
	default:
	}
	d.Recorder.SnapshotDone(d.clock(), described(t.Entry, t.Manifest), t.Stream, t.Sync)
	d.runDone()
	d.schedule(next, next)
	decisions, err := d.prune(ctx, log)
	removed := len(removedNames(decisions))
	m := t.Manifest
	d.tellTrouble(log, m.Source)
	log = log.WithFields(logrus.Fields{
		"snapshot": t.Name.String(), "revision": m.Revision, "raw_bytes": m.RawSize, "archive_bytes": t.Size,
		"stream_seconds": seconds(t.Stream), "sync_seconds": seconds(t.Sync),
		"kept": len(decisions) - removed, "pruned": removed, "next": stamp(next),
	})
	if n := countSpared(decisions); n > 0 {
		log = log.WithField("spared", n)
	}
	log.Info("kept snapshot")
	d.beat(err == nil)
	select {
	case d.kick <- struct{}{}:
	default: // a pass is due already
	}
	select {
	case d.taken <- struct{}{}:
	default:
	}
	d.notify(d.Notifier.Status(fmt.Sprintf("last snapshot %s, next run %s", t.Name, stamp(next))))
}

// prune applies the policy and tells what lies there then. What the stop kept it from is no error.
func (d *Daemon) prune(ctx context.Context, log logrus.FieldLogger) ([]retention.Decision, error) {
	var decisions []retention.Decision
	l, err := d.Store.List()
	if err == nil {
		d.inventory(l) // without which nobody knows what to spare
		decisions = PlanPrune(l.Snapshots, d.Node, d.Policy, d.clock(), d.Recorder.Spare(metrics.Local)...)
		err = removePruned(ctx, d.Store, decisions)
	}
	if ctx.Err() != nil {
		err = nil
	}
	d.Recorder.Pruned(metrics.Local, removedNames(decisions)...)
	if err != nil {
		d.Recorder.PruningFailed(d.clock(), err.Error())
		log.WithError(err).Error("pruning failed; the new snapshot is safe")
	}
	d.look()
	return decisions, err
}

// tellTrouble warns of what is wrong with etcd itself, once for as long as it stays the same.
func (d *Daemon) tellTrouble(log logrus.FieldLogger, m snapshot.Source) {
	now := fmt.Sprint(m.Healthy, m.Alarms)
	if now == d.trouble {
		return
	}
	d.trouble = now
	if !m.Healthy {
		log.Warn("member knows no leader: the cluster may have lost its quorum")
	}
	if len(m.Alarms) > 0 {
		log.WithField("alarms", m.Alarms).Warn("etcd raises alarms")
	}
}
