package daemon

import (
	"errors"
	"fmt"
	"hash/fnv"
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
	if zoned := strings.HasPrefix(spec, "CRON_TZ=") || strings.HasPrefix(spec, "TZ="); zoned && len(fields) < 2 {
		// The library would slice out of bounds.
		return Schedule{}, fmt.Errorf("%w: %q has a time zone and no fields", ErrSchedule, spec)
	}
	if jitter < 0 {
		return Schedule{}, fmt.Errorf("%w: a jitter of %s is negative", ErrSchedule, jitter)
	}
	c, err := cron.ParseStandard(spec)
	if err != nil {
		return Schedule{}, fmt.Errorf("%w: %q: %w", ErrSchedule, spec, err)
	}
	s := Schedule{spec: spec, cron: c, offset: offset(jitter, node)}
	if s.Next(time.Now()).IsZero() {
		return Schedule{}, fmt.Errorf("%w: %q never comes due", ErrSchedule, spec)
	}
	return s, nil
}

// Next is the first run after t; zero when there is none in five years.
func (s Schedule) Next(t time.Time) time.Time {
	next := s.cron.Next(t.Add(-s.offset))
	if next.IsZero() {
		return next
	}
	return next.Add(s.offset)
}

// String is the expression as it was given.
func (s Schedule) String() string { return s.spec }

func offset(jitter time.Duration, node string) time.Duration {
	if jitter < time.Second {
		return 0
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(node)) // never fails
	// FNV's low bits differ little for names that differ in one letter; the high ones are mixed better.
	seconds := uint64(jitter / time.Second)
	return time.Duration((h.Sum64()>>16)%seconds) * time.Second //nolint:gosec // less than jitter
}
