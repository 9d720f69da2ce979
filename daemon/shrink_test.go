package daemon_test

import (
	"fmt"
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
	m *metrics.Metrics
}

func newShrinking(t *testing.T) *shrinking {
	t.Helper()
	b := newBed(t, "@hourly")
	newNotebook(b)
	b.opts.Policy.Last = 1
	b.always.change = func(x *snapshot.Taken) {
		if len(b.begun) > 3 {
			x.Manifest.RawSize, x.Manifest.Revision = 1000, 7
		}
	}
	return &shrinking{bed: b}
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
