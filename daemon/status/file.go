package status

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"etcd-rolling-backup/snapshot"
)

// maxStarts is the maximum number of starts in the State.
const maxStarts = 60

// Notes stores small files next to the snapshots; *snapshot.Dir does.
type Notes interface {
	// ReadNote reads a file into v; without a file, v is unchanged.
	ReadNote(name string, v any) error
	// KeepNote replaces a file atomically.
	KeepNote(name string, v any) error
	// RemoveNote removes a file; a missing one is no error.
	RemoveNote(name string) error
}

// Open makes a Tracker from the State that an earlier process of this node saved. The Tracker is usable with an error too: then part of
// that State could not be read.
func Open(notes Notes, node string, o Options) (*Tracker, error) {
	t := New(o)
	var s State
	err := notes.ReadNote(snapshot.StatusFile(node), &s)
	if err != nil {
		s, err = State{}, fmt.Errorf("the state before this start is not known: %w", err)
	}
	taken, takenErr := takeOver(notes, node)
	s.merge(taken)
	t.load(s)
	return t, errors.Join(err, takenErr)
}

// load takes over a saved State, except times in the future, which come from a wrong clock, and what is valid for one process only.
func (t *Tracker) load(s State) {
	now := t.now()
	for j, x := range s.Jobs {
		if x.Failed.After(now) {
			x.Failures, x.Reason, x.Message = 0, "", ""
		}
		for _, at := range []*time.Time{&x.Attempt, &x.Success, &x.Settled, &x.Failed, &x.Due} {
			if at.After(now) {
				*at = time.Time{}
			}
		}
		if j == Mirror { // the first pass will report its state
			x = JobState{Success: x.Success, Settled: x.Settled}
		}
		if s.DrillFrom != t.state.DrillFrom && (j == Verify || j == Drill) { // those were for other copies
			x = JobState{}
		}
		t.state.Jobs[j] = x
	}
	maps.Copy(t.state.Places, s.Places)
	if t.state.Cluster = s.Cluster; s.Cluster.Since.After(now) {
		t.state.Cluster.Since = time.Time{}
	}
	if t.state.Enabled[Mirror] && !s.Mirror.PendingSince.After(now) && !s.Mirror.UnmirroredAt.After(now) {
		t.state.Mirror = s.Mirror
		if s.Mirror.TakenAt.After(now) {
			t.state.Mirror.TakenAt = now
		}
	}
	t.state.Starts = slices.DeleteFunc(s.Starts, func(at time.Time) bool { return at.After(now) || now.Sub(at) >= StartsWindow })
	t.state.History = slices.DeleteFunc(s.History, func(f Failure) bool { return f.At.After(now) })
	t.state.PruneError, t.state.PruneAt = s.PruneError, s.PruneAt
	t.state.loadJournal(s.Journal, now)
	t.state.Resources = s.Resources
	t.state.Resources.Gone = slices.DeleteFunc(s.Resources.Gone, func(g GoneResource) bool { return g.Found.After(now) })
}

// Start records a start of the daemon. newest is the newest snapshot in the directory; zero: there is none. It returns the jobs that
// were running when the last process crashed. An interrupted snapshot run counts as failed now, unless its snapshot is complete.
func (t *Tracker) Start(newest snapshot.Name) (cutOff map[Job]bool) {
	if t == nil {
		return nil
	}
	now := t.now()
	cutOff = map[Job]bool{}
	t.change(func(s *State) {
		s.Starts = append(s.Starts[max(len(s.Starts)-maxStarts+1, 0):], now)
		for _, j := range Jobs() {
			s.job(j, func(x *JobState) {
				cutOff[j] = x.Running
				x.Running, x.Next = false, time.Time{}
			})
		}
		s.job(Snapshot, func(x *JobState) {
			cutOff[Snapshot] = cutOff[Snapshot] && x.Attempt.Truncate(time.Second).After(newest.Time) // names have whole seconds
			x.complete(newest)
		})
	})
	if cutOff[Snapshot] {
		t.End(Snapshot, now, Outcome{Reason: CutOff, Message: "the daemon crashed or was killed during the run"})
	}
	return cutOff
}

// complete adds what the newest snapshot on the disk shows and the state does not have.
func (x *JobState) complete(newest snapshot.Name) {
	if newest.Set == "" {
		return
	}
	if newest.Time.After(x.Success) {
		x.Success, x.Name = newest.Time, newest
	}
	if newest.Time.After(x.Settled) {
		x.Settled = newest.Time
	}
	if x.Attempt.IsZero() {
		x.Attempt = newest.Time
	}
	if x.Failed.Before(x.Settled) {
		x.Failures, x.Reason, x.Message = 0, "", ""
	}
	x.Due = time.Time{} // computed from the schedule and the newest snapshot
}

// Save writes the file if the State has changed. The first Save also removes the notes of earlier versions.
func (t *Tracker) Save(notes Notes, node string) error {
	if t == nil {
		return nil
	}
	t.saving.Lock()
	defer t.saving.Unlock()
	data, err := json.Marshal(t.State())
	if err != nil {
		return fmt.Errorf("save the state: %w", err)
	}
	if bytes.Equal(data, t.saved) {
		return nil
	}
	err = notes.KeepNote(snapshot.StatusFile(node), json.RawMessage(data))
	t.mu.Lock()
	t.saveErr = err
	t.mu.Unlock()
	if err != nil {
		return err
	}
	if t.saved == nil {
		err = dropOldNotes(notes, node)
	}
	t.saved = data
	return err
}
