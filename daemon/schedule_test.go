package daemon_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"etcd-rolling-backup/daemon"
)

func parse(t rapid.TB, spec string, jitter time.Duration, node string) daemon.Schedule {
	t.Helper()
	s, err := daemon.ParseSchedule(spec, jitter, node)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func at(t *testing.T, s string) time.Time {
	t.Helper()
	v, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// wantNext checks the runs after a moment; the times are compared as moments, not by zone.
func wantNext(t *testing.T, s daemon.Schedule, after string, want ...string) {
	t.Helper()
	next := at(t, after)
	for _, w := range want {
		next = s.Next(next)
		if !next.Equal(at(t, w)) {
			t.Fatalf("%s after %s: %s, want %s", s, after, next.UTC().Format(time.RFC3339), at(t, w).UTC().Format(time.RFC3339))
		}
	}
}

func TestScheduleGivesTheNextRuns(t *testing.T) {
	for _, tc := range []struct {
		spec, after string
		want        []string
	}{
		{"0 * * * *", "2026-03-01T10:20:30Z", []string{"2026-03-01T11:00:00Z", "2026-03-01T12:00:00Z"}},
		{"0 * * * *", "2026-03-01T11:00:00Z", []string{"2026-03-01T12:00:00Z"}},
		{"0 * * * *", "2026-03-01T10:59:59Z", []string{"2026-03-01T11:00:00Z"}},
		{"*/20 6-7 * * *", "2026-03-01T06:30:00Z", []string{"2026-03-01T06:40:00Z", "2026-03-01T07:00:00Z", "2026-03-01T07:20:00Z", "2026-03-01T07:40:00Z", "2026-03-02T06:00:00Z"}},
		{"30 2 * * sun", "2026-03-02T00:00:00Z", []string{"2026-03-08T02:30:00Z", "2026-03-15T02:30:00Z"}},
		{"0 0 29 2 *", "2026-03-01T00:00:00Z", []string{"2028-02-29T00:00:00Z"}},
		{"@hourly", "2026-03-01T10:20:30Z", []string{"2026-03-01T11:00:00Z"}},
		{"@daily", "2026-03-01T10:20:30Z", []string{"2026-03-02T00:00:00Z"}},
		{"@every 15m", "2026-03-01T10:20:30Z", []string{"2026-03-01T10:35:30Z", "2026-03-01T10:50:30Z"}},
		{"@every 1s", "2026-03-01T10:20:30Z", []string{"2026-03-01T10:20:31Z"}},
		{"  0\t*  * * * ", "2026-03-01T10:20:30Z", []string{"2026-03-01T11:00:00Z"}},
		{"CRON_TZ=Asia/Kolkata 0 0 * * *", "2026-03-01T10:00:00Z", []string{"2026-03-01T18:30:00Z"}},
		{"TZ=Asia/Kolkata @daily", "2026-03-01T10:00:00Z", []string{"2026-03-01T18:30:00Z"}},
		{" CRON_TZ=Asia/Kolkata\t0 0 * * *", "2026-03-01T10:00:00Z", []string{"2026-03-01T18:30:00Z"}},
		{"CRON_TZ=Asia/Kolkata\t@daily", "2026-03-01T10:00:00Z", []string{"2026-03-01T18:30:00Z"}},
		{"@every 1d", "2026-03-01T10:20:30Z", []string{"2026-03-02T10:20:30Z", "2026-03-03T10:20:30Z"}},
		{"@every 1w", "2026-03-01T10:20:30Z", []string{"2026-03-08T10:20:30Z"}},
		{"@every 1d12h", "2026-03-01T10:20:30Z", []string{"2026-03-02T22:20:30Z"}},
		{"0 3 1-7 * */7", "2026-03-01T10:20:30Z", []string{"2026-04-05T03:00:00Z", "2026-05-03T03:00:00Z"}}, // the first Sunday of a month
		{"CRON_TZ=Europe/Berlin 30 4 29 2 *", "2036-03-01T00:00:00Z", []string{"2040-02-29T03:30:00Z", "2044-02-29T03:30:00Z"}},
		{"CRON_TZ=America/New_York 0 0 1 1 *", "2040-12-30T00:00:00Z", []string{"2041-01-01T05:00:00Z", "2042-01-01T05:00:00Z"}},
		{"CRON_TZ=UTC @every 2h", "2026-03-01T10:00:00Z", []string{"2026-03-01T12:00:00Z"}},
	} {
		t.Run(tc.spec, func(t *testing.T) {
			s := parse(t, tc.spec, 0, node)
			if want := strings.Join(strings.Fields(tc.spec), " "); s.String() != want {
				t.Errorf("String: %q, want %q", s, want)
			}
			wantNext(t, s, tc.after, tc.want...)
		})
	}
}

// Clocks in Berlin went from 02:00 to 03:00 on 29 March 2026 and from 03:00 to 02:00 on 25 October.
func TestScheduleFollowsDaylightSaving(t *testing.T) {
	const zone = "CRON_TZ=Europe/Berlin "
	for _, tc := range []struct {
		name, spec, after string
		want              []string
	}{
		{"noon moves with the zone, spring", "0 12 * * *", "2026-03-28T00:00:00Z", []string{"2026-03-28T11:00:00Z", "2026-03-29T10:00:00Z"}},
		{"noon moves with the zone, autumn", "0 12 * * *", "2026-10-24T00:00:00Z", []string{"2026-10-24T10:00:00Z", "2026-10-25T11:00:00Z"}},
		{"each hour comes, spring", "0 * * * *", "2026-03-28T23:30:00Z", []string{"2026-03-29T00:00:00Z", "2026-03-29T01:00:00Z", "2026-03-29T02:00:00Z"}},
		{"each hour comes, autumn", "0 * * * *", "2026-10-24T23:30:00Z", []string{"2026-10-25T00:00:00Z", "2026-10-25T01:00:00Z", "2026-10-25T02:00:00Z"}},
		{"a run in the missing hour comes right after it", "30 2 * * *", "2026-03-28T00:00:00Z", []string{"2026-03-28T01:30:00Z", "2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"}},
		{"a run in the hour that comes twice comes once", "30 2 * * *", "2026-10-24T12:00:00Z", []string{"2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"}},
		{"a weekly run loses no week", "0 2 * * 0", "2026-03-22T12:00:00Z", []string{"2026-03-29T01:00:00Z", "2026-04-05T00:00:00Z"}},
		{"a yearly run loses no year", "30 2 28 3 *", "2026-12-01T00:00:00Z", []string{"2027-03-28T01:00:00Z", "2028-03-28T00:30:00Z"}},
		{"several runs in the missing hour are one", "*/10 2 * * *", "2026-03-28T12:00:00Z", []string{"2026-03-29T01:00:00Z", "2026-03-30T00:00:00Z"}},
		{"an hourly run is not made up", "30 * * * *", "2026-03-29T00:00:00Z", []string{"2026-03-29T00:30:00Z", "2026-03-29T01:30:00Z"}},
		{"every quarter of an hour comes, autumn", "*/15 * * * *", "2026-10-25T00:40:00Z", []string{"2026-10-25T00:45:00Z", "2026-10-25T01:00:00Z", "2026-10-25T01:15:00Z"}},
		{"@every does not look at the clock", "@every 1h", "2026-03-29T00:30:00Z", []string{"2026-03-29T01:30:00Z", "2026-03-29T02:30:00Z"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			wantNext(t, parse(t, zone+tc.spec, 0, node), tc.after, tc.want...)
		})
	}
}

// Names of snapshots carry UTC; a run after one of them is due by the zone of the process all the same.
func TestScheduleIsReadInTheZoneOfTheProcess(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	time.Local = berlin
	defer func() { time.Local = time.UTC }()

	s := parse(t, "0 3 * * *", 0, node)
	wantNext(t, s, "2026-07-01T01:00:00Z", "2026-07-02T01:00:00Z")
	wantNext(t, s, "2026-07-01T03:00:00+02:00", "2026-07-02T01:00:00Z")
	wantNext(t, s, "2026-06-30T21:00:00-04:00", "2026-07-02T01:00:00Z")
}

func TestInvalidScheduleIsRefused(t *testing.T) {
	for _, tc := range []struct{ spec, says string }{
		{"", "empty"},
		{" \t\n", "empty"},
		{"hourly", "hourly"},
		{"0 * * *", "expected exactly 5 fields, found 4"},
		{"0 0 * * * *", "expected exactly 5 fields, found 6"},
		{"60 * * * *", "60"},
		{"0 24 * * *", "24"},
		{"0 0 0 * *", "below minimum"},
		{"5-1 * * * *", "5-1"},
		{"*/0 * * * *", "positive"},
		{"a * * * *", `"a * * * *"`},
		{"@fortnightly", "@fortnightly"},
		{"@every", "@every"},
		{"@every soon", "soon"},
		{"@every 0s", "shorter than a second"},
		{"@every -1h", "shorter than a second"},
		{"@every 500ms", "shorter than a second"},
		{"TZ=UTC @every 1ns", "shorter than a second"},
		{"0 0 30 2 *", "has no run in the next five years"},
		{"0 0 31 4,6,9,11 *", "has no run in the next five years"},
		{"TZ=Europe/Berlin", "no cron fields"},
		{"CRON_TZ=Europe/Berlin", "no cron fields"},
		{"CRON_TZ=", "no cron fields"},
		{"  TZ=UTC  ", "no cron fields"},
		{"CRON_TZ=Europe/Atlantis 0 * * * *", "Europe/Atlantis"},
		{"CRON_TZ=../passwd 0 * * * *", "../passwd"},
		{"CRON_TZ=Europe/Berln 0 * * * *", "unknown time zone Europe/Berln: use a name such as Europe/Berlin"},
		{"CRON_TZ=Local/ 0 * * * *", "unknown time zone Local/"},
		{"CRON_TZ= 0 * * * *", "the time zone is empty"},
		{"TZ=UTC TZ=UTC", "fields"},
		{"TZ=UTC CRON_TZ=UTC 0 * * * *", "two time zones"},
		{"0 0 * * 8", "above maximum"},
		{"0 0 * * 5-8", "above maximum"},
		{"0 0 * * 7-2", "beyond end of range"},
		{"0 0 * * 1-7/0", "1-7/0"},
		{"0 0 * * 1-7-7", "too many hyphens"},
		{"0 0 7 13 7", "above maximum"},
		{"@every 1d 2h", "1d 2h"},
		{"@every 1 d", "1 d"},
	} {
		t.Run(tc.spec, func(t *testing.T) {
			_, err := daemon.ParseSchedule(tc.spec, 0, node)
			if !errors.Is(err, daemon.ErrSchedule) {
				t.Fatalf("error %v, want one that wraps ErrSchedule", err)
			}
			if text := err.Error(); !strings.Contains(text, tc.says) || strings.Contains(text, "\n") {
				t.Errorf("error %q, want one line with %q in it", text, tc.says)
			}
		})
	}
}
