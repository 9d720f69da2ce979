package fleet

import (
	"testing"
	"time"
)

const hour = time.Hour

func TestRhythmOfSchedules(t *testing.T) {
	repeat := func(gap time.Duration, n int) (out []time.Duration) {
		for range n {
			out = append(out, gap)
		}
		return out
	}
	for what, x := range map[string]struct {
		gaps         []time.Duration // newest first
		every, limit time.Duration   // without grace
	}{
		"one snapshot":                      {nil, 0, 0},
		"two":                               {repeat(hour, 1), 0, 0},
		"three":                             {repeat(hour, 2), hour, 2 * hour},
		"hourly":                            {repeat(hour, 23), hour, 2 * hour},
		"daily":                             {repeat(24*hour, 7), 24 * hour, 48 * hour},
		"every minute":                      {repeat(time.Minute, 9), time.Minute, 2 * time.Minute},
		"several in one minute":             {append(repeat(time.Second, 5), repeat(hour, 3)...), hour, 2 * hour},
		"an outage of ten days":             {[]time.Duration{hour, hour, 240 * hour, hour, hour, hour}, hour, 4 * hour},
		"the newest one after an outage":    {[]time.Duration{240 * hour, hour, hour, hour, hour, hour}, hour, 4 * hour},
		"two repeated runs":                 {[]time.Duration{90 * time.Second, 2 * time.Minute, hour, hour, hour, hour, hour}, hour, 2 * hour},
		"a repeated run among three":        {[]time.Duration{90 * time.Second, hour}, hour, 2 * hour},
		"keep-last 4, keep-daily 30":        {[]time.Duration{hour, hour, hour, 21 * hour, 24 * hour, 24 * hour, 24 * hour, 24 * hour}, hour, 4 * hour},
		"keep-last 24 and a year of months": {append(repeat(hour, 23), repeat(720*hour, 11)...), hour, 2 * hour},
		"working days":                      {[]time.Duration{24 * hour, 24 * hour, 72 * hour, 24 * hour, 24 * hour, 24 * hour, 24 * hour, 72 * hour}, 24 * hour, 79*hour + 12*time.Minute},
	} {
		times := []time.Time{time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)}
		for _, g := range x.gaps {
			times = append(times, times[len(times)-1].Add(-g))
		}
		want := Rhythm{Every: x.every}
		if x.every > 0 {
			want.Limit = x.limit + grace
		}
		if got := RhythmOf(times); got != want {
			t.Errorf("%s: %+v, want %+v", what, got, want)
		}
	}
}
