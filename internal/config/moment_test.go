package config_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"etcd-rolling-backup/internal/config"
)

func TestMomentIsReadInEachForm(t *testing.T) {
	t.Parallel()
	berlin := berlin(t)
	now := time.Date(2026, 11, 29, 14, 30, 0, 500, berlin)
	for text, want := range map[string]string{
		"2026-11-29T14:03:06Z":             "", // the future
		"2026-11-29T14:03:06+01:00":        "2026-11-29T13:03:06Z",
		"2026-11-29T13:03:06.5Z":           "2026-11-29T13:03:06.5Z",
		"2026-11-29 14:03:06":              "2026-11-29T13:03:06Z",
		" 2026-11-29 14:03:06.25 ":         "2026-11-29T13:03:06.25Z",
		"2026-11-29T14:03:06":              "2026-11-29T13:03:06Z",
		"2026-11-29 14:03":                 "2026-11-29T13:03:00Z",
		"2026-11-29 03:00:00 UTC":          "2026-11-29T03:00:00Z",
		"2026-07-01 12:00:00":              "2026-07-01T10:00:00Z",
		"14:03:06":                         "2026-11-29T13:03:06Z",
		"14:03":                            "2026-11-29T13:03:00Z",
		"14:30:00":                         "2026-11-29T13:30:00Z",
		"14:30:01":                         "2026-11-28T13:30:01Z", // yesterday's is the last one
		"23:59:59":                         "2026-11-28T22:59:59Z",
		"10m ago":                          "2026-11-29T13:20:00.0000005Z",
		"0s ago":                           "2026-11-29T13:30:00.0000005Z",
		"1d2h ago":                         "2026-11-28T11:30:00.0000005Z",
		"1h30m  ago":                       "2026-11-29T12:00:00.0000005Z",
		"2026-11-29 14:30:01":              "", // the future
		"2026-11-30 00:00:00":              "",
		"":                                 "",
		"yesterday":                        "",
		"ago":                              "",
		"10 ago":                           "",
		"-5m ago":                          "",
		"10m":                              "2026-11-29T13:20:00.0000005Z",
		"1d2h":                             "2026-11-28T11:30:00.0000005Z",
		"1 minute ago":                     "2026-11-29T13:29:00.0000005Z",
		"2 hours  30 mins ago":             "2026-11-29T11:00:00.0000005Z",
		"3 days":                           "2026-11-26T13:30:00.0000005Z",
		"now":                              "2026-11-29T13:30:00.0000005Z",
		"14:03:06 UTC":                     "2026-11-28T14:03:06Z", // yesterday's: it is 13:30 UTC
		"13:03:06Z":                        "2026-11-29T13:03:06Z",
		"13:03 UTC":                        "2026-11-29T13:03:00Z",
		"2026-11-29 13:03:06.500 UTC":      "2026-11-29T13:03:06.5Z", // as log prints it
		"2026-11-29 14:03:06+01:00":        "2026-11-29T13:03:06Z",
		"2026-11-29 13:03:06Z":             "2026-11-29T13:03:06Z",
		"2026-11-29":                       "2026-11-28T23:00:00Z",
		"now ago":                          "",
		"10":                               "",
		"0":                                "",
		"-5m":                              "",
		"10 minutes 5 ago":                 "",
		"ten minutes ago":                  "",
		"1 fortnight ago":                  "",
		"999999999999 weeks ago":           "",
		"25:00:00":                         "",
		"2026-02-30 00:00:00":              "",
		"2026-11-29 14:03:06 CET":          "",
		"2026-11-29T14:03:06+01:00 or so ": "",
	} {
		at, err := config.ParseMoment(text, now)
		switch {
		case want == "" && !errors.Is(err, config.ErrUsage):
			t.Errorf("%q: got %v, %v, want an error of usage", text, at, err)
		case want != "" && (err != nil || at.UTC().Format(time.RFC3339Nano) != want):
			t.Errorf("%q: got %v, %v, want %s", text, at, err, want)
		}
	}
}

func TestTimeAloneThatIsStillToComeTodayIsYesterdays(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 29, 0, 30, 0, 0, berlin(t)) // 23:30 UTC
	for text, want := range map[string]bool{
		"00:30": false, "00:31": true, " 14:03:06 ": true, "23:30 UTC": false, "23:31Z": true, "23:31:00  UTC": true, "10m": false, "1h ago": false,
		"2026-11-28 14:03:06": false, "98211": false, "noon": false,
	} {
		if got := config.Yesterdays(text, now); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}

func TestMomentThatTheClockSkippedOrHadTwiceIsRefused(t *testing.T) {
	t.Parallel()
	berlin := berlin(t)
	for _, c := range []struct{ name, now, text, want string }{
		{"last before the gap", "2026-03-29T12:00:00Z", "2026-03-29 01:59:59", "2026-03-29T00:59:59Z"},
		{"skipped", "2026-03-29T12:00:00Z", "2026-03-29 02:00:00", "skipped 2026-03-29T02:00:00+02:00 or 2026-03-29T02:00:00+01:00"},
		{"skipped, time alone", "2026-03-29T12:00:00Z", "02:59:59", "skipped 2026-03-29T02:59:59+02:00 or 2026-03-29T02:59:59+01:00"},
		{"first after the gap", "2026-03-29T12:00:00Z", "03:00:00", "2026-03-29T01:00:00Z"},
		{"last before the hour that is twice", "2026-10-25T12:00:00Z", "01:59:59", "2026-10-24T23:59:59Z"},
		{"twice", "2026-10-25T12:00:00Z", "02:30:00", "twice 2026-10-25T02:30:00+02:00 or 2026-10-25T02:30:00+01:00"},
		{"twice, with a date", "2026-11-25T12:00:00Z", "2026-10-25 02:00", "twice 2026-10-25T02:00:00+02:00 or 2026-10-25T02:00:00+01:00"},
		{"the second is in the future", "2026-10-25T00:45:00Z", "02:30:00", "2026-10-25T00:30:00Z"},
		{"both are in the future: yesterday's", "2026-10-25T00:15:00Z", "02:30:00", "2026-10-24T00:30:00Z"},
		{"first after the hour that was twice", "2026-10-25T12:00:00Z", "03:00:00", "2026-10-25T02:00:00Z"},
		{"either form of the refusal is taken", "2026-10-25T12:00:00Z", "2026-10-25T02:30:00+01:00", "2026-10-25T01:30:00Z"},
	} {
		now, err := time.Parse(time.RFC3339, c.now)
		if err != nil {
			t.Fatal(err)
		}
		at, err := config.ParseMoment(c.text, now.In(berlin))
		what, both, refused := strings.Cut(c.want, " ")
		switch {
		case !refused && (err != nil || at.UTC().Format(time.RFC3339) != c.want):
			t.Errorf("%s: got %v, %v, want %s", c.name, at, err, c.want)
		case refused && (!errors.Is(err, config.ErrUsage) || !strings.Contains(err.Error(), what) || !strings.Contains(err.Error(), both)):
			t.Errorf("%s: got %v, %v, want an error with %q and %q", c.name, at, err, what, both)
		}
	}
}

func TestMomentIsReadInAZoneThatNeverChanged(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 29, 14, 30, 0, 0, time.UTC)
	if at, err := config.ParseMoment("15:00:00", now); err != nil || at != now.Add(-23*time.Hour-30*time.Minute) {
		t.Errorf("got %v, %v", at, err)
	}
}

func berlin(t *testing.T) *time.Location {
	t.Helper()
	zone, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	return zone
}
