package retention_test

import (
	"slices"
	"testing"
	"time"

	"etcd-rolling-backup/retention"
)

const (
	day    = retention.GuardWindow
	lately = 55 * time.Minute
)

// TestCompareWithTheDayBeforeAndTheLastOneBeforeThat: the newest has 10 bytes and the revision 100; ages are in hours before it.
func TestCompareWithTheDayBeforeAndTheLastOneBeforeThat(t *testing.T) {
	type before struct {
		age           float64
		raw, revision int64
	}
	for name, c := range map[string]struct {
		before         []before
		window         time.Duration
		raw, revision  int64
		shrank, fell   bool
		sinceHoursAgos float64 // -1: no loss
	}{
		"nothing before":                  {nil, day, 0, 0, false, false, -1},
		"as large":                        {[]before{{1, 10, 99}}, day, 10, 99, false, false, -1},
		"half as large":                   {[]before{{1, 20, 99}}, day, 20, 99, false, false, -1},
		"less than half as large":         {[]before{{1, 21, 99}}, day, 21, 99, true, false, 0},
		"lower revision":                  {[]before{{1, 10, 101}}, day, 10, 101, false, true, 0},
		"lost two hours ago, within one":  {[]before{{1, 10, 99}, {2, 11, 98}, {3, 90, 97}}, lately, 10, 99, false, false, -1},
		"lost two hours ago, within days": {[]before{{1, 10, 99}, {2, 11, 98}, {3, 90, 97}}, day, 90, 99, true, false, 2},
		"the last one before the hour":    {[]before{{.5, 10, 99}, {1.5, 90, 97}}, lately, 90, 99, true, false, .5},
		"lost an hour ago":                {[]before{{1, 10, 99}, {2, 90, 97}}, lately, 10, 99, false, false, -1},
		"lost a day ago":                  {[]before{{24, 10, 99}, {48, 90, 97}}, day, 10, 99, false, false, -1},
		"after a long stop":               {[]before{{70, 90, 5000}}, day, 90, 5000, true, true, 0},
		"long after that":                 {[]before{{1, 10, 99}, {23, 10, 98}, {25, 10, 50}, {70, 90, 5000}}, day, 10, 99, false, false, -1},
		"the last one before the day":     {[]before{{1, 10, 99}, {23, 10, 98}, {70, 90, 5000}}, day, 90, 5000, true, true, 23},
		"of a clock that was wrong":       {[]before{{-5, 90, 5000}, {1, 10, 99}}, day, 10, 99, false, false, -1},
		"not known":                       {[]before{{1, 0, 0}}, day, 0, 0, false, false, -1},
	} {
		t.Run(name, func(t *testing.T) {
			newest := sized(0, 10, 100)
			all := []retention.Item{newest}
			for _, x := range c.before {
				all = append(all, sized(time.Duration(x.age*float64(time.Hour)), x.raw, x.revision))
			}
			slices.Reverse(all) // the order does not matter
			got, ok := retention.Compare(all, c.window, now)
			since := time.Time{}
			if c.sinceHoursAgos >= 0 {
				since = now.Add(-time.Duration(c.sinceHoursAgos * float64(time.Hour)))
			}
			want := retention.Comparison{Newest: newest, RawSize: c.raw, Revision: c.revision, LossSince: since}
			if !ok || got != want || got.Shrank() != c.shrank || got.RevisionFell() != c.fell {
				t.Errorf("%+v, shrank %t, fell %t; want %+v", got, got.Shrank(), got.RevisionFell(), want)
			}
		})
	}
	if _, ok := retention.Compare([]retention.Item{sized(-time.Hour, 1, 1)}, day, now); ok {
		t.Error("compares one that is dated in the future")
	}
}

// TestCompareOfAnUnknownNewestIsNoLoss: without its manifest nothing can be said of it.
func TestCompareOfAnUnknownNewestIsNoLoss(t *testing.T) {
	c, ok := retention.Compare([]retention.Item{sized(0, 0, 0), sized(time.Hour, 90, 90)}, day, now)
	if !ok || c.Shrank() || c.RevisionFell() || !c.LossSince.IsZero() {
		t.Errorf("%+v", c)
	}
}
