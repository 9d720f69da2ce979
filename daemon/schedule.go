package daemon

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/robfig/cron/v3"
)

// ErrSchedule marks a schedule that is invalid or has no run.
var ErrSchedule = errors.New("schedule")

const (
	cronForm = `use five cron fields such as "0 * * * *", @hourly, or @every 15m`
	zoneForm = "use a name such as Europe/Berlin or UTC"
)

// Schedule determines when runs are due: a cron expression plus a fixed delay of this node.
type Schedule struct {
	spec   string
	cron   cron.Schedule
	offset time.Duration
}

// IsZero reports a Schedule that was not parsed, and has no runs.
func (s Schedule) IsZero() bool { return s.cron == nil }

// ParseSchedule parses five cron fields, @hourly and similar, or @every DURATION; CRON_TZ=ZONE before the fields
// sets the time zone, by default that of the process. The node's runs are delayed by a fixed part of jitter, computed
// from the node's name, so it is the same after every restart. Errors wrap ErrSchedule and say what to write instead.
func ParseSchedule(spec string, jitter time.Duration, node string) (Schedule, error) {
	fields := strings.Fields(spec)
	s := Schedule{spec: strings.Join(fields, " "), offset: offset(jitter, node)}
	if len(fields) == 0 {
		return Schedule{}, fmt.Errorf("%w: it is empty: %s", ErrSchedule, cronForm)
	}
	if jitter < 0 {
		return Schedule{}, fmt.Errorf("%w: a jitter of %s is negative", ErrSchedule, jitter)
	}
	zone, fields, err := cutZone(fields)
	if err == nil && fields[0] == "@every" {
		s.cron, err = parseEvery(strings.Join(fields[1:], " "))
	} else if err == nil {
		s.cron, err = parseCalendar(fields, zone)
	}
	if err != nil {
		return Schedule{}, fmt.Errorf("%w: %q%w", ErrSchedule, s.spec, err)
	}
	if s.Next(time.Now()).IsZero() {
		return Schedule{}, fmt.Errorf("%w: %q has no run in the next five years", ErrSchedule, spec)
	}
	return s, nil
}

// cutZone returns the time zone of a schedule and the fields after it. The text of its errors follows the quoted schedule.
func cutZone(fields []string) (*time.Location, []string, error) {
	zone, name, found := time.Local, "", false
	for _, prefix := range []string{"CRON_TZ=", "TZ="} {
		if name, found = strings.CutPrefix(fields[0], prefix); found {
			break
		}
	}
	if found {
		fields = fields[1:]
		switch loaded, err := time.LoadLocation(name); {
		case len(fields) == 0:
			return nil, nil, fmt.Errorf(" has a time zone but no cron fields: %s", cronForm)
		case strings.HasPrefix(fields[0], "TZ=") || strings.HasPrefix(fields[0], "CRON_TZ="): // the library panics if nothing follows
			return nil, nil, errors.New(" has two time zones before the cron fields: remove one")
		case name == "": // for the library, that is UTC
			return nil, nil, fmt.Errorf(": the time zone is empty: %s", zoneForm)
		case err != nil:
			return nil, nil, fmt.Errorf(": unknown time zone %s: %s", name, zoneForm)
		default:
			zone = loaded
		}
	}
	if zone != time.Local {
		return zone, fields, nil
	}
	// Where Go does not know the zone in TZ, the zone of the process is UTC, without an error.
	tz := os.Getenv("TZ")
	if name := strings.TrimPrefix(tz, ":"); name != "" && name != "UTC" && time.Local.String() == "UTC" {
		return nil, nil, fmt.Errorf(": the environment variable TZ is %q, an unknown time zone: %s, or write CRON_TZ=ZONE before the cron fields", tz, zoneForm)
	}
	return zone, fields, nil
}

func parseEvery(text string) (cron.Schedule, error) {
	d, err := ParseDuration(text)
	switch {
	case err != nil:
		return nil, fmt.Errorf(": %q is not a duration like 15m, 12h or 1d", text)
	case d < time.Second: // the library would round it up
		return nil, fmt.Errorf(": %s is shorter than a second", d)
	}
	return cron.Every(d), nil
}

// ParseDuration reads Go's form (90s, 1h30m) and Prometheus's, which has days, weeks and years (7d, 4w, 1y).
func ParseDuration(text string) (time.Duration, error) {
	if d, err := time.ParseDuration(text); err == nil {
		return d, nil
	}
	d, err := model.ParseDuration(text)
	return time.Duration(d), err
}

// Next is the first run after t, in the process's time zone; zero if there is none within five years.
func (s Schedule) Next(t time.Time) time.Time {
	next := s.cron.Next(t.Local().Add(-s.offset))
	if next.IsZero() {
		return next
	}
	return next.Add(s.offset).Local()
}

// Equal reports the same runs.
func (s Schedule) Equal(other Schedule) bool { return s.spec == other.spec && s.offset == other.offset }

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
