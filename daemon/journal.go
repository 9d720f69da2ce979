package daemon

import (
	"context"
	"time"

	"github.com/sirupsen/logrus"

	"etcd-rolling-backup/daemon/status"
)

const (
	// journalStart is how long the first cycle waits for the journal's watch.
	journalStart = 3 * time.Second
	// firstJournalPause is the wait after a first failure; it doubles with each more up to maxJournalPause. What changes meanwhile may be compacted.
	firstJournalPause = 500 * time.Millisecond
	maxJournalPause   = status.JournalPause
)

// Journal connects to etcd, and records until that or ctx ends. It returns why, never nil. It completes what it has begun first.
type Journal interface {
	Record(ctx context.Context, events JournalEvents) error
	// Reason returns the class of such an error.
	Reason(err error) status.Reason
}

// JournalEvents is what a journal reports. Its methods do not block.
type JournalEvents interface {
	// Opened: a watch is open.
	Opened(JournalStart)
	// Reached: the journal has all revisions up to this one, of which the newest was received at that time; the member is at head.
	Reached(revision int64, at time.Time, head int64)
	// Sealed: a segment is complete.
	Sealed()
	// NeedBase: the journal needs a new snapshot; "": the newest one will do.
	NeedBase(reason string)
}

// JournalStart is how a watch begins.
type JournalStart struct {
	Endpoint string
	Revision int64  // with which it begins
	New      string // why it does not continue what was recorded before; "": it does
	Gap      bool   // something was recorded before, and revisions are missing between the two
}

// journal is the JournalEvents of one recording.
type journal struct{ *Daemon }

// journalLoop records again and again. It runs alongside the cycles, and nothing that it does fails a snapshot.
func (d *Daemon) journalLoop(ctx context.Context) {
	d.Status.SetJournal(func(j *status.Journal) { j.On, j.Since, j.Running = true, d.clock(), false })
	for failures := 0; ctx.Err() == nil; {
		j, began := &journal{d}, d.clock()
		err := d.Journal.Record(ctx, j)
		j.first()
		if ctx.Err() != nil {
			break
		}
		if failures++; d.clock().Sub(began).Abs() > 2*maxJournalPause {
			failures = 1
		}
		d.journalStopped(err)
		await(ctx, min(firstJournalPause<<min(failures-1, 16), maxJournalPause), nil)
	}
	d.Status.SetJournal(func(j *status.Journal) { j.Running, j.Since = false, d.clock() })
	if revision := d.Status.State().Journal.Revision; revision > 0 { // otherwise it has never begun
		d.Log.WithField("revision", revision).Info("journal stopped")
	}
}

// first lets the first cycle begin.
func (j *journal) first() {
	select {
	case <-j.recording:
	default:
		close(j.recording)
	}
}

// Opened implements JournalEvents.
func (j *journal) Opened(o JournalStart) {
	j.Status.SetJournal(func(s *status.Journal) {
		s.Running, s.Since, s.Reason, s.Message = true, j.clock(), "", ""
		if o.Gap {
			s.Gaps++
		}
	})
	log := j.Log.WithFields(logrus.Fields{"endpoint": o.Endpoint, "revision": o.Revision})
	switch {
	case o.New == "":
		log.Info("journal continues")
	case o.Gap:
		log.WithField("because", o.New).Warn("journal begins again, after a gap")
	default:
		log.WithField("because", o.New).Info("journal begins")
	}
}

// Reached implements JournalEvents.
func (j *journal) Reached(revision int64, at time.Time, head int64) {
	now := j.clock()
	j.Status.SetJournal(func(s *status.Journal) {
		if s.Revision, s.Behind = revision, max(head-revision, 0); s.Behind == 0 {
			s.Confirmed = now
		}
		if !at.IsZero() {
			s.At = at
		}
	})
}

// Sealed implements JournalEvents.
func (j *journal) Sealed() { notifyOne(j.segmentsDue) }

// NeedBase implements JournalEvents.
func (j *journal) NeedBase(reason string) {
	if reason != "" {
		select {
		case j.base <- reason:
		default: // one is wanted already
		}
	}
	j.first()
}

// baseTaken forgets that the journal needs a snapshot.
func (d *Daemon) baseTaken() {
	select {
	case <-d.base:
	default:
	}
}

// journalStopped records why, and logs it once until it changes.
func (d *Daemon) journalStopped(err error) {
	reason, message := d.Journal.Reason(err), err.Error()
	var before status.Journal
	d.Status.SetJournal(func(j *status.Journal) {
		before = *j
		if j.Running {
			j.Since = d.clock()
		}
		j.Running, j.Reason, j.Message = false, reason, message
	})
	log := d.Log.WithError(err).WithField("reason", string(reason))
	if before.Running || before.Reason != reason {
		message := "journal interrupted; snapshots continue"
		if before.Revision == 0 {
			message = "journal not started; snapshots continue"
		}
		log.Warn(message)
	} else {
		log.Debug("journal still interrupted")
	}
}
