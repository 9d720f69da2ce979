package service

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/sirupsen/logrus"

	"etcd-rolling-backup/daemon"
	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/internal/source"
	"etcd-rolling-backup/s3"
	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/drill"
)

// DrillChild is the hidden command that a drill's own process is started with.
const DrillChild = "drill-child"

// drillLimit stops a drill that makes no progress. At the lowest priority next to a busy etcd a large database may take hours.
const drillLimit = 6 * time.Hour

// StartDrill does one drill on an open archive. The program is started from /proc/self/exe, which is this very program
// even if its file has been replaced by a newer one.
func StartDrill(ctx context.Context, file *os.File, scratch *snapshot.Dir, minFree int64, progress func(drill.Step)) (drill.Result, error) {
	return drill.Start(ctx, drill.Child{
		Command: []string{"/proc/self/exe", DrillChild}, File: file, Scratch: scratch, MinFree: minFree, Progress: progress,
	})
}

// opener opens the snapshot of a drill.
type opener func(context.Context) (*os.File, snapshot.Name, error)

// drills are the daemon's, nil if there are none.
func drills(cfg config.Config, dir *snapshot.Dir) *daemon.Drill {
	if cfg.Drill.Schedule == nil {
		return nil
	}
	node, minFree := cfg.Store.Node, cfg.Store.MinFree
	open := func(context.Context) (*os.File, snapshot.Name, error) { return newestLocal(dir, node) }
	if cfg.Drill.From == config.S3 {
		open = func(ctx context.Context) (*os.File, snapshot.Name, error) {
			return newestInBucket(ctx, cfg.S3, dir, node, minFree)
		}
	}
	return &daemon.Drill{
		Schedule: *cfg.Drill.Schedule,
		Do:       func(ctx context.Context) (daemon.DrillReport, error) { return doDrill(ctx, dir, minFree, open) },
		Here:     cfg.Drill.From == config.Local,
		Note:     note[daemon.DrillReport](dir, snapshot.DrillNote(node)),
	}
}

func doDrill(ctx context.Context, dir *snapshot.Dir, minFree int64, open opener) (daemon.DrillReport, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, drillLimit, fmt.Errorf("aborted after %s", drillLimit))
	defer cancel()
	f, name, err := open(ctx)
	if err != nil {
		return daemon.DrillReport{}, err
	}
	defer f.Close()
	report := daemon.DrillReport{Name: name.String()}
	r, err := StartDrill(ctx, f, dir, minFree, nil)
	report.Revision, report.Keys, report.Verify = r.Revision, r.Keys, r.Took.Unpack
	return report, markSkipped(err)
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

// newestOf finds the node's newest rolling snapshot.
func newestOf(node string) source.Finder {
	return func(l snapshot.Listing) (snapshot.Entry, error) {
		e, ok := daemon.Newest(l, node, time.Now())
		if !ok {
			return e, fmt.Errorf("%w of node %s to restore as a test", snapshot.ErrNotFound, node)
		}
		return e, nil
	}
}

func newestLocal(dir *snapshot.Dir, node string) (*os.File, snapshot.Name, error) {
	l, err := dir.List()
	if err != nil {
		return nil, snapshot.Name{}, err
	}
	e, err := newestOf(node)(l)
	if err != nil {
		return nil, e.Name, err
	}
	f, err := dir.File(e.Name)
	return f, e.Name, err
}

// newestInBucket fetches it into an anonymous temporary file. What fails on the way says nothing about the snapshot.
func newestInBucket(ctx context.Context, bucket *s3.Config, dir *snapshot.Dir, node string, minFree int64) (*os.File, snapshot.Name, error) {
	r, err := source.FindInBucket(ctx, bucket, newestOf(node))
	if err != nil {
		return nil, snapshot.Name{}, skippedUnlessMissing(err)
	}
	defer r.Close()
	f, err := r.Fetch(ctx, dir, minFree, nil)
	return f, r.Entry.Name, skippedUnlessMissing(err)
}

func skippedUnlessMissing(err error) error {
	if err == nil || errors.Is(err, snapshot.ErrNotFound) {
		return err
	}
	return skippedDrill{err}
}

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
