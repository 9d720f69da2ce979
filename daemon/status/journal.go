package status

import (
	"time"
)

// Journal is the state of the record of changes between snapshots. Zero: it is switched off.
type Journal struct {
	On bool `json:"-"`
	// Running: a watch is open, and nothing is known to be missing.
	Running bool      `json:"-"`
	Since   time.Time `json:"since,omitzero"` // since when it runs, or does not
	// Reason and Message say why it does not run; "": it does, or was never tried.
	Reason  Reason `json:"-"`
	Message string `json:"-"`

	Revision int64     `json:"revision,omitempty"` // the newest one that is on the disk
	At       time.Time `json:"at,omitzero"`        // when it was received
	// Confirmed is when the member last said that it has nothing newer than Revision.
	Confirmed time.Time `json:"confirmed,omitzero"`
	Behind    int64     `json:"behind,omitempty"` // revisions that the member has and the journal has not

	Local  Segments `json:"local,omitzero"`
	Bucket Segments `json:"bucket,omitzero"`
	Gaps   int      `json:"gaps,omitempty"` // that were begun since the start
}

// Segments are those of this node in one place.
type Segments struct {
	Bytes    int64     `json:"bytes,omitempty"`
	Ranges   []Range   `json:"ranges,omitempty"`   // in order; between two is a gap
	Revision int64     `json:"revision,omitempty"` // the newest one in the place
	At       time.Time `json:"at,omitzero"`        // when it was received
}

// Range is a row of revisions without a gap, and when they were received, as far as it is known.
type Range struct {
	First int64     `json:"first"`
	Last  int64     `json:"last"`
	From  time.Time `json:"from,omitzero"`
	To    time.Time `json:"to,omitzero"`
}

// SetJournal changes the state of the journal.
func (t *Tracker) SetJournal(change func(*Journal)) {
	t.change(func(s *State) { change(&s.Journal) })
}
