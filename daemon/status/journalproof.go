package status

import "time"

// Proof is what the last drills found of the journal.
type Proof struct {
	At       time.Time `json:"at,omitzero"`        // of the last drill with a journal
	Restored int64     `json:"restored,omitempty"` // the revision up to which a snapshot was restored with the journal
	From     int64     `json:"from,omitempty"`     // the journal led from this revision, a snapshot's,
	To       int64     `json:"to,omitempty"`       // exactly to this one, the next snapshot's
	Proven   time.Time `json:"proven,omitzero"`    // when a drill last showed that a journal leads exactly to the next snapshot
	Message  string    `json:"message,omitempty"`  // why the journal, or what was restored with it, is wrong; "": it is not
}

// Prove records a drill. What it did not look at stays as it was.
func (j *Journal) Prove(p Proof) {
	if p.Proven = j.Proven.Proven; p.To > 0 {
		p.Proven = p.At
	}
	if p.Message != "" {
		j.ProofFailures++
	} else {
		if p.Restored == 0 {
			p.Restored = j.Proven.Restored
		}
		if p.To == 0 {
			p.From, p.To = j.Proven.From, j.Proven.To
		}
	}
	p.Message = oneLine(p.Message)
	j.Proven = p
}

// journalProof reports a journal that failed a drill. Snapshots are not affected.
func (s State) journalProof(l *problemList) {
	if p := s.Journal.Proven; p.Message != "" {
		l.add(CodeJournalWrong, p.At, "the journal failed the restore drill at %s, and the snapshot alone passed: %s (%s)", Absolute(p.At), p.Message, journalWrongSection)
	}
}
