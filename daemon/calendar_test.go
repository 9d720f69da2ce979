package daemon_test

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"etcd-rolling-backup/daemon"
)

// changes are years in which the clocks of a zone are changed, each in its own way.
func changes() []struct {
	zone string
	year int
} {
	return []struct {
		zone string
		year int
	}{
		{"Europe/Berlin", 2027},
		{"America/New_York", 2027},
		{"Australia/Lord_Howe", 2026}, // by half an hour
		{"America/Santiago", 2027},    // at midnight, and back to 23:00
		{"Africa/Cairo", 2027},        // at midnight
		{"Asia/Beirut", 2026},         // at midnight
		{"America/Havana", 2026},      // at midnight, and back from 01:00
		{"Antarctica/Troll", 2026},    // by two hours
		{"Africa/Casablanca", 2026},   // back in Ramadan, and forward after it
		{"Pacific/Apia", 2011},        // 30 December is skipped
		{"America/Caracas", 2016},     // forward by half an hour, for good
		{"Asia/Pyongyang", 2015},      // back by half an hour at midnight, for good
		{"Europe/Moscow", 2014},       // back by an hour, for good
		{"Asia/Kolkata", 2026},        // never
		{"Europe/Berlin", 2040},       // by the rule after the last change in the zone data
		{"UTC", 2026},
	}
}

// expression is a cron expression and the same in Go, so that the test does not believe the library.
type expression struct {
	spec   string
	hourly bool // it has every hour
	minute func(int) bool
	hour   func(int) bool
	day    func(time.Time) bool
}

func expressions() []expression {
	is := func(want ...int) func(int) bool { return func(n int) bool { return slices.Contains(want, n) } }
	every := func(step int) func(int) bool { return func(n int) bool { return n%step == 0 } }
	anyDay := func(time.Time) bool { return true }
	sunday := func(t time.Time) bool { return t.Weekday() == time.Sunday }
	return []expression{
		{"0 * * * *", true, is(0), every(1), anyDay},
		{"30 * * * *", true, is(30), every(1), anyDay},
		{"*/15 * * * *", true, every(15), every(1), anyDay},
		{"@hourly", true, is(0), every(1), anyDay},
		{"0 0-23 * * *", true, is(0), every(1), anyDay},
		{"0 0 * * *", false, is(0), is(0), anyDay},
		{"@daily", false, is(0), is(0), anyDay},
		{"30 0 * * *", false, is(30), is(0), anyDay},
		{"30 2 * * *", false, is(30), is(2), anyDay},
		{"0 2 * * 0", false, is(0), is(2), sunday},
		{"0 2 * * 7", false, is(0), is(2), sunday},
		{"@weekly", false, is(0), is(0), sunday},
		{"30 2 28 3 *", false, is(30), is(2), func(t time.Time) bool { return t.Month() == time.March && t.Day() == 28 }},
		{"0 0 30 12 *", false, is(0), is(0), func(t time.Time) bool { return t.Month() == time.December && t.Day() == 30 }},
		{"15 23 * * *", false, is(15), is(23), anyDay},
		{"0 */2 * * *", false, is(0), every(2), anyDay},
		{"*/20 1-3 * * *", false, every(20), is(1, 2, 3), anyDay},
		{"*/30 2 1-7 * 7", false, every(30), is(2), func(t time.Time) bool { return t.Day() <= 7 || sunday(t) }},
		{"15 1 */2 * 7", false, is(15), is(1), func(t time.Time) bool { return t.Day()%2 == 1 && sunday(t) }},
	}
}

func (e expression) matches(t time.Time) bool {
	return e.minute(t.Minute()) && e.hour(t.Hour()) && e.day(t)
}

// step is the time between two looks at the clock: all expressions and all changes are at multiples of it.
const step = 5 * time.Minute

// walls is what the clock on the wall of a zone shows during a year, and two days more: every five minutes, as times in UTC.
func walls(zone *time.Location, year int) (shown []time.Time) {
	begin := time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC)
	for at := begin; at.Before(begin.AddDate(1, 0, 2)); at = at.Add(step) {
		local := at.In(zone)
		shown = append(shown, time.Date(local.Year(), local.Month(), local.Day(), local.Hour(), local.Minute(), 0, 0, time.UTC))
	}
	return shown
}

// reference looks at the clock on the wall: what it has shown before has had its runs, and what it leaves out is due when it goes on.
func reference(e expression, shown []time.Time, year int) (runs []time.Time) {
	at, latest := time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC), shown[0].Add(-step)
	for _, now := range shown {
		due := e.matches(now) && (e.hourly || now.After(latest))
		for left := latest.Add(step); left.Before(now) && !e.hourly; left = left.Add(step) {
			due = due || e.matches(left)
		}
		if latest = later(latest, now); due {
			runs = append(runs, at)
		}
		at = at.Add(step)
	}
	return runs
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// In every zone, the runs of a year are those of the reference, and from any moment the next run is the first of them that is later.
func TestRunsAreThoseOfAClockOnTheWall(t *testing.T) {
	for _, x := range changes() {
		zone, err := time.LoadLocation(x.zone)
		if err != nil {
			t.Fatal(err)
		}
		shown := walls(zone, x.year)
		for _, e := range expressions() {
			t.Run(x.zone+" "+e.spec, func(t *testing.T) {
				s, want := parse(t, "CRON_TZ="+x.zone+" "+e.spec, 0, node), reference(e, shown, x.year)
				next := time.Date(x.year, 1, 1, 0, 0, 0, 0, time.UTC).Add(-1)
				for _, w := range want {
					if next = s.Next(next); !next.Equal(w) {
						t.Fatalf("next run %s, want %s", next.In(zone), w.In(zone))
					}
				}
				end := time.Date(x.year, 12, 30, 0, 0, 0, 0, time.UTC)
				rapid.Check(t, func(t *rapid.T) { sameNext(t, s, want, end, drawMoment(t, zone, x.year)) })
			})
		}
	}
}

// drawMoment is a moment of the year, often one around a change of the clock.
func drawMoment(t *rapid.T, zone *time.Location, year int) time.Time {
	at := time.Date(year, 1, 2, 0, 0, 0, 0, zone).Add(time.Duration(rapid.Int64Range(0, 362*86_400).Draw(t, "second")) * time.Second)
	if begin, _ := at.ZoneBounds(); !begin.IsZero() && begin.Year() == year && begin.YearDay() > 1 && rapid.Bool().Draw(t, "at a change") {
		at = begin.Add(time.Duration(rapid.IntRange(-180, 180).Draw(t, "minutes from it")) * time.Minute)
	}
	return at.Add(time.Duration(rapid.SampledFrom([]int64{0, 1, -1}).Draw(t, "ns")))
}

func sameNext(t *rapid.T, s daemon.Schedule, runs []time.Time, end, at time.Time) {
	i, found := slices.BinarySearchFunc(runs, at, time.Time.Compare)
	if found {
		i++
	}
	if i == len(runs) || at.After(end) {
		return // the reference ends before the next run
	}
	if next := s.Next(at); !next.Equal(runs[i]) {
		t.Fatalf("after %s: %s, want %s", at, next.In(at.Location()), runs[i].In(at.Location()))
	}
}

// An expression for every hour of one day, which the clock skips as a whole, has a run after it. The reference does not have that exception.
func TestHourlyRunsOfADayThatIsLeftOutTakePlaceOnce(t *testing.T) {
	s := parse(t, "CRON_TZ=Pacific/Apia 0 * * * 5", 0, node)
	wantNext(t, s, "2011-12-29T10:00:00Z", "2011-12-30T10:00:00Z", "2012-01-05T10:00:00Z")
}

// Days of the week as cron(8) has them: each row is one set of days.
func TestSevenIsSunday(t *testing.T) {
	for _, tc := range []struct{ same []string }{
		{[]string{"0", "7", "sun", "SUN", "7-7", "sun-sun", "7/2", "0,7", "*/7", "7,7"}},
		{[]string{"*", "0-7", "1-7", "mon-sun", "Mon-Sun", "0-6", "sun-sat", "1-7/1", "*/1", "mon-7"}},
		{[]string{"0,5,6", "5-7", "fri-sun", "5,6,7", "5-6,7", "fri-7", "5-7/1"}},
		{[]string{"0,1,3,5", "1-7/2", "mon-sun/2", "1,3,5,7"}},
		{[]string{"0,6", "6-7", "sat-sun", "6,7", "sat,sun"}},
		{[]string{"0,3,6", "*/3", "0-7/3"}},
		{[]string{"1,2", "1-2", "mon-tue", "mon,TUE"}},
	} {
		for _, days := range tc.same {
			want, got := parse(t, "30 4 * * "+tc.same[0], 0, node), parse(t, "30 4 * * "+days, 0, node)
			next := at(t, "2026-01-01T00:00:00Z")
			for range 30 {
				if w := want.Next(next); !got.Next(next).Equal(w) {
					t.Fatalf("%s after %s: %s, want %s as of %s", days, next, got.Next(next), w, tc.same[0])
				} else {
					next = w
				}
			}
		}
	}
}

func BenchmarkNext(b *testing.B) {
	for _, spec := range []string{"*/15 * * * *", "30 2 * * *", "0 0 29 2 *"} {
		b.Run(spec, func(b *testing.B) {
			s := parse(b, "CRON_TZ=Europe/Berlin "+spec, 0, node)
			for at := time.Date(2026, 3, 28, 0, 0, 0, 0, time.UTC); b.Loop(); {
				s.Next(at)
			}
		})
	}
}
