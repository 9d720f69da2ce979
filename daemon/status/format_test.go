package status

import (
	"testing"
	"time"
)

func TestFormat(t *testing.T) {
	const day = 24 * time.Hour
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	alarm := func(raised string) string {
		tracker := New(Options{})
		tracker.SetMember(now, 0, true, []string{raised})
		return tracker.State().Member.Alarms[0]
	}
	for got, want := range map[string]string{
		Relative(time.Time{}, now):                          "never",
		Relative(now, now):                                  "just now",
		Relative(now.Add(-time.Second), now):                "1 s ago",
		Relative(now.Add(time.Second), now):                 "in 1 s",
		Relative(now.Add(-59*time.Second), now):             "59 s ago",
		Relative(now.Add(-time.Minute), now):                "1 min ago",
		Relative(now.Add(-61*time.Minute), now):             "1 h 1 min ago",
		Relative(now.Add(-2*time.Hour-59*time.Minute), now): "2 h ago",
		Relative(now.Add(2*day-time.Second), now):           "in 47 h",
		Relative(now.Add(-2*day), now):                      "2 days ago",
		Relative(now.Add(-time.Hour), now):                  "1 h ago",
		Span(time.Millisecond):                              "less than 1 s",
		Absolute(time.Time{}):                               "never",
		Absolute(now.In(time.FixedZone("", 3600))):          "2026-11-22 12:00:00 UTC",
		AbsoluteFrom(now):                                   "2026-11-22 12:00:00 UTC",
		AbsoluteFrom(now.Add(1)):                            "2026-11-22 12:00:01 UTC",
		Size(0):                                             "0 B",
		Size(123 << 20):                                     "123 MiB",
		Grouped(-1234567):                                   "-1,234,567",
		Count(1, "other", "others"):                         "1 other",
		Count(1000, "other", "others"):                      "1,000 others",
		oneLine("one:\ntwo\r\nthree"):                       "one: two; three",
		alarm("nospace"):                                    "NOSPACE",
		alarm("invented\nyesterday"):                        "other",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
