package daemon

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
)

// ErrSchedule marks a schedule that can't be read or never comes due.
var ErrSchedule = errors.New("schedule")

// Schedule tells when runs are due: a cron expression, moved by an offset of this node's own.
type Schedule struct {
	spec   string
	cron   cron.Schedule
	offset time.Duration
}

// ParseSchedule reads five cron fields, @hourly and the like, or @every DURATION; CRON_TZ=ZONE before the fields
// sets the time zone, which is the process's own otherwise. The node's runs come a fixed part of jitter later: it
// follows from the node's name alone, so it is the same after every restart. Errors wrap ErrSchedule.
func ParseSchedule(spec string, jitter time.Duration, node string) (Schedule, error) {
	fields := strings.Fields(spec)
	if len(fields) == 0 {
		return Schedule{}, fmt.Errorf("%w: it is empty", ErrSchedule)
	}
	// The library slices out of bounds where no blank follows the zone; a tab is none to it.
	if zoned := strings.HasPrefix(fields[0], "CRON_TZ=") || strings.HasPrefix(fields[0], "TZ="); zoned && len(fields) < 2 {
		return Schedule{}, fmt.Errorf("%w: %q has a time zone and no fields", ErrSchedule, spec)
	}
	if err := checkEvery(fields); err != nil {
		return Schedule{}, fmt.Errorf("%w: %q: %w", ErrSchedule, spec, err)
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
		return Schedule{}, fmt.Errorf("%w: %q never comes due", ErrSchedule, spec)
	}
	return s, nil
}

// Next is the first run after t, in the process's time zone; zero when there is none in five years.
func (s Schedule) Next(t time.Time) time.Time {
	// Without CRON_TZ the library reads the fields in the zone of the time it is given, and names carry UTC.
	next := s.cron.Next(t.Local().Add(-s.offset))
	if next.IsZero() {
		return next
	}
	return next.Add(s.offset)
}

// String is the expression, with single blanks.
func (s Schedule) String() string { return s.spec }

// checkEvery refuses what the library would round up to a second.
func checkEvery(fields []string) error {
	last := len(fields) - 1
	if last == 0 || fields[last-1] != "@every" {
		return nil
	}
	if d, err := time.ParseDuration(fields[last]); err == nil && d < time.Second {
		return fmt.Errorf("%s is shorter than a second", d)
	}
	return nil
}

func offset(jitter time.Duration, node string) time.Duration {
	if jitter < time.Second {
		return 0
	}
	// Names differ in their last letter often and in nothing else; a weaker hash keeps those close together.
	h := sha256.Sum256([]byte(node))
	seconds := uint64(jitter / time.Second)
	return time.Duration(binary.BigEndian.Uint64(h[:])%seconds) * time.Second //nolint:gosec // less than jitter
}
