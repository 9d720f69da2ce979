package service

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/sirupsen/logrus"

	"etcd-rolling-backup/daemon"
	"etcd-rolling-backup/daemon/status"
	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/internal/source"
	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/drill"
)

// DrillChild is the hidden command that a drill's own process is started with.
const DrillChild = "drill-child"

// drillLimit stops a drill that makes no progress. At the lowest priority next to a busy etcd a large database may take hours.
const drillLimit = 6 * time.Hour

// startDrill does one drill on an open snapshot of any form, whose database has rawSize bytes; 0: as an archive says. /proc/self/exe is this very program, even if its file has been replaced by a newer one.
func startDrill(
	ctx context.Context, file *os.File, rawSize int64, scratch *snapshot.Dir, minFree int64, progress func(drill.Step), j *drill.Journal,
) (drill.Result, error) {
	return drill.Start(ctx, drill.Child{
		Command: []string{"/proc/self/exe", DrillChild}, File: file, RawSize: rawSize, Scratch: scratch, MinFree: minFree, Progress: progress, Journal: j,
	})
}

// drillSettings are those of the daemon.
func drillSettings(d config.Drill) daemon.DrillSettings {
	s := daemon.DrillSettings{From: status.Place(d.From)}
	if d.Schedule != nil {
		s.Schedule = *d.Schedule
	}
	return s
}

// doDrill is one of the daemon's drills, of a snapshot from a place.
func doDrill(ctx context.Context, cfg config.Config, from config.Place, dir *snapshot.Dir, known *status.Tracker) (report daemon.DrillReport, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, drillLimit, fmt.Errorf("aborted after %s", drillLimit))
	defer cancel()
	o, journalErr, err := openContinued(ctx, drillRequest(cfg, from, known, &report))
	if err != nil {
		if from == config.S3 && !errors.Is(err, snapshot.ErrNotFound) {
			err = skippedDrill{err} // what fails on the way says nothing about the snapshot
		}
		return report, err
	}
	defer func() { _ = errors.Join(o.File.Close(), o.Journal.Close()) }() // they were only read
	j, bundleErr := bundle(o.Journal, dir)
	if j != nil {
		defer j.File.Close() // a temporary file
	}
	r, drilledErr, err := StartContinuedDrill(ctx, o.File, 0, dir, cfg.Store.MinFree, nil, j)
	report.Revision, report.Keys, report.Resources, report.Cluster, report.Verify = r.Revision, r.Keys, r.Resources, r.Cluster, r.Took.Unpack
	report.Warnings = r.Warnings
	if c := r.Journal; c != nil { // the report is on the snapshot
		report.Revision, report.Keys, report.Resources = c.Base, c.Keys, c.Resources
	}
	if err == nil {
		o.Scratch = dir
		report.Journal = journalReport(ctx, cfg, from, o, known, r, errors.Join(journalErr, bundleErr, drilledErr))
	}
	return report, withRemedy(markSkipped(err))
}

// openContinued opens the snapshot with the journal that continues it, or alone if that can't be read.
func openContinued(ctx context.Context, ask source.Request) (o *source.Opened, journalErr, err error) {
	ask.At = &config.At{}
	o, journalErr = source.Open(ctx, ask)
	if journalErr == nil || errors.Is(journalErr, snapshot.ErrNotFound) || ctx.Err() != nil {
		return o, nil, journalErr
	}
	ask.At = nil
	if o, err = source.Open(ctx, ask); err != nil {
		journalErr = nil // it is not the journal's
	}
	return o, journalErr, err
}

// drillRequest is for this node's newest snapshot, whose name it writes into the report. What other nodes have in the bucket costs nothing.
func drillRequest(cfg config.Config, from config.Place, known *status.Tracker, report *daemon.DrillReport) source.Request {
	return source.Request{
		Reference: snapshot.Latest, From: from, Dir: cfg.Store.Dir, Bucket: cfg.S3, Nodes: []string{cfg.Store.Node}, MinFree: cfg.Store.MinFree,
		Newest: func(l snapshot.Listing) (snapshot.Entry, error) {
			l.Snapshots = slices.DeleteFunc(slices.Clone(l.Snapshots), func(e snapshot.Entry) bool {
				return known.Stranger(status.Place(from), e)
			})
			e, ok := l.Newest(cfg.Store.Node, time.Now())
			if !ok {
				return e, fmt.Errorf("%w of node %s to restore as a test", snapshot.ErrNotFound, cfg.Store.NodeName())
			}
			report.Name = e.Name
			return e, nil
		},
	}
}

// markSkipped marks the error of a drill that was skipped or aborted for lack of disk space. It says nothing about the snapshot.
func markSkipped(err error) error {
	if errors.Is(err, drill.ErrSkipped) || noSpace(err) && !errors.Is(err, snapshot.ErrDamaged) {
		return skippedDrill{err}
	}
	return err
}

// skippedDrill is a daemon.ErrSkipped that prints its reason alone.
type skippedDrill struct{ error }

func (skippedDrill) Is(target error) bool { return target == daemon.ErrSkipped }
func (e skippedDrill) Unwrap() error      { return e.error }

// removeDrills removes what drills that were killed have left. What belongs to another user costs space and no snapshot.
func removeDrills(dir *snapshot.Dir, log logrus.FieldLogger) {
	removed, err := drill.RemoveLeftovers(dir)
	if len(removed) > 0 {
		log.WithField("directories", removed).Warn("removed the leftovers of an interrupted restore drill")
	}
	if err != nil {
		log.WithError(err).Warn("removing the leftovers of a restore drill failed; they take up space until somebody removes them")
	}
}
