package daemon

import (
	"slices"
	"time"

	"etcd-rolling-backup/metrics"
)

// startsWindow is how long a start is remembered, and maxStarts how many are at most.
const (
	startsWindow = time.Hour
	maxStarts    = 60
)

// Note keeps one thing for the next process. The zero Note keeps nothing.
type Note[T any] struct {
	Read func() (T, error) // the zero value when nothing was kept
	Keep func(T) error
}

// RunReport is what the next process is to know of this one's runs: what only failures leave behind is nowhere else.
type RunReport struct {
	Starts   []time.Time    `json:"starts"`             // of the daemon within startsWindow, in order
	Began    time.Time      `json:"began,omitzero"`     // of the run under way
	Failures int            `json:"failures,omitempty"` // in a row; the rest is about the last of them
	At       time.Time      `json:"at,omitzero"`
	Reason   metrics.Reason `json:"reason,omitempty"`
	Error    string         `json:"error,omitempty"`
}

// recallRuns tells of the starts, and of the runs that have failed since the last snapshot, which was taken at last. It returns true if a
// run is not among them because nobody has ended it.
func (d *Daemon) recallRuns(last time.Time) (cutOff bool) {
	if d.Runs.Read == nil {
		return false
	}
	r, err := d.Runs.Read()
	if err != nil {
		d.Log.WithError(err).Warn("what became of the runs before this start is not known")
		r = RunReport{}
	}
	now := d.clock()
	recent := slices.DeleteFunc(r.Starts, func(t time.Time) bool { return t.After(now) || now.Sub(t) >= startsWindow })
	starts := append(recent[max(len(recent)-maxStarts+1, 0):], now)
	// Names have whole seconds.
	cutOff = !r.Began.IsZero() && r.Began.Truncate(time.Second).After(last)
	if !r.At.After(last) {
		r = RunReport{}
	}
	if r.Failures > 0 {
		d.Recorder.Failed(metrics.Snapshots, r.At, "", r.Reason, r.Error)
		d.Recorder.Failing(metrics.Snapshots, r.Failures)
	}
	d.Recorder.Started(starts...)
	r.Starts, r.Began = starts, time.Time{}
	d.keepRuns(r)
	return cutOff
}

// countCutOff takes a run that a crash has cut off for one that failed just now, when it became known.
func (d *Daemon) countCutOff() {
	const message = "the daemon ended in the midst of it, without being stopped"
	now := d.clock()
	d.Recorder.Failed(metrics.Snapshots, now, "", metrics.CutOff, message)
	d.runFailed(now, metrics.CutOff, message)
	d.Log.Warn("the last run was cut off: " + message)
}

// runBegan, runFailed and runEnded keep the report up to date.
func (d *Daemon) runBegan(at time.Time) {
	r := d.runs
	r.Began = at
	d.keepRuns(r)
}

func (d *Daemon) runFailed(at time.Time, reason metrics.Reason, message string) {
	d.keepRuns(RunReport{Starts: d.runs.Starts, Failures: d.runs.Failures + 1, At: at, Reason: reason, Error: message})
}

func (d *Daemon) runEnded() { d.keepRuns(RunReport{Starts: d.runs.Starts}) }

// runStopped forgets a run that the stop has cut off: nothing is wrong with it.
func (d *Daemon) runStopped() {
	r := d.runs
	r.Began = time.Time{}
	d.keepRuns(r)
}

// keepRuns warns once of a disk that does not take the note: the runs themselves have more to say of it.
func (d *Daemon) keepRuns(r RunReport) {
	d.runs = r
	if d.Runs.Keep == nil {
		return
	}
	err := d.Runs.Keep(r)
	if err != nil && d.kept {
		d.Log.WithError(err).Warn("keeping what became of the runs failed; a restart forgets it")
	}
	d.kept = err == nil
}
