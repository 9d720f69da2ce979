package daemon

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
)

// ErrSchedule marks a schedule that is invalid or has no run.
var ErrSchedule = errors.New("schedule")

// Schedule determines when runs are due: a cron expression plus a fixed delay of this node.
type Schedule struct {
	spec   string
	cron   cron.Schedule
	offset time.Duration
}

// ParseSchedule parses five cron fields, @hourly and similar, or @every DURATION; CRON_TZ=ZONE before the fields
// sets the time zone, by default that of the process. The node's runs are delayed by a fixed part of jitter, computed
// from the node's name, so it is the same after every restart. Errors wrap ErrSchedule.
func ParseSchedule(spec string, jitter time.Duration, node string) (Schedule, error) {
	fields := strings.Fields(spec)
	if len(fields) == 0 {
		return Schedule{}, fmt.Errorf("%w: it is empty", ErrSchedule)
	}
	// The library panics if no space follows the zone; a tab does not count as one.
	if zoned := strings.HasPrefix(fields[0], "CRON_TZ=") || strings.HasPrefix(fields[0], "TZ="); zoned && len(fields) < 2 {
		return Schedule{}, fmt.Errorf("%w: %q has a time zone but no cron fields", ErrSchedule, spec)
	}
	// The library would round it up to a second.
	if d, err := time.ParseDuration(fields[len(fields)-1]); err == nil && d < time.Second && slices.Contains(fields, "@every") {
		return Schedule{}, fmt.Errorf("%w: %q: %s is shorter than a second", ErrSchedule, spec, d)
	}
	if jitter < 0 {
		return Schedule{}, fmt.Errorf("%w: a jitter of %s is negative", ErrSchedule, jitter)
	}
	c, err := cron.ParseStandard(strings.Join(fields, " "))
	if err != nil {
		return Schedule{}, fmt.Errorf("%w: %q: %w", ErrSchedule, spec, err)
	}
	s := Schedule{spec: strings.Join(fields, " "), cron: c, offset: offset(jitter, node)}
	if s.Next(time.Now()).IsZero() {
		return Schedule{}, fmt.Errorf("%w: %q has no run in the next five years", ErrSchedule, spec)
	}
	return s, nil
}

// Next is the first run after t, in the process's time zone; zero if there is none within five years.
func (s Schedule) Next(t time.Time) time.Time {
	// Without CRON_TZ the library evaluates the fields in the time zone of its argument, and snapshot names are in UTC.
	next := s.cron.Next(t.Local().Add(-s.offset))
	if next.IsZero() {
		return next
	}
	return next.Add(s.offset)
}

// String is the expression, with single spaces.
func (s Schedule) String() string { return s.spec }

func offset(jitter time.Duration, node string) time.Duration {
	if jitter < time.Second {
		return 0
	}
	// Names often differ in their last character only; a weaker hash would give similar values for them.
	h := sha256.Sum256([]byte(node))
	seconds := uint64(jitter / time.Second)
	return time.Duration(binary.BigEndian.Uint64(h[:])%seconds) * time.Second //nolint:gosec // less than jitter
}

// ErrSkipped marks a run that was left to another member, and a drill that was skipped.
var ErrSkipped = errors.New("skipped")

// Role selects the members of a cluster that take snapshots.
type Role string

// The roles of --only-on.
const (
	RoleAny      Role = "any"
	RoleLeader   Role = "leader"
	RoleFollower Role = "follower"
)

// ParseRole parses --only-on.
func ParseRole(s string) (Role, error) {
	switch r := Role(s); r {
	case RoleAny, RoleLeader, RoleFollower:
		return r, nil
	}
	return "", fmt.Errorf("%q is not leader, follower or any", s)
}

// Choose returns nil if this member must take the snapshot, according to its own status, and ErrSkipped otherwise. A member that knows
// no leader always takes it: it may have the last copy of the data. So does the only voting member: there is no other one.
func (r Role) Choose(leader, healthy bool, voters int) error {
	switch {
	case r == RoleAny || !healthy || voters == 1 || leader == (r == RoleLeader):
		return nil
	case leader:
		return fmt.Errorf("%w: the member is the leader", ErrSkipped)
	default:
		return fmt.Errorf("%w: the member is a follower", ErrSkipped)
	}
}
