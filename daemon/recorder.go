package daemon

import (
	"errors"
	"slices"
	"time"

	"etcd-rolling-backup/metrics"
	"etcd-rolling-backup/retention"
	"etcd-rolling-backup/snapshot"
)

// Recorder hears what becomes of the work; *metrics.Metrics is one and says what each call means. Its methods return at
// once. A run that the program's own end cuts off is told to nobody.
type Recorder interface {
	Schedule(k metrics.Kind, next time.Time, interval time.Duration)
	Attempt(k metrics.Kind, at time.Time)
	Failed(k metrics.Kind, at time.Time, name string, r metrics.Reason, message string)
	Skipped(k metrics.Kind, at time.Time, r metrics.Reason)
	SnapshotDone(at time.Time, x metrics.Snapshot, stream, sync time.Duration)
	Verified(at time.Time, name string, took time.Duration)
	Drilled(at time.Time, name string, took time.Duration)

	Inventory(p metrics.Place, list []metrics.Snapshot)
	Pruned(p metrics.Place, names ...string)
	// Unlisted tells that what lies in the directory can't be read, until the next Inventory of it.
	Unlisted(message string)
	// PruningFailed tells that some of what was to be removed from the disk is still there.
	PruningFailed(at time.Time, message string)
	Waiting(list []metrics.Snapshot)
	Uploaded(x metrics.Snapshot, took time.Duration)
	MirrorDone(at time.Time, locked int)
	// Damaged tells of a copy that was found damaged by the mirror, or before the start. Whole ends that, and Damages are all of
	// which it is known.
	Damaged(p metrics.Place, at time.Time, name, message string)
	Whole(p metrics.Place, name string)
	Damages() []metrics.Damage

	// Past is what later snapshots are compared with, and Remember tells of it before all else, or later where it was Blank. Spare
	// names those that are not to be removed although the policy says so, because the newest has much less.
	Past() []metrics.Past
	Remember(list []metrics.Past)
	Blank() bool
	Spare(p metrics.Place) []string

	// Recalled tells of a success before the start that became known only after Rebuilt.
	Recalled(k metrics.Kind, at time.Time)
	// Failing tells how many runs in a row failed before the start, and Started when the daemon was started of late.
	Failing(k metrics.Kind, runs int)
	Started(at ...time.Time)
	// Rebuilt ends the telling of what was before the start.
	Rebuilt()
}

// deaf is the Recorder of who wants to hear nothing.
type deaf struct{}

func (deaf) Schedule(metrics.Kind, time.Time, time.Duration)                        {}
func (deaf) Attempt(metrics.Kind, time.Time)                                        {}
func (deaf) Failed(metrics.Kind, time.Time, string, metrics.Reason, string)         {}
func (deaf) Skipped(metrics.Kind, time.Time, metrics.Reason)                        {}
func (deaf) SnapshotDone(time.Time, metrics.Snapshot, time.Duration, time.Duration) {}
func (deaf) Verified(time.Time, string, time.Duration)                              {}
func (deaf) Drilled(time.Time, string, time.Duration)                               {}
func (deaf) Inventory(metrics.Place, []metrics.Snapshot)                            {}
func (deaf) Pruned(metrics.Place, ...string)                                        {}
func (deaf) Unlisted(string)                                                        {}
func (deaf) PruningFailed(time.Time, string)                                        {}
func (deaf) Waiting([]metrics.Snapshot)                                             {}
func (deaf) Uploaded(metrics.Snapshot, time.Duration)                               {}
func (deaf) MirrorDone(time.Time, int)                                              {}
func (deaf) Damaged(metrics.Place, time.Time, string, string)                       {}
func (deaf) Whole(metrics.Place, string)                                            {}
func (deaf) Damages() []metrics.Damage                                              { return nil }
func (deaf) Past() []metrics.Past                                                   { return nil }
func (deaf) Blank() bool                                                            { return false }
func (deaf) Remember([]metrics.Past)                                                {}
func (deaf) Spare(metrics.Place) []string                                           { return nil }
func (deaf) Recalled(metrics.Kind, time.Time)                                       {}
func (deaf) Failing(metrics.Kind, int)                                              {}
func (deaf) Started(...time.Time)                                                   {}
func (deaf) Rebuilt()                                                               {}

// plain is an entry in the recorder's words; what only its manifest tells is left open.
func plain(e snapshot.Entry) metrics.Snapshot {
	return metrics.Snapshot{Name: e.Name.String(), Time: e.Name.Time, Size: e.Size, Modified: e.Modified}
}

func described(e snapshot.Entry, m snapshot.Manifest) metrics.Snapshot {
	x := plain(e)
	x.RawSize, x.Revision = m.RawSize, m.Revision
	return x
}

func plains(entries []snapshot.Entry) []metrics.Snapshot {
	out := []metrics.Snapshot{}
	for _, e := range entries {
		out = append(out, plain(e))
	}
	return out
}

// ofNode are the node's own, of all sets.
func ofNode(entries []snapshot.Entry, node string) []snapshot.Entry {
	var out []snapshot.Entry
	for _, e := range entries {
		if e.Name.Node == node {
			out = append(out, e)
		}
	}
	return out
}

// rebuild tells what directory and notes know of the time before the start. The newest snapshot was taken at last.
func (d *Daemon) rebuild(l snapshot.Listing, runs RunReport, last, due, regular time.Time) {
	d.Recorder.Remember(runs.Past)
	d.inventory(l)
	if e, ok := Newest(l, d.Node, d.clock()); ok {
		d.Recorder.SnapshotDone(e.Name.Time, d.known[e.Name], 0, 0)
	}
	d.recallRuns(runs)
	if !runs.Due.IsZero() {
		d.schedule(runs.Due, regular)
	}
	d.schedule(due, regular)
	d.recallDrills(last)
	d.recallDamages()
	d.Recorder.Rebuilt()
}

// look tells of snapshots that came or went by hand.
func (d *Daemon) look() {
	l, err := d.Store.List()
	if err != nil {
		d.known = nil
		d.Recorder.Unlisted(err.Error())
		return
	}
	own := ofNode(l.Snapshots, d.Node)
	same := func(e snapshot.Entry) bool {
		x, ok := d.known[e.Name]
		return ok && x.Size == e.Size && x.Modified.Equal(e.Modified)
	}
	if d.known == nil || len(own) != len(d.known) || slices.ContainsFunc(own, func(e snapshot.Entry) bool { return !same(e) }) {
		d.inventory(l)
	}
}

// inventory tells what lies in the directory. Manifests are read once; whether one that can't be is damaged, tells its error.
func (d *Daemon) inventory(l snapshot.Listing) {
	known := map[snapshot.Name]metrics.Snapshot{}
	list := []metrics.Snapshot{}
	for _, e := range ofNode(l.Snapshots, d.Node) {
		x, ok := d.known[e.Name]
		if !ok || x.Size != e.Size || !x.Modified.Equal(e.Modified) {
			m, err := d.Store.Manifest(e.Name)
			x = described(e, m)
			if err != nil {
				x = plain(e)
			}
			if errors.Is(err, snapshot.ErrDamaged) {
				d.Recorder.Damaged(metrics.Local, d.clock(), e.Name.String(), err.Error())
			}
		}
		known[e.Name] = x
		list = append(list, x)
	}
	d.known = known
	d.Recorder.Inventory(metrics.Local, list)
}

// schedule tells when the next snapshot is due, which may be another try of a run, and how long after the schedule's own
// run at regular the one behind it comes.
func (d *Daemon) schedule(due, regular time.Time) {
	d.Recorder.Schedule(metrics.Snapshots, due, max(d.Schedule.Next(regular).Sub(regular), 0))
}

// reason is the class of an error, of those the metrics know.
func (d *Daemon) reason(k metrics.Kind, err error) metrics.Reason {
	if d.Reason == nil {
		return metrics.Other
	}
	return d.Reason(k, err)
}

func removedNames(decisions []retention.Decision) []string {
	var out []string
	for _, x := range decisions {
		if !x.Keep {
			out = append(out, x.ID)
		}
	}
	return out
}
