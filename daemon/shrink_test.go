package daemon_test

import (
	"errors"
	"fmt"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"etcd-rolling-backup/metrics"
	"etcd-rolling-backup/snapshot"
)

// shrinking takes a snapshot each hour, of which the policy keeps one, of an etcd that is emptied after the third.
type shrinking struct {
	*bed
	m   *metrics.Metrics
	odd func(run int, x *snapshot.Taken) // what else is unusual, of the run with this number
}

func newShrinking(t *testing.T) *shrinking {
	t.Helper()
	b := newBed(t, "@hourly")
	newNotebook(b)
	b.opts.Policy.Last = 1
	s := &shrinking{bed: b}
	b.always.change = func(x *snapshot.Taken) {
		if len(b.begun) > 3 {
			x.Manifest.RawSize, x.Manifest.Revision = 1000, 7
		}
		if s.odd != nil {
			s.odd(len(b.begun), x)
		}
	}
	return s
}

// run is one life of a daemon, and demands to find the snapshots of these hours, and reasons or none.
func (s *shrinking) run(how time.Duration, ill bool, hours ...int) {
	s.t.Helper()
	s.m = metrics.New(metrics.Options{})
	s.opts.Recorder = s.m
	s.runFor(how)
	var want []string
	for _, h := range hours {
		want = append(want, name(s.t, snapshot.RollingSet, node, s.origin.Add(time.Duration(h)*time.Hour)).String())
	}
	if got := s.store.names(); !slices.Equal(got, want) {
		s.t.Errorf("after %s there are %q, want %q", time.Since(s.origin), got, want)
	}
	last := s.log.LastEntry()
	for _, e := range s.log.AllEntries() {
		if e.Message == "kept snapshot" {
			last = e
		}
	}
	if n, _ := last.Data["spared"].(int); n != len(hours)-1 {
		s.t.Errorf("after %s the log says %v", time.Since(s.origin), last.Data)
	}
	_, reasons := s.m.Health(time.Now())
	if all := fmt.Sprint(reasons); strings.Contains(all, "less than half") != ill || strings.Contains(all, "revision is 7, lower") != ill {
		s.t.Errorf("after %s: %s", time.Since(s.origin), all)
	}
}

// compared is the metric with which the newest database is.
func (s *shrinking) compared() string {
	s.t.Helper()
	w := httptest.NewRecorder()
	s.m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	m := regexp.MustCompile(`(?m)^etcd_rolling_backup_compared_raw_bytes (.*)$`).FindStringSubmatch(w.Body.String())
	if m == nil {
		s.t.Fatalf("no such metric in\n%s", w.Body.String())
	}
	return m[1]
}

// The last snapshot from before outlives its policy by a day, and the word of it each restart.
func TestShrunkSparesTheLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShrinking(t)
		s.run(2*time.Hour+time.Minute, false, 2)
		s.run(time.Hour, true, 3, 2)
		s.run(10*time.Minute, true, 3, 2)
		s.run(time.Hour, false, 4, 2)
		s.run(22*time.Hour, false, 26, 2)
		s.run(time.Hour, false, 27)
	})
}

// A snapshot that was pruned before the start is compared with all the same.
func TestShrunkWhileStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShrinking(t)
		s.run(2*time.Hour+time.Minute, false, 2)
		if err := s.store.Remove(t.Context(), name(t, snapshot.RollingSet, node, s.origin.Add(2*time.Hour))); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		s.m = metrics.New(metrics.Options{})
		s.opts.Recorder = s.m
		s.runFor(time.Minute)
		if _, reasons := s.m.Health(time.Now()); !strings.Contains(fmt.Sprint(reasons), "less than half") {
			t.Errorf("%q", reasons)
		}
	})
}

// The word of it ends after a day though the large one stays, as one that save took does.
func TestShrunkIsOldNews(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShrinking(t)
		by := name(t, "by-hand", node, s.origin.Add(150*time.Minute))
		s.run(2*time.Hour+time.Minute, false, 2)
		time.Sleep(time.Hour - 2*time.Minute)
		s.store.add(snapshot.Entry{Name: by, Size: 1})
		for range 4 {
			s.m = metrics.New(metrics.Options{})
			s.opts.Recorder = s.m
			s.runFor(20 * time.Hour)
		}
		if raw := s.compared(); raw != "1000" {
			t.Errorf("three days later the newest is compared with %s bytes", raw)
		}
		if n := len(s.store.names()); n != 2 {
			t.Errorf("there are %d", n)
		}
	})
}

// A second loss takes nothing away from the snapshot before the first, nor does a listing that fails meanwhile.
func TestShrunkTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShrinking(t)
		s.odd = func(run int, x *snapshot.Taken) {
			x.Manifest.RawSize = map[int]int64{5: 2500}[run] + x.Manifest.RawSize
			if run == 6 {
				s.store.fail(nil)
			}
		}
		s.run(4*time.Hour+time.Minute, false, 4, 2)
		s.m = metrics.New(metrics.Options{})
		s.opts.Recorder = s.m
		go func() {
			time.Sleep(58*time.Minute + 50*time.Second) // of the last look before the run
			s.store.fail(errors.New("input/output error"))
		}()
		s.runFor(2 * time.Hour)
		if got := s.store.names(); len(got) != 3 || got[2] != name(t, snapshot.RollingSet, node, s.origin.Add(2*time.Hour)).String() {
			t.Errorf("there are %q", got)
		}
	})
}

// What was learned between two runs, as from the bucket, is known to the next process.
func TestPastIsKeptBetweenRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShrinking(t)
		s.m = metrics.New(metrics.Options{})
		s.opts.Recorder = s.m
		go func() {
			time.Sleep(time.Minute)
			s.m.Remember([]metrics.Past{{Name: "old", Time: s.origin.Add(-time.Hour), RawSize: 1 << 20, Revision: 99}})
		}()
		s.runFor(2 * time.Minute)
		r, err := s.opts.Runs.Read()
		if err != nil || len(r.Past) != 2 || r.Past[0].Name != "old" {
			t.Errorf("kept is %+v, %v", r.Past, err)
		}
	})
}
