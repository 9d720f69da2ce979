package daemon_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"etcd-rolling-backup/daemon"
)

func drawSpec(t *rapid.T) string {
	if word := rapid.SampledFrom([]string{"", "", "", "@hourly", "@daily", "@weekly", "@every 1s", "@every 7m", "@every 36h"}).Draw(t, "word"); word != "" {
		return word
	}
	zone := rapid.SampledFrom([]string{"", "", "CRON_TZ=Europe/Berlin ", "TZ=Asia/Kolkata ", "CRON_TZ=America/Sao_Paulo "}).Draw(t, "zone")
	minute := rapid.SampledFrom([]string{"*", "0", "30", "*/7", "59", "5,50", "10-20/5"}).Draw(t, "minute")
	hour := rapid.SampledFrom([]string{"*", "0", "2", "23", "*/6", "1,3"}).Draw(t, "hour")
	days := rapid.SampledFrom([]string{"* * *", "* * *", "1 * *", "31 * *", "29 2 *", "* * 0", "* 3,10 *", "15 * 5"}).Draw(t, "days")
	return zone + minute + " " + hour + " " + days
}

func drawTime(t *rapid.T) time.Time {
	// Forty years to the nanosecond, and often on or next to the full minute.
	at := time.Unix(rapid.Int64Range(946684800, 2208988800).Draw(t, "second"), 0)
	if rapid.Bool().Draw(t, "full minute") {
		at = at.Truncate(time.Minute)
	}
	return at.Add(time.Duration(rapid.SampledFrom([]int64{0, 0, 1, -1, 999_999_999}).Draw(t, "ns")))
}

func drawJitter(t *rapid.T) time.Duration {
	return time.Second * time.Duration(rapid.IntRange(0, 86_400).Draw(t, "jitter"))
}

func drawNode(t *rapid.T) string { return rapid.StringMatching(`[a-z0-9]{1,12}`).Draw(t, "node") }

func TestNextRunIsLater(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := parse(t, drawSpec(t), drawJitter(t), drawNode(t))
		at := drawTime(t)
		next := s.Next(at)
		switch {
		case !next.After(at):
			t.Fatalf("%s: the next run after %s is %s", s, at, next)
		case next.Nanosecond() != 0:
			t.Fatalf("%s: the run at %s is not on the full second", s, next)
		}
	})
}

// Jitter shifts all runs by one and the same share, so there is one in each interval still.
func TestJitterShiftsEveryRunBySameShare(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		spec, jitter, name := drawSpec(t), drawJitter(t), drawNode(t)
		plain, shifted, by := parse(t, spec, 0, name), parse(t, spec, jitter, name), share(t, jitter, name)
		from := drawTime(t)
		p, s := from, from.Add(by)
		for range 5 {
			if p, s = plain.Next(p), shifted.Next(s); s.Sub(p) != by {
				t.Fatalf("%s: the run at %s is shifted by %s, others by %s", spec, p, s.Sub(p), by)
			}
		}
	})
}

func TestJitterKeepsTheNumberOfRunsADay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		spec := rapid.SampledFrom([]string{"0 * * * *", "*/15 * * * *", "7 */3 * * *", "30 6,18 * * *", "@daily"}).Draw(t, "spec")
		jitter, name, from := drawJitter(t), drawNode(t), drawTime(t)
		plain, shifted := runsADay(parse(t, spec, 0, name), from), runsADay(parse(t, spec, jitter, name), from)
		if plain != shifted {
			t.Fatalf("%s: %d runs a day, %d with a jitter of %s", spec, plain, shifted, jitter)
		}
	})
}

func runsADay(s daemon.Schedule, from time.Time) int {
	n, end := 0, from.Add(24*time.Hour)
	for next := s.Next(from); !next.After(end); next = s.Next(next) {
		n++
	}
	return n
}

// Whatever is written in a configuration file, parsing ends with a schedule or an error.
func TestParseScheduleNeverPanics(t *testing.T) {
	parts := rapid.SampledFrom([]string{
		"TZ=", "CRON_TZ=", "UTC", "Europe/Berlin", "=", " ", "\t", "\n", "@every", "@", "@hourly", "1h", "-1s", "99999999999h",
		"*", "/", "-", ",", "?", "0", "7", "59", "4294967296", "-1", "mon", "jan", "L", "*/2", "1-5", "\x00", "ä",
	})
	rapid.Check(t, func(t *rapid.T) {
		spec := strings.Join(rapid.SliceOfN(parts, 0, 12).Draw(t, "parts"), rapid.SampledFrom([]string{"", " "}).Draw(t, "glue"))
		at := drawTime(t)
		s, err := daemon.ParseSchedule(spec, 0, node)
		switch {
		case err == nil && !s.Next(at).After(at):
			t.Fatalf("%q: the next run after %s is %s", spec, at, s.Next(at))
		case err != nil && !errors.Is(err, daemon.ErrSchedule):
			t.Fatalf("%q: error %v, want one that wraps ErrSchedule", spec, err)
		}
	})
}
