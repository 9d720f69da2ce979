package daemon

import (
	"errors"
	"time"

	"github.com/sirupsen/logrus"

	"etcd-rolling-backup/daemon/status"
)

// DrilledJournal is what a drill found of the journal. Zero: there is none.
type DrilledJournal struct {
	Revision int64         // up to which the snapshot was restored with the journal; 0: it was restored alone
	Err      error         // why it was restored alone: the journal is at fault; an ErrSkipped if there was no room
	Proof    *JournalProof // nil: no journal leads from the snapshot before to this one
	Unproven error         // why that could not be looked at
}

// JournalProof compares the journal with the next snapshot: the snapshot before it and the journal must have the same keys, revisions and values.
type JournalProof struct {
	From, To int64 // revisions of the two snapshots
	Took     time.Duration
	Err      error // nil: they are equal
}

// journalDrilled records and logs what a drill found of the journal. A failure of the journal is none of the snapshot's.
func (d *Daemon) journalDrilled(j DrilledJournal, now time.Time, log logrus.FieldLogger) {
	proven := status.Proof{At: now}
	failed := j.Err
	switch {
	case errors.Is(j.Err, ErrSkipped):
		log.WithError(j.Err).Warn("restore drill of the journal skipped; the snapshot was restored alone")
		failed = nil
	case j.Err != nil:
		log.WithError(j.Err).Error("restore drill of the journal failed: only the snapshot can be restored")
	case j.Revision > 0:
		proven.Restored = j.Revision
		log.WithField("journal_revision", j.Revision).Info("restore drill of the journal passed")
	}
	if j.Unproven != nil {
		log.WithError(j.Unproven).Warn("comparing the journal with the next snapshot was skipped")
	}
	if p := j.Proof; p != nil {
		log := log.WithField("proof_seconds", seconds(p.Took))
		if p.Err != nil {
			failed = errors.Join(failed, p.Err)
			log.WithError(p.Err).Error("the journal does not lead to the next snapshot: what is restored with it may be wrong")
		} else {
			proven.From, proven.To = p.From, p.To
			log.WithFields(logrus.Fields{"from_revision": p.From, "to_revision": p.To}).Info("journal proven: it leads exactly to the next snapshot")
		}
	}
	if failed != nil {
		proven.Message = failed.Error()
	}
	if proven != (status.Proof{At: now}) {
		d.Status.SetJournal(func(s *status.Journal) { s.Prove(proven) })
	}
}
