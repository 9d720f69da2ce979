package status

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"etcd-rolling-backup/snapshot"
)

// Options say which jobs are enabled besides snapshots. A disabled job is not shown and is never overdue.
type Options struct {
	Mirror bool
	Drill  bool
	// DrillFrom is the place whose copies are verified and drilled; "" is Local.
	DrillFrom Place
	// JournalSegment is how long a segment of the journal is written at most; 0: there is no journal.
	JournalSegment time.Duration
	// Ranges says which moments a place can restore with these complete segments of this node; nil: that is not known.
	Ranges func(s State, p Place, segments []snapshot.SegmentEntry) []Range
	// Now is the clock; nil: the wall clock.
	Now func() time.Time
}

// Tracker guards a State and records events in it. Its methods may be called from any goroutine and do nothing on a nil Tracker.
// All except [Tracker.Save] and [Tracker.SetSegments], which read files, return immediately.
type Tracker struct {
	now    func() time.Time
	ranges func(s State, p Place, segments []snapshot.SegmentEntry) []Range

	mu    sync.Mutex
	state State

	saving  sync.Mutex // held while the file is written
	saveErr error      // of the last Save
	saved   []byte     // what it says; nil: not written yet
}

// New makes a Tracker with an empty State. [Open] loads the saved one.
func New(o Options) *Tracker {
	t := &Tracker{now: o.Now, ranges: o.Ranges, state: State{
		Jobs: map[Job]JobState{}, Places: map[Place]Inventory{}, Counters: newCounters(), DrillFrom: cmp.Or(o.DrillFrom, Local),
		Enabled: map[Job]bool{Snapshot: true, Mirror: o.Mirror, Verify: o.Drill, Drill: o.Drill},
		Journal: Journal{On: o.JournalSegment > 0, Segment: o.JournalSegment},
	}}
	if t.now == nil {
		t.now = time.Now
	}
	return t
}

// SetDrills changes which drills this daemon does, between two of them, as a restart does.
func (t *Tracker) SetDrills(enabled bool, from Place) {
	t.change(func(s *State) {
		now := t.now()
		for _, j := range []Job{Verify, Drill} {
			x, was := s.Jobs[j], s.Enabled[j]
			if from != s.DrillFrom { // those were for other copies
				x = JobState{}
			}
			if x.Next = (time.Time{}); !was || x.Due.After(now) { // by the old schedule
				x.Due = time.Time{}
			}
			s.Jobs[j], s.Enabled[j] = x, enabled
		}
		s.DrillFrom = from
	})
}

// State returns a copy of the State.
func (t *Tracker) State() State {
	if t == nil {
		return State{}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.state.clone()
}

// Job returns the state of one job.
func (t *Tracker) Job(j Job) JobState { return t.State().Jobs[j] }

// Problems returns the reasons why the backups are unhealthy now; none: they are healthy.
func (t *Tracker) Problems() []Problem {
	if t == nil {
		return nil
	}
	out := t.State().Problems(t.now())
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.saveErr != nil {
		l := problemList(out)
		p := l.add(CodeUnsaved, time.Time{}, "the status can't be saved, so a restart would forget it: %s", oneLine(t.saveErr.Error()))
		p.under(CodeDiskUnreadable, CodeDirectoryReplaced)
		if r := t.state.Jobs[Snapshot].Reason; r == Disk || r == LowSpace { // the same disk
			p.under(CodeSnapshotsFailing)
		}
		out = Fold(l)
	}
	return out
}

// change runs f on the State under the lock.
func (t *Tracker) change(f func(s *State)) {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	f(&t.state)
}

// job changes the state of one job.
func (s *State) job(j Job, f func(x *JobState)) {
	x := s.Jobs[j]
	f(&x)
	s.Jobs[j] = x
}

// Schedule records when the next run of a job begins, which may be a retry, and the interval until the one after it.
func (t *Tracker) Schedule(j Job, next time.Time, interval time.Duration) {
	t.change(func(s *State) {
		s.job(j, func(x *JobState) {
			x.Next, x.Interval = next, interval
			if x.Due.IsZero() || next.Before(x.Due) {
				x.Due = next
			}
		})
	})
}

// Begin records that a run begins. [Tracker.End], [Tracker.Saved], [Tracker.Mirrored] or [Tracker.Abort] must follow. If the process
// crashes before, the next process finds the interrupted run.
func (t *Tracker) Begin(j Job, at time.Time) {
	t.change(func(s *State) { s.job(j, func(x *JobState) { x.Attempt, x.Running = at, true }) })
}

// Abort records that a run was interrupted by the shutdown of the daemon, which is no failure.
func (t *Tracker) Abort(j Job) {
	t.change(func(s *State) { s.job(j, func(x *JobState) { x.Running = false }) })
}

// Outcome is the result of a run. Without a Reason it was successful.
type Outcome struct {
	Name    snapshot.Name // the snapshot of the run; zero: none
	Reason  Reason        // why it failed or was skipped
	Skipped bool
	Message string        // of a failure or a skip; contains no secret
	Took    time.Duration // duration of a verification or a drill; 0: not known
	Began   time.Time     // of a verification that found damage; if the file was replaced since, it is another one; zero: at its end
	// Keys are the live keys that a drill has counted in the database, and Resources those of each type of Kubernetes; nil: not known.
	Keys      snapshot.Count
	Resources map[string]int64
	Cluster   snapshot.ID // that the drilled snapshot was taken from; the snapshot itself may have been pruned meanwhile
}

// End records how a run ended, except successful runs of the jobs Snapshot and Mirror: see [Tracker.Saved] and [Tracker.Mirrored].
func (t *Tracker) End(j Job, at time.Time, o Outcome) {
	t.change(func(s *State) {
		o.Message = oneLine(o.Message)
		switch {
		case o.Skipped:
			o.Reason = within(o.Reason, SkipReasons(j))
			s.skipped(j, at, o)
		case o.Reason != "":
			o.Reason = within(o.Reason, FailureReasons(j))
			s.failed(j, at, o)
		default:
			s.succeeded(j, at, o.Name)
			s.Counters.observe(map[Job]Stage{Verify: StageVerify, Drill: StageDrill}[j], o.Took)
		}
		s.verdict(j, at, o)
	})
}

// verdict records the result of a verification or a drill in the copy.
func (s *State) verdict(j Job, at time.Time, o Outcome) {
	if o.Skipped || o.Name == (snapshot.Name{}) {
		return
	}
	s.copyIn(s.DrillFrom, o.Name, func(c *Copy) {
		switch {
		case j == Verify && o.Reason == "":
			c.Verified, c.Damage, c.Found = at, "", time.Time{}
		case j == Verify && o.Reason == Damaged && !c.Modified.After(cmp.Or(o.Began, at)):
			c.Damage, c.Found = cmp.Or(o.Message, string(o.Reason)), cmp.Or(o.Began, at)
		case j == Drill:
			c.Drilled, c.BadDrill = at, o.Reason != ""
		}
	})
	if j == Drill && o.Reason == "" {
		s.counted(at, o)
	}
}

func (s *State) succeeded(j Job, at time.Time, name snapshot.Name) {
	s.answered(j)
	s.Counters.Runs[Run{j, Succeeded, ""}]++
	s.job(j, func(x *JobState) {
		x.began(at)
		x.Success, x.Settled, x.Name, x.Skipped, x.SkippedBecause, x.Due = at, at, name, "", "", time.Time{}
		x.Failures, x.Reason, x.Message = 0, "", ""
	})
}

func (s *State) failed(j Job, at time.Time, o Outcome) {
	s.Counters.Runs[Run{j, Failed, o.Reason}]++
	if j == Mirror && o.Reason != Damaged && o.Reason != Disk {
		s.Counters.S3Errors[o.Reason]++
	}
	s.job(j, func(x *JobState) {
		x.began(at)
		x.Failures++
		x.Failed, x.Reason, x.Message, x.Name, x.Skipped, x.SkippedBecause = at, o.Reason, o.Message, o.Name, "", ""
	})
	s.remember(Failure{At: at, Job: j, Name: o.Name, Reason: o.Reason, Message: o.Message})
	if j == Snapshot && o.Reason == Unreachable {
		s.Member.away(at)
	}
}

// answered records that etcd answered a snapshot that was taken or left to another member.
func (s *State) answered(j Job) {
	if j == Snapshot {
		s.Member.Away = time.Time{}
	}
}

// skipped records a skipped run. A drill that was skipped for lack of space, memory or S3 remains due.
func (s *State) skipped(j Job, at time.Time, o Outcome) {
	r := o.Reason
	s.Counters.Runs[Run{j, Skipped, r}]++
	if j == Drill && r != Other && slices.Contains(S3Reasons(), r) { // the bucket did not deliver the snapshot
		s.Counters.S3Errors[r]++
	}
	s.answered(j)
	s.job(j, func(x *JobState) {
		x.Running, x.Skipped, x.SkippedBecause = false, r, o.Message
		if j != Snapshot && r != NoSnapshot {
			return
		}
		x.Settled, x.Due = at, time.Time{}
		if j == Snapshot { // a skipped drill does not end a failure
			x.Failures, x.Reason, x.Message = 0, "", ""
		}
	})
}

// began sets the begin of a run without [Tracker.Begin], such as a verification.
func (x *JobState) began(at time.Time) {
	if !x.Running {
		x.Attempt = at
	}
	x.Running = false
}

// Saved records a successful snapshot. stream is the time from opening etcd's stream to its last byte, sync the time for fsync and
// rename.
func (t *Tracker) Saved(at time.Time, c Copy, stream, sync time.Duration) {
	t.change(func(s *State) {
		s.succeeded(Snapshot, at, c.Name)
		s.Counters.observe(StageStream, stream)
		s.Counters.observe(StageSync, sync)
		if s.Places[Local].Error == "" { // otherwise the other copies there would count as gone
			s.add(Local, c)
			s.sortByCluster()
		}
		if !s.Enabled[Mirror] {
			return
		}
		if len(s.Mirror.Pending) == 0 && s.Mirror.PendingSince.IsZero() {
			s.Mirror.PendingSince = at
		}
		s.Mirror.Pending = append(slices.Clone(s.Mirror.Pending), c.Name)
	})
}
