package daemon

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/sirupsen/logrus"

	"etcd-rolling-backup/daemon/prune"
	"etcd-rolling-backup/daemon/status"
	"etcd-rolling-backup/snapshot"
)

// runID identifies the log lines of one run.
func runID() string { return fmt.Sprintf("%08x", rand.Uint32()) }

// cycle takes one snapshot, then prunes, and returns when the next run is due.
func (d *Daemon) cycle(ctx context.Context) time.Time {
	began := d.clock()
	if d.attempt == 0 {
		d.run = began
	}
	d.baseTaken() // the watch was opened before this snapshot
	log := d.Log.WithField("run", runID())
	d.Status.Begin(status.Snapshot, began)
	d.save()
	taken, err := d.take(ctx, log)
	now := d.clock()
	log = log.WithField("duration_seconds", seconds(now.Sub(began)))
	if err != nil && ctx.Err() != nil {
		d.Status.Abort(status.Snapshot)
		log.Info("run aborted by the shutdown; no partial snapshot is kept")
		return now
	}
	next := d.Schedule.Next(d.run)
	if !next.After(now) {
		log.WithField("missed", stamp(next)).Warn("run took longer than the schedule's interval; skipped the missed runs")
		d.run, next = now, d.Schedule.Next(now)
	}
	if err != nil && !errors.Is(err, ErrSkipped) {
		return d.failed(log, err, now, next)
	}
	d.attempt = 0
	if err != nil {
		d.Status.End(status.Snapshot, now, status.Outcome{Skipped: true, Reason: status.Role})
		if d.Journal != nil {
			d.pruneSegments(ctx, log)
			notifyOne(d.mirrorDue) // likewise in the bucket
		}
		d.schedule(next, next)
		d.save()
		log.WithField("next", stamp(next)).Info(err.Error())
		d.notify(d.Notifier.Status(fmt.Sprintf("last run %v, next run %s", err, stamp(next))))
		return next
	}
	d.finish(ctx, log, taken, next)
	return next
}

// failed records and logs the error, and returns the time of the retry or of the next run, whichever comes first.
func (d *Daemon) failed(log logrus.FieldLogger, err error, now, next time.Time) time.Time {
	d.attempt++
	again := now.Add(backoff(d.attempt))
	if !again.Before(next) {
		again = next
		d.attempt = 0
	}
	reason := d.Reason(status.Snapshot, err)
	d.Status.End(status.Snapshot, now, status.Outcome{Reason: reason, Message: err.Error()})
	d.schedule(again, next)
	d.save()
	d.beat(false)
	log.WithError(err).WithFields(logrus.Fields{"reason": string(reason), "next": stamp(again)}).Error("snapshot failed")
	d.notify(d.Notifier.Status(fmt.Sprintf("last run failed, next try %s: %v", stamp(again), err)))
	return again
}

// finish prunes after a new snapshot and writes the cycle's last log line.
func (d *Daemon) finish(ctx context.Context, log logrus.FieldLogger, t snapshot.Taken, next time.Time) {
	select {
	case <-d.replace: // this snapshot is the replacement
	default:
	}
	d.owed = false
	d.baseTaken() // the journal asks again if this snapshot will not do
	m := t.Manifest
	d.Status.SetCluster(snapshot.Lineage{Cluster: m.ClusterID, Predecessors: m.Predecessors})
	d.Status.Saved(d.clock(), described(t.Entry, m), t.Stream, t.Sync)
	d.Status.SetStream(status.Stream{Rate: streamRate(t), Latency: t.Latency})
	d.schedule(next, next)
	d.save()
	decisions, err := d.applyPolicy(ctx, log)
	if err != nil {
		log.WithError(err).Error("pruning failed; the new snapshot is safe")
	}
	removed := len(prune.Removed(decisions))
	d.warnOfEtcd(log, m.Source)
	log = log.WithFields(logrus.Fields{
		"snapshot": t.Name.String(), "revision": m.Revision, "raw_bytes": m.RawSize, "archive_bytes": t.Size,
		"stream_seconds": seconds(t.Stream), "sync_seconds": seconds(t.Sync), "stream_rate": int64(streamRate(t)),
		"kept": len(decisions) - removed, "pruned": removed, "next": stamp(next),
	})
	if n, known := m.Keys.Get(); known {
		log = log.WithField("keys", n)
	}
	if m.DBSizeInUse > 0 {
		log = log.WithField("in_use_bytes", m.DBSizeInUse)
	}
	if n := prune.Guarded(decisions); n > 0 {
		log = log.WithField("guarded", n)
	}
	for field, latency := range map[string]time.Duration{"etcd_latency_before": t.Latency.Before, "etcd_latency_during": t.Latency.During} {
		if latency > 0 {
			log = log.WithField(field, fineSeconds(latency))
		}
	}
	log.Info("snapshot saved")
	d.beat(err == nil)
	notifyOne(d.mirrorDue)
	notifyOne(d.taken)
	d.notify(d.Notifier.Status(fmt.Sprintf("last snapshot %s, next run %s", t.Name, stamp(next))))
}

// streamRate is the average of a stream, in bytes per second.
func streamRate(t snapshot.Taken) float64 {
	return float64(t.Manifest.RawSize) / max(t.Stream, time.Microsecond).Seconds()
}

// applyPolicy prunes and records the remaining snapshots. An interruption by the shutdown is no error.
func (d *Daemon) applyPolicy(ctx context.Context, log logrus.FieldLogger) ([]prune.Decision, error) {
	d.list() // the guard needs the details of all snapshots
	decisions, err := prune.Local(ctx, d.Store, d.scope(), d.clock(), d.details, false)
	if ctx.Err() != nil {
		err = nil
	}
	mine := slices.DeleteFunc(prune.Removed(decisions), func(n snapshot.Name) bool { return !n.OfNode(d.Node) })
	d.Status.Pruned(status.Local, d.clock(), mine, err)
	decisions = slices.DeleteFunc(decisions, func(x prune.Decision) bool {
		if x.Broken && !x.Keep {
			log.WithField("snapshot", x.Name.String()).Info("removed a damaged snapshot")
		}
		return x.Broken
	})
	d.pruneSegments(ctx, log)
	d.list()
	d.save()
	return decisions, err
}

// scope says whose snapshots on the disk are pruned.
func (d *Daemon) scope() prune.Scope {
	return prune.Scope{Node: d.Node, Lineage: d.Status.Lineage(), Policy: d.Policy, OrphanAfter: d.OrphanAfter, Journal: prune.Journal{Keep: d.JournalKeep}}
}

// warnOfEtcd logs etcd's own problems, once until they change.
func (d *Daemon) warnOfEtcd(log logrus.FieldLogger, m snapshot.Source) {
	now := fmt.Sprint(m.Healthy, m.Alarms)
	if now == d.warned {
		return
	}
	d.warned = now
	if !m.Healthy {
		log.Warn("member knows no leader: the cluster may have lost its quorum")
	}
	if len(m.Alarms) > 0 {
		log.WithField("alarms", m.Alarms).Warn("etcd raised alarms")
	}
}
