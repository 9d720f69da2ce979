package metrics

import "time"

// Snapshot is one snapshot as the recorders take it. Sizes are in bytes; what is not known is 0.
type Snapshot struct {
	Name     string
	Time     time.Time // when it was taken
	Modified time.Time // when the copy came to be that lies there; zero: not known
	Size     int64     // of the archive
	RawSize  int64     // before compression
	Revision int64
	Wanted   time.Time // since when S3 is to hold it, where that is later than Time; zero: since then
}

// state is all that is known. Metrics guards it; its own methods lock nothing and do no I/O.
type state struct {
	switched map[Kind]bool  // which kinds of work there are
	rebuilt  bool           // what was there before the start is known
	plans    map[Kind]*plan // of the kinds that have a schedule
	tracks   map[Kind]*track
	starts   []time.Time          // of the daemon, of late
	stock    map[Place][]Snapshot // newest first; a missing key: not known
	waiting  []Snapshot
	missed   time.Time // since when the first of those waited that were pruned here meanwhile, with nothing newer in S3
	missedAt time.Time // when such a one was pruned last
	unseen   int       // how many of them there are since then
	emptied  time.Time // when S3 was found to hold nothing of ours, which it can't be behind with for longer
	fresh    Snapshot  // the newest that this process took, until it is in S3
	freshAt  time.Time
	locked   int
	unlisted string // why the directory could not be read when it was last looked at; "": it could
	unpruned string // why the policy's removals from the disk failed the last time; "": they did not
	past     []Past // oldest first
	blank    bool   // nothing was known of the past at the start
	marks    map[string]mark
	broken   map[copyOf]finding // the copies that were found damaged
	proves   Place              // whose copies are verified and drilled
	problems []problem          // newest first
	others   func() []string    // further reasons, nil: there are none
	member   member
}

// plan is what a schedule has in store for one kind of work.
type plan struct {
	next time.Time
	// due is when the run was due that has neither succeeded nor been settled otherwise yet; trying it again does not move it.
	due      time.Time
	interval time.Duration
}

// track is the recent past of one kind of work.
type track struct {
	attempt, success time.Time
	settled          time.Time // last success, or skip that left nothing to do
	failed           time.Time // last failure
	running          bool
	failures         int // in a row
	reason           Reason
	message          string
	name             string // of the snapshot that the last run was about; "" if none
	skipped          Reason // why the last run was left out; "": it was not
}

// mark is what is known of one snapshot beyond where it lies. Zero times: not yet.
type mark struct {
	verified, drilled time.Time // of the copy in the place that is proved
	undrill           bool      // the last drill failed
	ahead             bool      // it was dated in the future when it was seen first: when it was taken is not known
	raw, revision     int64     // from the manifest, which nobody reads in S3; 0: not known
}

func newState(kindsOn ...Kind) *state {
	s := &state{
		switched: map[Kind]bool{Snapshots: true}, tracks: map[Kind]*track{},
		stock: map[Place][]Snapshot{}, marks: map[string]mark{}, broken: map[copyOf]finding{}, plans: map[Kind]*plan{},
	}
	for _, k := range scheduled() {
		s.plans[k] = &plan{}
	}
	for _, k := range kindsOn {
		s.switched[k] = true
	}
	for _, k := range kinds() {
		s.tracks[k] = &track{}
	}
	return s
}

// stamp moves *t to at. Before the state is rebuilt it only moves forward, so that old times may come in any order; later
// it follows the clock, which may be set back.
func (s *state) stamp(t *time.Time, at time.Time) {
	if s.rebuilt || at.After(*t) {
		*t = at
	}
}

func (s *state) attempt(k Kind, at time.Time) {
	t := s.tracks[k]
	s.stamp(&t.attempt, at)
	t.running = s.rebuilt
}

func (s *state) succeeded(k Kind, at time.Time, name string) {
	t := s.tracks[k]
	if !t.running { // nobody told of its begin
		s.stamp(&t.attempt, at)
	}
	s.stamp(&t.success, at)
	s.stamp(&t.settled, at)
	t.running, t.skipped = false, ""
	if s.rebuilt || at.After(t.failed) {
		t.failures, t.reason, t.message, t.name = 0, "", "", name
	}
	s.settle(k)
}

// settle ends the run that was due. Work without a schedule has none.
func (s *state) settle(k Kind) {
	if p := s.plans[k]; p != nil {
		p.due = time.Time{}
	}
}

func (s *state) failed(k Kind, at time.Time, name string, r Reason, message string) {
	t := s.tracks[k]
	if !t.running { // nobody told of its begin
		s.stamp(&t.attempt, at)
	}
	t.running, t.skipped = false, ""
	message = oneLine(message)
	if s.rebuilt || at.After(t.settled) {
		t.failures++
		s.stamp(&t.failed, at)
		t.reason, t.message, t.name = r, message, name
	}
	s.remember(problem{At: at, Kind: k, Name: name, Reason: r, Message: message})
	if k == Snapshots && r == Unreachable && s.rebuilt {
		s.member.unheard(at)
	}
}

// skip settles a run, unless something was in its way: then it is still to be done.
func (s *state) skip(k Kind, at time.Time, r Reason) {
	t := s.tracks[k]
	t.running, t.skipped = false, r
	if k != Snapshots && r != NoSnapshot {
		return
	}
	s.stamp(&t.settled, at)
	s.settle(k)
	if k == Snapshots {
		// Verifications and drills that did not take place mend no failure.
		t.failures, t.reason, t.message = 0, "", ""
	}
}

func (s *state) schedule(k Kind, next time.Time, interval time.Duration) {
	p := s.plans[k]
	if p == nil {
		return
	}
	p.next, p.interval = next, interval
	if p.due.IsZero() || next.Before(p.due) {
		p.due = next
	}
}
