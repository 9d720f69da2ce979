package command

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/urfave/cli/v2"

	"etcd-rolling-backup/daemon"
	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/drill"
)

// drillLimit ends a drill that gets nowhere. At the lowest priority beside a busy etcd a large database may take hours.
const drillLimit = 6 * time.Hour

// drills are the daemon's, nil when there are none.
func drills(c *cli.Context, dir *snapshot.Dir, node string, minFree int64) (*daemon.Drill, error) {
	s, on, err := drillSchedule(c, node)
	if err != nil {
		return nil, err
	}
	from := c.String("drill-from")
	switch {
	case from != fromLocal && from != fromS3:
		return nil, usagef("--drill-from: %q is not local or s3", from)
	case from == fromS3 && !hasBucket(c):
		return nil, usagef("--drill-from s3 needs --s3-bucket")
	case !on:
		return nil, nil //nolint:nilnil // no drills are no error
	}
	open := func(context.Context) (*os.File, snapshot.Name, error) { return newestHere(dir, node) }
	if from == fromS3 {
		open = func(ctx context.Context) (*os.File, snapshot.Name, error) {
			f, name, err := newestThere(ctx, c, dir, node, minFree)
			if err != nil && !errors.Is(err, snapshot.ErrNotFound) {
				err = skippedDrill{err} // it says nothing about the snapshot
			}
			return f, name, err
		}
	}
	return &daemon.Drill{
		Schedule: s,
		Do: func(ctx context.Context) (daemon.DrillReport, error) {
			return doDrill(ctx, dir, minFree, open)
		},
		Here: from == fromLocal,
		Note: note[daemon.DrillReport](dir, snapshot.DrillNote(node)),
	}, nil
}

// note is a file beside the snapshots.
func note[T any](dir *snapshot.Dir, name string) daemon.Note[T] {
	return daemon.Note[T]{
		Read: func() (v T, err error) {
			err = dir.ReadNote(name, &v)
			return v, err
		},
		Keep: func(v T) error { return dir.KeepNote(name, v) },
	}
}

func doDrill(ctx context.Context, dir *snapshot.Dir, minFree int64, open func(context.Context) (*os.File, snapshot.Name, error)) (daemon.DrillReport, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, drillLimit, fmt.Errorf("gave it up after %s", drillLimit))
	defer cancel()
	f, name, err := open(ctx)
	if err != nil {
		return daemon.DrillReport{}, err
	}
	defer f.Close()
	report := daemon.DrillReport{Name: name.String()}
	r, err := startDrill(ctx, f, dir, minFree, nil)
	report.Revision, report.Keys, report.Verify = r.Revision, r.Keys, r.Took.Unpack
	return report, unlessHindered(err)
}

// unlessHindered marks the error of a drill that was left out for want of room, or given up when others took it. It says nothing
// about the snapshot.
func unlessHindered(err error) error {
	if errors.Is(err, drill.ErrSkipped) || noRoom(err) && !errors.Is(err, snapshot.ErrDamaged) {
		return skippedDrill{err}
	}
	return err
}

// skippedDrill is a daemon.ErrSkipped that prints its reason alone.
type skippedDrill struct{ error }

func (skippedDrill) Is(target error) bool { return target == daemon.ErrSkipped }
func (e skippedDrill) Unwrap() error      { return e.error }

// newestHere opens the node's newest rolling snapshot in the directory.
func newestHere(dir *snapshot.Dir, node string) (*os.File, snapshot.Name, error) {
	l, err := dir.List()
	if err != nil {
		return nil, snapshot.Name{}, err
	}
	e, err := newestOf(l, node)
	if err != nil {
		return nil, e.Name, err
	}
	f, err := dir.File(e.Name)
	return f, e.Name, err
}

// newestThere brings it from the bucket into a nameless file.
func newestThere(ctx context.Context, c *cli.Context, dir *snapshot.Dir, node string, minFree int64) (*os.File, snapshot.Name, error) {
	b, err := openBucket(c)
	if err != nil {
		return nil, snapshot.Name{}, err
	}
	defer b.Close()
	entries, err := b.List(ctx)
	if err != nil {
		return nil, snapshot.Name{}, err
	}
	e, err := newestOf(snapshot.Listing{Snapshots: entries}, node)
	if err != nil {
		return nil, e.Name, err
	}
	body, bytes, err := b.Get(ctx, e.Name)
	if err != nil {
		return nil, e.Name, err
	}
	defer body.Close()
	f, err := dir.Fetch(ctx, body, bytes, minFree, nil)
	return f, e.Name, err
}

func newestOf(l snapshot.Listing, node string) (snapshot.Entry, error) {
	e, ok := daemon.Newest(l, node, time.Now())
	if !ok {
		return e, fmt.Errorf("%w of node %s to restore for a test", snapshot.ErrNotFound, node)
	}
	return e, nil
}

// removeDrills clears away what drills that were killed have left behind. What another user has left costs space and no snapshot.
func removeDrills(dir *snapshot.Dir, log logrus.FieldLogger) {
	removed, err := drill.RemoveLeftovers(dir)
	if len(removed) > 0 {
		log.WithField("directories", removed).Warn("removed what a restore drill that was cut off had left")
	}
	if err != nil {
		log.WithError(err).Warn("removing what a restore drill has left failed; it takes up space until somebody removes it")
	}
}
