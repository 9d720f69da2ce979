package metrics

import (
	"cmp"
	"runtime"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Describe implements prometheus.Collector.
func (m *Metrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range m.descs {
		ch <- d
	}
}

// Collect implements prometheus.Collector: it computes the gauges from the state as it is now.
func (m *Metrics) Collect(ch chan<- prometheus.Metric) {
	s := &scrape{descs: m.descs}
	now := m.o.Now()
	// The file system is asked outside the lock: should it hang, the work goes on.
	if free, ok := m.free(); ok {
		s.gauge(diskFree, float64(free))
		s.gauge(minFree, float64(m.o.MinFree))
	}
	s.gauge(buildInfo, 1, m.o.Version, runtime.Version())
	m.mu.Lock()
	s.schedule(m.state, now)
	s.stock(m.state, now)
	s.mirror(m.state, now)
	s.etcd(m.state.member)
	m.mu.Unlock()
	for _, x := range s.out {
		ch <- x
	}
}

func (m *Metrics) free() (int64, bool) {
	if m.o.FreeBytes == nil {
		return 0, false
	}
	n, err := m.o.FreeBytes()
	return n, err == nil
}

// scrape gathers the gauges of one scrape.
type scrape struct {
	descs map[string]*prometheus.Desc
	out   []prometheus.Metric
}

func (s *scrape) gauge(name string, v float64, labels ...string) {
	s.out = append(s.out, prometheus.MustNewConstMetric(s.descs[name], prometheus.GaugeValue, v, labels...))
}

func (s *scrape) truth(name string, yes bool, labels ...string) {
	v := 0.0
	if yes {
		v = 1
	}
	s.gauge(name, v, labels...)
}

func (s *scrape) schedule(st *state, now time.Time) {
	s.truth(readyFamily, len(st.reasons(now)) == 0)
	s.gauge(recentStarts, float64(st.startsSince(now.Add(-crashWindow))))
	for _, k := range scheduled() {
		p := st.plans[k]
		if p.next.IsZero() || !st.switched[k] {
			continue
		}
		s.gauge(nextRun, seconds(p.next), string(k))
		s.gauge(scheduleInterval, p.interval.Seconds(), string(k))
		// In the moment between a run's end and the word of the next one nothing is due yet.
		s.gauge(dueRun, seconds(cmp.Or(p.due, p.next)), string(k))
	}
	for _, k := range kinds() {
		if !st.switched[k] {
			continue
		}
		t := st.tracks[k]
		s.gauge(lastSuccess, seconds(t.success), string(k))
		s.gauge(lastAttempt, seconds(t.attempt), string(k))
		s.gauge(failuresInRow, float64(t.failures), string(k))
		s.truth(inProgress, t.running, string(k))
	}
	if t := st.tracks[Drill]; st.switched[Drill] && (t.failures > 0 || !t.success.IsZero()) {
		s.truth(drillPassed, t.failures == 0)
	}
}

func (s *scrape) stock(st *state, now time.Time) {
	for _, p := range places() {
		list, known := st.stock[p]
		if !known {
			continue
		}
		s.gauge(snapshotsKept, float64(len(list)), string(p))
		s.gauge(bytesKept, float64(total(list)), string(p))
	}
	s.gauge(damagedSnapshots, float64(len(st.damaged())))
	x, any := st.newest(now)
	if !any {
		return
	}
	s.gauge(newestArchive, float64(x.Size))
	if x.RawSize > 0 {
		s.gauge(newestRaw, float64(x.RawSize))
	}
	if x.Revision > 0 {
		s.gauge(newestRevision, float64(x.Revision))
	}
	raw, revision := st.compared(x, shrankToday, now)
	if raw > 0 {
		s.gauge(comparedRaw, float64(raw))
	}
	if revision > 0 {
		s.gauge(comparedRevision, float64(revision))
	}
}

func (s *scrape) mirror(st *state, now time.Time) {
	if !st.switched[Mirror] {
		return
	}
	age := time.Duration(0)
	if oldest := st.oldestWaiting(); !oldest.IsZero() {
		age = max(now.Sub(oldest), 0)
	}
	s.gauge(lockedSnapshots, float64(st.locked))
	if _, known := st.stock[S3]; !known {
		return // 0 would look well
	}
	s.gauge(waitingSnapshots, float64(len(st.waiting)))
	s.gauge(waitingOldest, age.Seconds())
}

func (s *scrape) etcd(m member) {
	if m.asked {
		s.truth(etcdReachable, m.away.IsZero())
	}
	if m.seen.IsZero() {
		return
	}
	s.gauge(etcdSeen, seconds(m.seen))
	s.gauge(etcdDatabase, float64(m.database))
	s.truth(etcdLeader, m.leader)
	for _, a := range alarms() {
		s.truth(etcdAlarm, slices.Contains(m.alarms, a), a)
	}
}

// seconds is Unix time; 0 for the zero time.
func seconds(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMilli()) / 1000
}
