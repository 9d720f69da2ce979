package metrics

import (
	"cmp"
	"runtime"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"etcd-rolling-backup/daemon/status"
	"etcd-rolling-backup/retention"
)

// Describe implements prometheus.Collector.
func (m *Metrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range m.descs {
		ch <- d
	}
}

// Collect implements prometheus.Collector. It computes all metrics from the current State.
func (m *Metrics) Collect(ch chan<- prometheus.Metric) {
	s := &scrape{descs: m.descs, state: m.o.State(), now: m.o.Now()}
	if free, ok := m.free(); ok {
		s.gauge("disk_free_bytes", float64(free))
		s.gauge("min_free_bytes", float64(m.o.MinFree()))
	}
	s.gauge("build_info", 1, m.o.Version, runtime.Version())
	problems := m.o.Problems()
	s.truth("ready", len(problems) == 0)
	s.truth("config_last_reload_successful", !slices.ContainsFunc(problems, func(p status.Problem) bool { return p.Code == status.CodeReloadFailed }))
	s.schedule()
	s.jobs()
	s.inventory()
	s.newest()
	s.mirror()
	s.journal()
	s.etcd()
	s.stream()
	if f := s.state.StateFile; f.Asked {
		s.truth("state_file_included", f.Included)
	}
	s.counters()
	for _, x := range s.out {
		ch <- x
	}
}

// scrape collects the metrics of one scrape.
type scrape struct {
	descs map[string]*prometheus.Desc
	state status.State
	now   time.Time
	out   []prometheus.Metric
}

func (s *scrape) add(name string, kind prometheus.ValueType, v float64, labels ...string) {
	s.out = append(s.out, prometheus.MustNewConstMetric(s.descs[name], kind, v, labels...))
}

func (s *scrape) gauge(name string, v float64, labels ...string) {
	s.add(name, prometheus.GaugeValue, v, labels...)
}

func (s *scrape) counter(name string, n int, labels ...string) {
	s.add(name, prometheus.CounterValue, float64(n), labels...)
}

func (s *scrape) truth(name string, yes bool, labels ...string) {
	s.gauge(name, map[bool]float64{true: 1}[yes], labels...)
}

// jobsOn returns the enabled jobs.
func (s *scrape) jobsOn() []status.Job {
	return slices.DeleteFunc(status.Jobs(), func(j status.Job) bool { return !s.state.Enabled[j] })
}

func (s *scrape) schedule() {
	s.gauge("recent_starts", float64(s.state.StartsSince(s.now.Add(-status.StartsWindow))))
	for _, j := range status.ScheduledJobs() {
		x := s.state.Jobs[j]
		if x.Next.IsZero() || !s.state.Enabled[j] {
			continue
		}
		s.gauge("next_run_timestamp_seconds", seconds(x.Next), string(j))
		s.gauge("schedule_interval_seconds", x.Interval.Seconds(), string(j))
		// In the moment between a run's end and the word of the next one nothing is due yet.
		s.gauge("due_timestamp_seconds", seconds(cmp.Or(x.Due, x.Next)), string(j))
	}
}

func (s *scrape) jobs() {
	for _, j := range s.jobsOn() {
		x := s.state.Jobs[j]
		s.gauge("last_success_timestamp_seconds", seconds(x.Success), string(j))
		s.gauge("last_attempt_timestamp_seconds", seconds(x.Attempt), string(j))
		s.gauge("failures_in_a_row", float64(x.Failures), string(j))
		s.truth("in_progress", x.Running, string(j))
	}
	failed := s.state.DrillFailed()
	if x := s.state.Jobs[status.Drill]; s.state.Enabled[status.Drill] && (failed || x.Failures == 0 && !x.Success.IsZero()) {
		s.truth("drill_passed", !failed)
	}
}

func (s *scrape) inventory() {
	for _, p := range status.Places() {
		i := s.state.Places[p]
		if !i.Listed {
			continue
		}
		bytes := int64(0)
		for _, c := range i.Copies {
			bytes += c.Size
		}
		s.gauge("snapshots", float64(len(i.Copies)), string(p))
		s.gauge("snapshots_bytes", float64(bytes), string(p))
	}
	damaged := map[string]bool{}
	for _, d := range s.state.Damages() {
		damaged[d.Name.String()] = true
	}
	s.gauge("damaged_snapshots", float64(len(damaged)))
	if s.state.Resources.Counts != nil {
		s.gauge("gone_resources", float64(len(s.state.GoneResources(s.now))))
	}
}

func (s *scrape) newest() {
	x, ok := s.state.Newest(s.now)
	if !ok {
		return
	}
	s.gauge("newest_archive_bytes", float64(x.Size))
	c, _ := s.state.Compare(retention.GuardWindow, s.now)
	for name, v := range map[string]int64{
		"newest_raw_bytes": x.RawSize, "newest_revision": x.Revision, "newest_in_use_bytes": x.InUse,
		"compared_raw_bytes": c.RawSize, "compared_revision": c.Revision, "compared_in_use_bytes": c.InUse,
	} {
		if v > 0 {
			s.gauge(name, float64(v))
		}
	}
	if c.Newest.KeysKnown {
		s.gauge("newest_keys", float64(c.Newest.Keys))
	} else if n, known := x.Keys.Get(); known { // another member takes the snapshots now
		s.gauge("newest_keys", float64(n))
	}
	if c.KeysKnown {
		s.gauge("compared_keys", float64(c.Keys))
	}
}

func (s *scrape) mirror() {
	if !s.state.Enabled[status.Mirror] {
		return
	}
	m := s.state.Mirror
	s.gauge("locked_snapshots", float64(m.Locked))
	if !s.state.Places[status.S3].Listed {
		return // 0 would look healthy
	}
	since := cmp.Or(m.PendingSince, s.now)
	s.gauge("waiting_snapshots", float64(len(m.Pending)))
	s.gauge("waiting_oldest_age_seconds", max(s.now.Sub(since), 0).Seconds())
}

func (s *scrape) etcd() {
	m := s.state.Member
	if m.Asked {
		s.truth("etcd_reachable", m.Away.IsZero())
	}
	if m.Seen.IsZero() {
		return
	}
	s.gauge("etcd_seen_timestamp_seconds", seconds(m.Seen))
	s.gauge("etcd_database_bytes", float64(m.Database))
	s.truth("etcd_has_leader", m.Leader)
	for _, a := range status.Alarms() {
		s.truth("etcd_alarm", slices.Contains(m.Alarms, a), a)
	}
}

func (s *scrape) stream() {
	x := s.state.Stream
	if x.Rate > 0 {
		s.gauge("stream_bytes_per_second", x.Rate)
	}
	for when, latency := range map[string]time.Duration{streamBefore: x.Latency.Before, streamDuring: x.Latency.During} {
		if latency > 0 {
			s.gauge("etcd_latency_seconds", latency.Seconds(), when)
		}
	}
}

// counters writes all series of the enabled jobs, also those with the value 0, so that the first event is a rise and not a new series.
func (s *scrape) counters() {
	c := s.state.Counters
	for _, j := range s.jobsOn() {
		s.counter("runs_total", c.Runs[status.Run{Job: j, Result: status.Succeeded}], string(j), string(status.Succeeded), none)
		s.runs(j, status.Failed, status.FailureReasons(j))
		s.runs(j, status.Skipped, status.SkipReasons(j))
	}
	s.counter("pruned_total", c.Pruned[status.Local], string(status.Local))
	s.counter("unmirrored_total", c.Unmirrored)
	s.counter("prune_failures_total", c.PruneFailures)
	s.counter("uploads_total", c.Uploads)
	s.add("uploaded_bytes_total", prometheus.CounterValue, float64(c.UploadedBytes))
	if s.state.Enabled[status.Mirror] {
		s.counter("pruned_total", c.Pruned[status.S3], string(status.S3))
		for _, r := range status.S3Reasons() {
			s.counter("s3_errors_total", c.S3Errors[r], string(r))
		}
	}
	for stage, j := range status.Stages() {
		if s.state.Enabled[j] {
			s.histogram(c.Stages[stage], string(stage))
		}
	}
}

// runs writes the counter for each of the reasons, and for other reasons if there are any.
func (s *scrape) runs(j status.Job, result status.Result, reasons []status.Reason) {
	count := func(r status.Reason) int { return s.state.Counters.Runs[status.Run{Job: j, Result: result, Reason: r}] }
	if !slices.Contains(reasons, status.Other) && count(status.Other) > 0 {
		reasons = append(reasons, status.Other)
	}
	for _, r := range reasons {
		s.counter("runs_total", count(r), string(j), string(result), string(r))
	}
}

func (s *scrape) histogram(d status.Durations, stage string) {
	buckets, counts := map[float64]uint64{}, slices.Concat(d.Buckets, make([]uint64, len(status.DurationBounds()))) // at least zeros
	for i, bound := range status.DurationBounds() {
		buckets[bound] = counts[i]
	}
	s.out = append(s.out, prometheus.MustNewConstHistogram(s.descs["stage_duration_seconds"], d.Count, d.Sum, buckets, stage))
}

// seconds returns Unix time; 0 for the zero time.
func seconds(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMilli()) / 1000
}
