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
			want := retention.Comparison{Newest: newest, RawSize: c.raw, Revision: c.revision, LossSince: since, Before: got.Before}
			if lost := c.sinceHoursAgos >= 0; lost != (got.Before != "") {
				t.Errorf("the last one before the loss is %q", got.Before)
			}
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

// counted is an item of which the keys and the bytes in use are known; -1: the keys are not.
func counted(age time.Duration, keys, inUse int64) retention.Item {
	x := sized(age, 64<<20, int64(1e6-age.Minutes()))
	x.InUse = inUse
	if keys >= 0 {
		x.Keys, x.KeysKnown = keys, true
	}
	return x
}

func damaged(x retention.Item) retention.Item {
	x.Damaged = true
	return x
}

func TestCompareOfKeysAndBytesInUse(t *testing.T) {
	const h, mib = time.Hour, int64(1 << 20)
	for name, c := range map[string]struct {
		items       []retention.Item
		keys, inUse bool
		before      string // of the loss of keys
		since       time.Duration
	}{
		"keys fell to half":                      {[]retention.Item{counted(0, 50, mib), counted(h, 100, mib)}, false, false, "", 0},
		"keys fell to less than half":            {[]retention.Item{counted(0, 49, mib), counted(h, 100, mib)}, true, false, "1h0m0s", 0},
		"all keys are gone":                      {[]retention.Item{counted(0, 0, mib), counted(h, 0, mib), counted(2*h, 10, mib)}, true, false, "2h0m0s", h},
		"all of a few keys are gone":             {[]retention.Item{counted(0, 0, mib), counted(h, 9, mib)}, false, false, "", 0},
		"there never were keys":                  {[]retention.Item{counted(0, 0, mib), counted(h, 0, mib)}, false, false, "", 0},
		"keys came back":                         {[]retention.Item{counted(0, 90, mib), counted(h, 0, mib), counted(2*h, 100, mib)}, false, false, "", 0},
		"keys were not known before":             {[]retention.Item{counted(0, 0, mib), counted(h, -1, mib)}, false, false, "", 0},
		"keys are not known now, and were gone":  {[]retention.Item{counted(0, -1, mib), counted(h, 0, mib), counted(2*h, 100, mib)}, true, false, "2h0m0s", h},
		"keys are not known now, and were there": {[]retention.Item{counted(0, -1, mib), counted(h, 100, mib), counted(2*h, 100, mib)}, false, false, "", 0},
		"keys fell more than a day ago":          {[]retention.Item{counted(0, 0, mib), counted(24*h, 0, mib), counted(25*h, 100, mib)}, false, false, "", 0},
		"keys fell less than a day ago":          {[]retention.Item{counted(0, 0, mib), counted(23*h, 0, mib), counted(25*h, 100, mib)}, true, false, "25h0m0s", 23 * h},
		"keys fell slowly":                       {[]retention.Item{counted(0, 49, mib), counted(h, 60, mib), counted(2*h, 80, mib), counted(3*h, 100, mib)}, true, false, "3h0m0s", 2 * h},
		"keys fell slowly to the rest": {
			[]retention.Item{counted(0, 0, mib), counted(h, 10, mib), counted(2*h, 30, mib), counted(3*h, 60, mib), counted(4*h, 100, mib)}, true, false, "4h0m0s", 3 * h,
		},
		"keys fell twice, and most the second time": {[]retention.Item{counted(0, 0, mib), counted(h, 55, mib), counted(2*h, 100, mib)}, true, false, "1h0m0s", 0},
		"keys fell twice":                          {[]retention.Item{counted(0, 0, mib), counted(h, 45, mib), counted(2*h, 100, mib)}, true, false, "2h0m0s", h},
		"the last one is damaged":                  {[]retention.Item{counted(0, 0, mib), damaged(counted(h, 100, mib)), counted(2*h, 90, mib)}, true, false, "2h0m0s", h},
		"all that had the keys are damaged":        {[]retention.Item{counted(0, 0, mib), damaged(counted(h, 100, mib)), damaged(counted(2*h, 90, mib))}, true, false, "", 0},
		"bytes in use fell":                        {[]retention.Item{counted(0, 100, 2*mib-1), counted(h, 100, 4*mib)}, false, true, "", 0},
		"bytes in use fell to half":                {[]retention.Item{counted(0, 100, 2*mib), counted(h, 100, 4*mib)}, false, false, "", 0},
		"of a tiny database":                       {[]retention.Item{counted(0, 100, 1), counted(h, 100, mib-1)}, false, false, "", 0},
		"bytes in use were not known before":       {[]retention.Item{counted(0, 100, mib), counted(h, 100, 0)}, false, false, "", 0},
		"bytes in use are not known, size is more": {[]retention.Item{counted(0, 100, 0), counted(h, 100, 90*mib)}, false, false, "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			got, ok := retention.Compare(c.items, day, now)
			if !ok || got.KeysFell() != c.keys || got.InUseFell() != c.inUse || got.Shrank() || got.RevisionFell() || got.KeysBefore != c.before {
				t.Errorf("%+v: keys fell %t, bytes in use fell %t", got, got.KeysFell(), got.InUseFell())
			}
			if c.keys && !got.KeysSince.Equal(now.Add(-c.since)) {
				t.Errorf("since %s, want %s ago", got.KeysSince, c.since)
			}
		})
	}
}
