// Package status is the state of the backups of one node: the results of the runs, the snapshots in each place, and the problems.
//
// All of it is in one serialisable [State], which is saved in one file next to the snapshots and survives a restart. A [Tracker]
// guards the State; the code that does the work reports each event to it. Metrics, status page, /readyz, log and heartbeat are
// computed from a State.
//
// Invariants: nothing here sends a request to etcd or S3; no text contains a secret; reasons come from fixed sets, never from an
// error's text; problems are compared by their codes.
package status

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"etcd-rolling-backup/snapshot"
)

// State is everything that is known. A zero time means: never, or not known. Fields that are not saved are valid since the start only.
type State struct {
	Jobs    map[Job]JobState    `json:"jobs"`
	Places  map[Place]Inventory `json:"places"`
	Mirror  MirrorState         `json:"mirror"`
	Cluster snapshot.Lineage    `json:"cluster,omitzero"`  // of the member
	Starts  []time.Time         `json:"starts,omitempty"`  // of the daemon within the last hour, in order
	History []Failure           `json:"history,omitempty"` // newest first

	Confirmed  bool         `json:"-"` // the member has said since the start that it is of Cluster
	Enabled    map[Job]bool `json:"-"` // the jobs that this daemon does
	DrillFrom  Place        `json:"drill_from,omitempty"`
	PruneError string       `json:"prune_error,omitempty"` // why the last pruning of the disk failed; "": it did not
	PruneAt    time.Time    `json:"prune_at,omitzero"`     // when it failed
	Resources  Resources    `json:"resources,omitzero"`
	Member     Member       `json:"-"`
	StateFile  StateFile    `json:"-"`
	Stream     Stream       `json:"-"`
	Journal    Journal      `json:"journal,omitzero"`
	Counters   Counters     `json:"-"`
}

// JobState is the state of one job: its last runs, and when it is due next.
type JobState struct {
	Attempt  time.Time     `json:"attempt,omitzero"` // when the last run began
	Success  time.Time     `json:"success,omitzero"` // when the last successful run ended
	Settled  time.Time     `json:"settled,omitzero"` // last success, or last skip because there was nothing to do
	Failed   time.Time     `json:"failed,omitzero"`  // when the last failed run ended
	Running  bool          `json:"running,omitempty"`
	Failures int           `json:"failures,omitempty"` // in a row
	Reason   Reason        `json:"reason,omitempty"`   // of the last failure
	Message  string        `json:"message,omitempty"`  // of the last failure
	Name     snapshot.Name `json:"name"`               // the snapshot of the last run; zero: none
	Skipped  Reason        `json:"skipped,omitempty"`  // why the last run was skipped; "": it was not
	// SkippedBecause is the message of that skip; "": there is none.
	SkippedBecause string `json:"skipped_because,omitempty"`

	Next time.Time `json:"next,omitzero"` // when the next run begins, which may be a retry
	// Due is when the run that is not yet done was or is due. A retry does not move it.
	Due      time.Time     `json:"due,omitzero"`
	Interval time.Duration `json:"-"` // of the schedule after Next
}

// Because returns the message of the last failure, or its reason if there is no message.
func (j JobState) Because() string {
	return cmp.Or(j.Message, string(j.Reason))
}

// Inventory is the list of this node's snapshots in one place.
type Inventory struct {
	// Others are snapshots of this node's name that another cluster took, newest first. They are not counted and not touched.
	Others []Copy `json:"others,omitempty"`
	// Nodes are snapshots of other nodes, as far as they were looked at, in any order.
	Nodes []Copy `json:"nodes,omitempty"`
	// NodesListed is when all nodes' snapshots in S3 were listed; zero: never. That is done rarely.
	NodesListed time.Time `json:"nodes_listed,omitzero"`

	Copies []Copy `json:"copies,omitempty"` // newest first; from the last process, until Listed
	Broken []Copy `json:"broken,omitempty"` // on the disk: NAME.broken files, newest first
	Listed bool   `json:"-"`                // it was listed since the start
	Error  string `json:"-"`                // why the last listing failed; "": it did not
}

// Copy is one snapshot in one place.
type Copy struct {
	Name     snapshot.Name `json:"name"`
	Size     int64         `json:"size"`              // of the archive, in bytes
	Modified time.Time     `json:"modified,omitzero"` // when this copy was written; zero: not known
	snapshot.Facts
	Sent     bool      `json:"sent,omitempty"`      // this node's daemon has uploaded it
	Verified time.Time `json:"verified,omitzero"`   // when it was last read in full and found intact
	Drilled  time.Time `json:"drilled,omitzero"`    // when its last drill was
	BadDrill bool      `json:"bad_drill,omitempty"` // that drill failed
	Damage   string    `json:"damage,omitempty"`    // how it is damaged; "": not known to be
	Found    time.Time `json:"found,omitzero"`      // when the damage was found
}

// MirrorState says what S3 lacks.
type MirrorState struct {
	Pending      []snapshot.Name `json:"pending,omitempty"`      // not uploaded yet
	PendingSince time.Time       `json:"pending_since,omitzero"` // since when S3 is behind, until a pass uploads everything; zero: it is not
	LostPending  int             `json:"lost_pending,omitempty"` // pending ones that were pruned on the disk since then
	UnmirroredAt time.Time       `json:"unmirrored_at,omitzero"` // when a pending one was last pruned on the disk
	Locked       int             `json:"locked,omitempty"`       // to be pruned, but protected by Object Lock
	Taken        snapshot.Name   `json:"taken,omitzero"`         // the last one under whose name S3 had something else
	TakenAt      time.Time       `json:"taken_at,omitzero"`      // when that was found; zero: never
}

// Failure is one error, or several equal ones in a row.
type Failure struct {
	At      time.Time     `json:"at"`    // the last time
	Since   time.Time     `json:"since"` // the first time
	Times   int           `json:"times"`
	Job     Job           `json:"job,omitempty"` // "": damage found outside of a run, or with the reason Disk: failed pruning
	Place   Place         `json:"place,omitempty"`
	Name    snapshot.Name `json:"name"`
	Reason  Reason        `json:"reason,omitempty"`
	Message string        `json:"message,omitempty"`
}

// clone returns a deep copy, except for slices that are never changed in place.
func (s State) clone() State {
	s.Jobs, s.Places, s.Enabled = maps.Clone(s.Jobs), maps.Clone(s.Places), maps.Clone(s.Enabled)
	for p, i := range s.Places {
		i.Copies, i.Broken = slices.Clone(i.Copies), slices.Clone(i.Broken)
		i.Others, i.Nodes = slices.Clone(i.Others), slices.Clone(i.Nodes)
		s.Places[p] = i
	}
	s.Mirror.Pending, s.Starts, s.History = slices.Clone(s.Mirror.Pending), slices.Clone(s.Starts), slices.Clone(s.History)
	s.Counters = s.Counters.clone()
	s.Resources.Gone = slices.Clone(s.Resources.Gone)
	s.Journal.Local.Ranges, s.Journal.Bucket.Ranges = slices.Clone(s.Journal.Local.Ranges), slices.Clone(s.Journal.Bucket.Ranges)
	return s
}

// Ready reports whether the disk was listed since the start, or the listing failed. Before that the State may be out of date.
func (s State) Ready() bool { return s.Places[Local].Listed || s.Places[Local].Error != "" }

// Newest returns the newest snapshot in all places, except those dated in the future, which come from a wrong clock.
func (s State) Newest(now time.Time) (Copy, bool) {
	var out Copy
	found := false
	for _, p := range Places() {
		for _, c := range s.Places[p].Copies {
			if s.counts(p) && !c.Name.Time.After(now) && (!found || c.Name.Time.After(out.Name.Time)) {
				out, found = s.Described(c), true
			}
		}
	}
	return out, found
}

// counts reports whether the place is in use: S3 is, if there is a mirror.
func (s State) counts(p Place) bool { return p == Local || s.Enabled[Mirror] }

// Described returns c with the details of another place's copy of the same size, if c has none.
func (s State) Described(c Copy) Copy {
	if c.RawSize != 0 || c.Revision != 0 {
		return c
	}
	for _, i := range s.Places {
		for _, x := range i.Copies {
			if x.Name == c.Name && x.Size == c.Size && (x.RawSize != 0 || x.Revision != 0) {
				c.Facts = c.WithSizes(x.Facts)
			}
		}
	}
	return c
}

// Damage is a copy that was found damaged and still exists.
type Damage struct {
	Place Place
	Copy
}

// Damages returns all copies known to be damaged, newest first, except a NAME.broken file next to an intact NAME that
// replaced it.
func (s State) Damages() []Damage {
	var out []Damage
	for _, p := range Places() {
		for _, c := range s.Places[p].Broken {
			if !slices.ContainsFunc(s.Places[p].Copies, func(x Copy) bool { return x.Name == c.Name }) {
				out = append(out, Damage{p, c})
			}
		}
		for _, c := range slices.Concat(s.Places[p].Copies, s.Places[p].Others) {
			if c.Damage != "" && s.counts(p) {
				out = append(out, Damage{p, c})
			}
		}
	}
	slices.SortStableFunc(out, func(a, b Damage) int { return NewestFirst(a.Copy, b.Copy) })
	return out
}
