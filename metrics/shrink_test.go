package metrics_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"etcd-rolling-backup/metrics"
)

// TestShrink: what lay there before the newest snapshot, of 10 MiB and the revision 100, with ages in hours beside the newest's.
func TestShrink(t *testing.T) {
	type before struct {
		age           float64
		raw, revision int64
	}
	for name, c := range map[string]struct {
		before    []before
		ill       bool
		raw, high string // "" is none
	}{
		"nothing":                        {},
		"as large":                       {[]before{{1, 10 * mib, 99}}, false, "1.048576e+07", "99"},
		"half as large":                  {[]before{{1, 20 * mib, 99}}, false, "2.097152e+07", "99"},
		"less than half as large":        {[]before{{1, 20*mib + 1, 99}}, true, "2.0971521e+07", "99"},
		"since two hours":                {[]before{{1, 10 * mib, 99}, {2, 11 * mib, 98}, {3, 90 * mib, 97}}, false, "9.437184e+07", "99"},
		"the last before the hour":       {[]before{{.5, 10 * mib, 99}, {1.5, 90 * mib, 97}}, true, "9.437184e+07", "99"},
		"since an hour":                  {[]before{{1, 10 * mib, 99}, {2, 90 * mib, 97}}, false, "9.437184e+07", "99"},
		"since a day":                    {[]before{{24, 10 * mib, 99}, {48, 90 * mib, 97}}, false, "1.048576e+07", "99"},
		"after a long stop":              {[]before{{70, 90 * mib, 5000}}, true, "9.437184e+07", "5000"},
		"a day later, after that":        {[]before{{1, 10 * mib, 99}, {23, 10 * mib, 98}, {25, 10 * mib, 50}, {70, 90 * mib, 5000}}, false, "1.048576e+07", "99"},
		"the last one before the day":    {[]before{{1, 10 * mib, 99}, {23, 10 * mib, 98}, {70, 90 * mib, 5000}}, false, "9.437184e+07", "5000"},
		"a clock that was in the future": {[]before{{-5, 90 * mib, 5000}, {1, 10 * mib, 99}}, false, "1.048576e+07", "99"},
	} {
		now := noon
		m := metrics.New(metrics.Options{Now: func() time.Time { return now }})
		newest := metrics.Snapshot{Name: "newest", Time: now, Size: mib, RawSize: 10 * mib, Revision: 100}
		list := []metrics.Snapshot{newest}
		for _, x := range c.before {
			at := now.Add(-time.Duration(x.age * float64(time.Hour)))
			list = append(list, metrics.Snapshot{Name: at.String(), Time: at, Size: mib, RawSize: x.raw, Revision: x.revision})
		}
		m.Inventory(metrics.Local, list)
		m.SnapshotDone(now, newest, 0, 0)
		m.Rebuilt()
		_, reasons := m.Health(now)
		var want []string
		if c.ill {
			want = append(want, "the newest snapshot's database has 10.0 MiB, less than half of the ")
		}
		if name == "after a long stop" {
			want = append(want, "the newest snapshot's revision is 100, lower than the 5,000 before: is it the same cluster?")
		}
		if !slices.EqualFunc(reasons, want, strings.HasPrefix) {
			t.Errorf("%s: %q", name, reasons)
		}
		_, body := get(t, m, "/metrics")
		for series, want := range map[string]string{"compared_raw_bytes ": c.raw, "compared_revision ": c.high} {
			i := slices.IndexFunc(ours(body), func(l string) bool { return strings.HasPrefix(l, series) })
			if want == "" && i >= 0 || want != "" && (i < 0 || ours(body)[i] != series+want) {
				t.Errorf("%s: %sis not %q", name, series, want)
			}
		}
	}
}

// TestShrunkIsDoubted: the page offers the newest, and says that the one before had more.
func TestShrunkIsDoubted(t *testing.T) {
	now := noon
	m := metrics.New(options(&now))
	small := metrics.Snapshot{Name: "small", Time: now.Add(-time.Minute), Size: 1, RawSize: mib, Revision: 2}
	large := metrics.Snapshot{Name: "large", Time: now.Add(-time.Hour), Size: 1, RawSize: 3 * mib, Revision: 1}
	m.Inventory(metrics.Local, []metrics.Snapshot{small, large})
	m.Rebuilt()
	const doubt = "Its database has 1.0 MiB, that of the one before, large, 3.0 MiB: is it the one you want?"
	if _, page := get(t, m, "/"); !strings.Contains(page, doubt) {
		t.Errorf("the page:\n%s", page)
	}
	m.Inventory(metrics.Local, []metrics.Snapshot{small})
	if _, page := get(t, m, "/"); strings.Contains(page, "the one before") {
		t.Error("there is none before")
	}
}

// TestPruned: what is compared need not be there any more, nor does a restart or a snapshot dated in the future change it.
func TestPruned(t *testing.T) {
	now := noon
	m := metrics.New(options(&now))
	m.Rebuilt()
	snap := func(m *metrics.Metrics, raw, revision int64) {
		now = now.Add(time.Minute)
		x := metrics.Snapshot{Name: now.String(), Time: now, Size: 1, RawSize: raw, Revision: revision}
		m.SnapshotDone(now, x, 0, 0)
		m.Inventory(metrics.Local, []metrics.Snapshot{x, {Name: "future", Time: noon.Add(1e6 * time.Hour), Size: 1, RawSize: 99 * mib, Revision: 1e9}})
	}
	wantCompared := func(when, raw, revision string) {
		t.Helper()
		_, body := get(t, m, "/metrics")
		for _, want := range []string{"compared_raw_bytes " + raw, "compared_revision " + revision} {
			if !slices.Contains(ours(body), want) {
				t.Errorf("%s: no %s in\n%s", when, want, strings.Join(ours(body), "\n"))
			}
		}
	}
	for i := range int64(500) {
		snap(m, 10*mib+i, 100+i)
	}
	if n := len(m.Past()); n > 2 {
		t.Errorf("of a database that grows %d are known", n)
	}
	snap(m, mib, 7)
	wantCompared("shrunk", "1.0486259e+07", "599")
	for range 50 {
		snap(m, mib, 8)
	}
	past := m.Past()
	m = metrics.New(options(&now))
	m.Remember(past)
	m.Rebuilt()
	snap(m, mib, 9)
	wantCompared("after a restart", "1.0486259e+07", "599")
	now = now.Add(24 * time.Hour)
	snap(m, mib, 10)
	wantCompared("a day later", "1.048576e+06", "9")
	for i := range int64(500) {
		snap(m, mib-i, 11+i)
	}
	if n := len(m.Past()); n > 100 {
		t.Errorf("of a database that shrinks slowly %d are known", n)
	}
	wantCompared("shrunk slowly", "1.048576e+06", "509")
}

// TestClockWasWrong: a snapshot of a clock that was two days ahead for a moment hides nothing from those after it.
func TestClockWasWrong(t *testing.T) {
	now := noon
	m := metrics.New(options(&now))
	m.Rebuilt()
	var all []metrics.Snapshot
	snap := func(raw, revision int64) {
		x := metrics.Snapshot{Name: now.String(), Time: now, Size: 1, RawSize: raw, Revision: revision}
		all = append(all, x)
		m.SnapshotDone(now, x, 0, 0)
		m.Inventory(metrics.Local, all)
	}
	snap(10*mib, 100)
	now = now.Add(time.Hour)
	snap(10*mib, 101)
	good := now
	now = now.Add(48 * time.Hour)
	snap(10*mib, 102)
	for h := range time.Duration(5) {
		now = good.Add((h + 1) * time.Hour)
		snap(mib, 7)
		if got := m.Spare(metrics.Local); len(got) == 0 || got[len(got)-1] != good.String() {
			t.Errorf("%d h later %q are spared, want %s", h, got, good)
		}
	}
}

// TestComesOfAge: a file that was dated in the future when it was seen first says nothing of what etcd has lost once that time has come.
func TestComesOfAge(t *testing.T) {
	now := noon
	m := metrics.New(options(&now))
	m.Rebuilt()
	ahead := metrics.Snapshot{Name: "ahead", Time: now.Add(time.Minute), Size: 1, RawSize: mib, Revision: 1}
	list := []metrics.Snapshot{ahead, {Name: "good", Time: now, Size: 1, RawSize: 10 * mib, Revision: 100}}
	for range 2 {
		m.Inventory(metrics.Local, list)
		if _, reasons := m.Health(now); strings.Contains(strings.Join(reasons, "; "), "newest") {
			t.Errorf("%q", reasons)
		}
		now = now.Add(2 * time.Minute)
	}
}

// TestSpareWhole: a copy that is known to be damaged is not the one to keep.
func TestSpareWhole(t *testing.T) {
	now := noon
	m := metrics.New(options(&now))
	m.Rebuilt()
	var all []metrics.Snapshot
	for i, raw := range []int64{10 * mib, 10 * mib, mib} {
		all = append(all, metrics.Snapshot{Name: fmt.Sprint(i), Time: now.Add(time.Duration(i-3) * time.Hour), Size: 1, RawSize: raw, Revision: int64(100 + i)})
	}
	m.Inventory(metrics.Local, all)
	for _, want := range []string{"1", "0"} {
		if got := m.Spare(metrics.Local); !slices.Equal(got, []string{want}) {
			t.Errorf("%q are spared, want %s", got, want)
		}
		m.Damaged(metrics.Local, now, "1", "a bit")
	}
}

// TestShrunkAndLeftToAnother: where another member takes the snapshots no newer one ends the word of it.
func TestShrunkAndLeftToAnother(t *testing.T) {
	now := noon
	o := options(&now)
	o.Mirror, o.Drill, o.Verify = false, false, false
	m := metrics.New(o)
	m.Rebuilt()
	for i, raw := range []int64{10 * mib, mib} {
		at := now.Add(time.Duration(i-1) * time.Minute)
		m.SnapshotDone(at, metrics.Snapshot{Name: fmt.Sprint(i), Time: at, Size: 1, RawSize: raw, Revision: int64(i + 1)}, 0, 0)
	}
	for _, x := range []struct {
		after         time.Duration
		ill, compared bool
	}{{time.Minute, true, true}, {time.Hour, false, true}, {24 * time.Hour, false, false}} {
		now = noon.Add(x.after)
		m.Skipped(metrics.Snapshots, now, metrics.Role)
		_, reasons := m.Health(now)
		_, body := get(t, m, "/metrics")
		if len(reasons) > 0 != x.ill || strings.Contains(body, "\netcd_rolling_backup_compared_raw_bytes ") != x.compared || len(m.Spare(metrics.Local)) > 0 != x.compared {
			t.Errorf("after %s: %q, spared %q", x.after, reasons, m.Spare(metrics.Local))
		}
	}
}
