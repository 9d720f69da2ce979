package status

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"etcd-rolling-backup/snapshot"
)

// Versions before the state file kept three notes next to the snapshots. They are read once and then removed.

type oldRuns struct {
	Starts   []time.Time `json:"starts"`
	Began    time.Time   `json:"began"`   // of the run in progress
	Due      time.Time   `json:"due"`     // of the very first snapshot, until there is one
	Skipped  time.Time   `json:"skipped"` // when a run was last left to another member
	Failures int         `json:"failures"`
	At       time.Time   `json:"at"` // of the last failure
	Reason   Reason      `json:"reason"`
	Error    string      `json:"error"`
}

type oldDrill struct {
	Name     snapshot.Name `json:"name"`
	Place    Place         `json:"place"`
	At       time.Time     `json:"at"` // when it ended
	Took     time.Duration `json:"took"`
	Reason   Reason        `json:"reason"`
	Error    string        `json:"error"` // "": it passed
	Failures int           `json:"failures"`
	Passed   time.Time     `json:"passed"` // when the last one that passed ended
	Due      time.Time     `json:"due"`
	Began    time.Time     `json:"began"` // of the drill in progress
}

type oldDamage struct {
	Name    snapshot.Name `json:"name"`
	Place   Place         `json:"place"`
	At      time.Time     `json:"at"`
	Message string        `json:"message"`
}

// takeOver makes a State from the notes. A note that can't be read is skipped and named in the error.
func takeOver(notes Notes, node string) (State, error) {
	s := State{Jobs: map[Job]JobState{}, Places: map[Place]Inventory{}}
	var runs oldRuns
	var drill oldDrill
	var damages []oldDamage
	err := errors.Join(notes.ReadNote(snapshot.RunNote(node), &runs), notes.ReadNote(snapshot.DrillNote(node), &drill),
		notes.ReadNote(snapshot.DamageNote(node), &damages))
	s.takeRuns(runs)
	s.takeDrill(drill)
	for _, d := range damages {
		c := Copy{Name: d.Name}
		s.copyIn(d.Place, d.Name, func(x *Copy) { c = *x })
		c.Damage, c.Found = d.Message, d.At
		s.add(d.Place, c)
		s.remember(Failure{At: d.At, Place: d.Place, Name: d.Name, Reason: Damaged, Message: d.Message})
	}
	if err != nil {
		err = fmt.Errorf("some of what happened before this start is not known: %w", err)
	}
	return s, err
}

func (s *State) takeRuns(r oldRuns) {
	s.Starts = r.Starts
	j := JobState{Attempt: r.Began, Running: !r.Began.IsZero(), Settled: r.Skipped, Due: r.Due}
	if r.Failures == 0 && !r.Skipped.IsZero() {
		j.Skipped = Role
	}
	if r.Failures > 0 {
		j.Failures, j.Failed, j.Reason, j.Message = r.Failures, r.At, r.Reason, r.Error
		if !j.Running {
			j.Attempt = r.At
		}
		s.remember(Failure{At: r.At, Job: Snapshot, Reason: r.Reason, Message: r.Error})
	}
	s.Jobs[Snapshot] = j
}

func (s *State) takeDrill(d oldDrill) {
	s.DrillFrom = cmp.Or(d.Place, Local)
	j := JobState{Success: d.Passed, Settled: d.Passed, Name: d.Name, Due: d.Due, Attempt: d.Began, Running: !d.Began.IsZero()}
	if !j.Running && !d.At.IsZero() {
		j.Attempt = d.At.Add(-d.Took)
	}
	verify := JobState{Attempt: d.Passed, Success: d.Passed, Settled: d.Passed}
	if d.Error != "" {
		j.Failed, j.Reason, j.Message, j.Failures = d.At, d.Reason, d.Error, max(d.Failures, 1)
		s.remember(Failure{At: d.At, Job: Drill, Name: d.Name, Reason: d.Reason, Message: d.Error})
	}
	switch {
	case d.Error != "" && d.Reason == Damaged:
		verify.Attempt, verify.Failed, verify.Failures = d.At.Add(-d.Took), d.At, 1
		verify.Reason, verify.Message, verify.Name = d.Reason, d.Error, d.Name
	case d.Error == "" || d.Name.Set != "" && (d.Reason == Start || d.Reason == Contents): // every byte was read
		verify.Attempt, verify.Success, verify.Settled, verify.Name = d.At, d.At, d.At, d.Name
	}
	s.Jobs[Drill], s.Jobs[Verify] = j, verify
	if d.Name.Set != "" && !d.At.IsZero() {
		c := Copy{Name: d.Name, Drilled: d.At, BadDrill: d.Error != "", Verified: verify.Success}
		s.add(s.DrillFrom, c)
	}
}

// merge takes what the notes say where they are newer than the file, as after a downgrade.
func (s *State) merge(taken State) {
	if s.Jobs == nil {
		*s = taken
		return
	}
	if n, m := len(taken.Starts), len(s.Starts); n == 0 || m > 0 && !taken.Starts[n-1].After(s.Starts[m-1]) {
		return
	}
	s.Starts = taken.Starts
	for j, x := range taken.Jobs {
		if j == Snapshot || !x.Attempt.IsZero() {
			s.Jobs[j] = x
		}
	}
	s.DrillFrom = taken.DrillFrom
	for p, i := range taken.Places {
		for _, c := range i.Copies {
			s.copyIn(p, c.Name, func(x *Copy) { c.Size, c.Modified, c.Facts = x.Size, x.Modified, c.WithSizes(x.Facts) })
			s.add(p, c)
		}
	}
	for _, f := range slices.Backward(taken.History) {
		s.remember(f)
	}
}

// dropOldNotes removes what the state file has replaced.
func dropOldNotes(notes Notes, node string) error {
	return errors.Join(notes.RemoveNote(snapshot.RunNote(node)), notes.RemoveNote(snapshot.DrillNote(node)), notes.RemoveNote(snapshot.DamageNote(node)))
}
