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

// RunReport is what the next process is to know of this one's runs: what only failures and skips leave behind is nowhere else.
type RunReport struct {
	Starts   []time.Time    `json:"starts"`             // of the daemon within startsWindow, in order
	Began    time.Time      `json:"began,omitzero"`     // of the run under way
	Due      time.Time      `json:"due,omitzero"`       // when the first snapshot of all was due, until there is one
	Skipped  time.Time      `json:"skipped,omitzero"`   // when a run was left to another member last
	Failures int            `json:"failures,omitempty"` // in a row; the rest is about the last of them
	At       time.Time      `json:"at,omitzero"`
	Reason   metrics.Reason `json:"reason,omitempty"`
	Error    string         `json:"error,omitempty"`
	// Past are the snapshots, kept or not, that later ones are compared with.
	Past []metrics.Past `json:"past,omitempty"`
}

// readRuns gives what was kept, without what a wrong clock has dated in the future and failures that a later snapshot, taken at last, or
// skip has settled. It returns true if a run is not among them because nobody has ended it.
func (d *Daemon) readRuns(last, now time.Time) (r RunReport, cutOff bool) {
	if d.Runs.Read == nil {
		return r, false
	}
	r, err := d.Runs.Read()
	if err != nil {
		d.Log.WithError(err).Warn("what became of the runs before this start is not known")
		r = RunReport{}
	}
	recent := slices.DeleteFunc(r.Starts, func(t time.Time) bool { return t.After(now) || now.Sub(t) >= startsWindow })
	r.Starts = append(recent[max(len(recent)-maxStarts+1, 0):], now)
	// Names have whole seconds.
	cutOff = !r.Began.IsZero() && r.Began.Truncate(time.Second).After(last)
	r.Began, r.Failures = time.Time{}, max(r.Failures, 0)
	for _, t := range []*time.Time{&r.Due, &r.Skipped, &r.At} {
		if t.After(now) {
			*t = time.Time{}
		}
	}
	if !r.At.After(last) || !r.At.After(r.Skipped) {
		r = RunReport{Starts: r.Starts, Due: r.Due, Skipped: r.Skipped, Past: r.Past}
	}
	switch {
	case !last.IsZero():
		r.Due = time.Time{}
	case r.Due.IsZero():
		r.Due = now
	}
	return r, cutOff
}

// recallRuns tells of the starts and of the runs that failed before this one.
func (d *Daemon) recallRuns(r RunReport) {
	if r.Failures > 0 {
		d.Recorder.Failed(metrics.Snapshots, r.At, "", r.Reason, r.Error)
		d.Recorder.Failing(metrics.Snapshots, r.Failures)
	}
	d.Recorder.Started(r.Starts...)
	d.keepRuns(r)
}

// countCutOff takes a run that a crash has cut off for one that failed just now, when it became known.
func (d *Daemon) countCutOff() {
	const message = "the daemon ended in the midst of it, without being stopped"
	now := d.clock()
	d.Recorder.Failed(metrics.Snapshots, now, "", metrics.CutOff, message)
	d.runFailed(now, metrics.CutOff, message)
	d.Log.Warn("the last run was cut off: " + message)
}

// runBegan and the others keep the report up to date. A run that the stop has cut off is forgotten: nothing is wrong with it.
func (d *Daemon) runBegan(at time.Time) {
	r := d.runs
	r.Began = at
	d.keepRuns(r)
}

func (d *Daemon) runStopped() { d.runBegan(time.Time{}) }

func (d *Daemon) runFailed(at time.Time, reason metrics.Reason, message string) {
	r := d.runs
	r.Began, r.Failures, r.At, r.Reason, r.Error = time.Time{}, r.Failures+1, at, reason, message
	d.keepRuns(r)
}

func (d *Daemon) runDone() { d.keepRuns(RunReport{Starts: d.runs.Starts}) }

func (d *Daemon) runSkipped(at time.Time) {
	d.keepRuns(RunReport{Starts: d.runs.Starts, Skipped: at})
}

// keepPast lets the next process know what was learned to compare with meanwhile, as from the bucket.
func (d *Daemon) keepPast() {
	if !slices.Equal(d.Recorder.Past(), d.runs.Past) {
		d.keepRuns(d.runs)
	}
}

// keepRuns warns once of a disk that does not take the note: the runs themselves have more to say of it.
func (d *Daemon) keepRuns(r RunReport) {
	r.Past = d.Recorder.Past()
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
