package status

import (
	"cmp"
	"slices"
	"time"
)

// Journal is the state of the record of changes between snapshots. Zero: it is switched off. Only what the places hold is saved: the
// rest changes each second, and the recorder knows it again soon after a start.
type Journal struct {
	On bool `json:"-"`
	// Segment is how long a segment is written at most, and so the time between two uploads to S3.
	Segment time.Duration `json:"-"`
	// Running: a watch is open, and nothing is known to be missing.
	Running bool      `json:"-"`
	Since   time.Time `json:"-"` // since when it runs, or does not
	// Reason and Message say why it does not run; "": it does, or was never tried. LowSpace: the disk is too full for the journal, but
	// not yet for snapshots.
	Reason  Reason `json:"-"`
	Message string `json:"-"`

	Revision int64     `json:"-"` // the newest one that is on the disk
	At       time.Time `json:"-"` // when it was received
	// Confirmed is when the member last said that it has nothing newer than Revision. It moves also while nobody writes.
	Confirmed time.Time `json:"-"`
	Behind    int64     `json:"-"` // revisions that the member has and the journal has not
	// Mirrored is until when S3 was last seen to have every change: its newest revision was Revision then. The Tracker computes it.
	Mirrored time.Time `json:"-"`

	Local  Segments `json:"local,omitzero"`
	Bucket Segments `json:"bucket,omitzero"`
	Gaps   int      `json:"-"` // that were begun since the start
	Proven Proof    `json:"proven,omitzero"`
	// ProofFailures are the drills since the start that the journal failed.
	ProofFailures int `json:"-"`
	// Waiting are the complete segments that S3 lacks. It is known once S3 was listed.
	Waiting Waiting `json:"-"`
}

// Waiting is how much waits for its upload.
type Waiting struct {
	Known    bool
	Segments int
	Bytes    int64
}

// Segments are those of this node in one place.
type Segments struct {
	Bytes    int64     `json:"bytes,omitempty"`
	Ranges   []Range   `json:"ranges,omitempty"`   // in the order of time; between two is a gap, or a restore of the cluster
	Revision int64     `json:"revision,omitempty"` // the newest one in the place: after a restore there may be higher ones
	At       time.Time `json:"at,omitzero"`        // when it was received
}

// Range is a row of revisions without a gap, and from when to when each moment can be restored; zero: none can.
type Range struct {
	First int64     `json:"first"`
	Last  int64     `json:"last"`
	From  time.Time `json:"from,omitzero"`
	To    time.Time `json:"to,omitzero"`
	// Restored: the cluster was restored between the range before this one, and this one.
	Restored bool `json:"restored,omitempty"`
}

// Period is a time with all its moments, or one between two such.
type Period struct {
	From, To time.Time
	Restored bool // the cluster was restored before it, or in it
}

// SetJournal changes the state of the journal.
func (t *Tracker) SetJournal(change func(*Journal)) {
	t.change(func(s *State) {
		change(&s.Journal)
		j, now := &s.Journal, t.now().Round(0)
		j.Message = oneLine(j.Message)
		for _, at := range []*time.Time{&j.Since, &j.At, &j.Confirmed, &j.Mirrored, &j.Local.At, &j.Bucket.At} { // the clock was set back
			*at = earliest(*at, now)
		}
		if r, _ := s.Journaled(S3, now); j.Revision > 0 && r >= j.Revision {
			j.Mirrored = latest(j.Mirrored, j.known())
		}
	})
}

// loadJournal takes over what the last process knew of the places, but for times in the future, which come from a wrong clock.
func (s *State) loadJournal(saved Journal, now time.Time) {
	if !s.Journal.On {
		return
	}
	for _, p := range []*Segments{&saved.Local, &saved.Bucket} {
		if p.At.After(now) {
			*p = Segments{}
		}
	}
	s.Journal.Local, s.Journal.Bucket = saved.Local, saved.Bucket
	if !saved.Proven.At.After(now) {
		s.Journal.Proven = saved.Proven
	}
}

// Records reports whether the journal misses nothing: a watch is open, and etcd said within two minutes that nothing newer is missing.
func (j Journal) Records(now time.Time) bool {
	return j.Running && now.Sub(cmp.Or(j.known(), j.Since)) <= journalSilence
}

// known is until when the journal on the disk is known to have every change. While it catches up, it receives old changes.
func (j Journal) known() time.Time {
	if j.Behind > 0 {
		return j.Confirmed
	}
	return latest(j.At, j.Confirmed)
}

// segments returns those in a place.
func (j Journal) segments(p Place) Segments {
	if p == S3 {
		return j.Bucket
	}
	return j.Local
}

// Journaled returns the newest revision that can be restored from a place with its journal, or from its newest snapshot if that is newer,
// and when it was received. 0: there is neither. What is dated in the future is of a wrong clock.
func (s State) Journaled(p Place, now time.Time) (revision int64, at time.Time) {
	revision, at = s.newestIntact(p, now)
	j := s.Journal.segments(p)
	if !s.hasBase(p, j) || s.Journal.before(j) {
		return revision, at
	}
	if j.Revision >= revision {
		revision, at = j.Revision, latest(at, j.At)
	}
	if p == Local && s.Journal.Revision >= revision {
		revision, at = s.Journal.Revision, latest(at, s.Journal.At)
	}
	return revision, at
}

// before reports that segments are of the time before a restore: the journal had received less after that, and still has.
func (j Journal) before(of Segments) bool {
	return j.Revision > 0 && of.Revision > j.Revision && !of.At.After(j.known())
}

// newestIntact returns the revision and time of the newest snapshot in a place that is not known to be damaged.
func (s State) newestIntact(p Place, now time.Time) (int64, time.Time) {
	for _, c := range s.Places[p].Copies {
		if c.Damage == "" && !c.Name.Time.After(now) {
			return s.Described(c).Revision, c.Name.Time
		}
	}
	return 0, time.Time{}
}

// hasBase reports whether a place has a snapshot with which its newest segments can be restored. One whose revision is not known may be it.
func (s State) hasBase(p Place, j Segments) bool {
	copies := slices.Concat(s.Places[p].Copies, s.Places[p].Nodes)
	return slices.ContainsFunc(copies, func(c Copy) bool {
		r := s.Described(c).Revision
		return c.Damage == "" && (r == 0 || len(j.Ranges) == 0 || r+1 >= j.Ranges[len(j.Ranges)-1].First)
	})
}

// RecoveryPoint returns until when a place has every change: a restore from it loses what came later. While nobody writes it moves on, as far
// as etcd says so. Zero: the place has nothing, or it is not known.
func (s State) RecoveryPoint(p Place, now time.Time) time.Time {
	_, at := s.Journaled(p, now)
	switch {
	case p == S3:
		return latest(at, s.Journal.Mirrored)
	case s.Journal.Behind > 0:
		_, at = s.newestIntact(p, now)
	}
	return latest(at, s.Journal.known())
}

// Restorable returns the times of which each moment can be restored from a place, oldest first. Between two is a gap.
func (s State) Restorable(p Place) []Period {
	var out []Period
	j, restored := s.Journal.segments(p), false // since the last one
	for i, r := range j.Ranges {
		restored = restored || r.Restored
		x := Period{From: r.From, To: r.To, Restored: restored}
		if i == len(j.Ranges)-1 && r.Last >= s.Journal.Revision { // nobody has written since
			x.To = latest(x.To, map[Place]time.Time{Local: s.Journal.known(), S3: s.Journal.Mirrored}[p])
		}
		if !x.From.IsZero() && !x.To.Before(x.From) {
			out, restored = append(out, x), false
		}
	}
	return out
}

// Gaps returns the times between others, in order.
func Gaps(of []Period) []Period {
	var out []Period
	for i := 1; i < len(of); i++ {
		if of[i].From.After(of[i-1].To) {
			out = append(out, Period{From: of[i-1].To, To: of[i].From, Restored: of[i].Restored})
		}
	}
	return out
}

// latest returns the last of the times.
func latest(times ...time.Time) time.Time { return slices.MaxFunc(times, time.Time.Compare) }

// earliest returns the first of the times.
func earliest(times ...time.Time) time.Time { return slices.MinFunc(times, time.Time.Compare) }
