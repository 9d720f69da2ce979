package metrics

import (
	"cmp"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// Options say what there is to tell of. All but Version may be left out.
type Options struct {
	Version string
	Node    string // shown on the status page
	// Mirror, Verify and Drill tell which kinds of work there are beside snapshots. What is off is neither told nor missed.
	Mirror, Verify, Drill bool
	// FreeBytes asks the backup's file system; it is called on each scrape and each page, from several goroutines, and is
	// to return at once.
	FreeBytes func() (int64, error)
	// MinFree is how many bytes snapshots leave free there.
	MinFree int64
	// RestoreCommand gives the command line that restores the named snapshot from a place, to be shown as it is.
	RestoreCommand func(name string, from Place) string
	// RestoreNotes are lines of text that the page shows below that command.
	RestoreNotes []string
	// Proves is the place whose copies are verified and drilled; "" is Local.
	Proves Place
	// Others gives, in plain sentences, what else keeps all from being well. It is asked each time and returns at once, without a word to
	// Metrics.
	Others func() []string
	// Now is the clock; nil: the wall clock.
	Now func() time.Time
}

// Metrics holds the state. Its methods may be called from any goroutine.
type Metrics struct {
	o        Options
	registry *prometheus.Registry
	descs    map[string]*prometheus.Desc // of the gauges, which are made anew for each scrape

	runs, pruned, s3Errors *prometheus.CounterVec
	uploads, uploaded      prometheus.Counter
	pruneFailures          prometheus.Counter
	unmirrored             prometheus.Counter
	stages                 *prometheus.HistogramVec

	mu    sync.Mutex
	state *state
}

// New makes a Metrics with a registry of its own. Until Rebuilt it is not healthy and counts nothing.
func New(o Options) *Metrics {
	if o.Now == nil {
		o.Now = time.Now
	}
	o.Proves = cmp.Or(o.Proves, Local)
	var on []Kind
	for k, yes := range map[Kind]bool{Mirror: o.Mirror, Verify: o.Verify, Drill: o.Drill} {
		if yes {
			on = append(on, k)
		}
	}
	m := &Metrics{o: o, registry: prometheus.NewPedanticRegistry(), descs: map[string]*prometheus.Desc{}, state: newState(on...)}
	m.state.proves, m.state.others = o.Proves, o.Others
	for _, f := range families() {
		m.register(f)
	}
	m.registry.MustRegister(m, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.zero()
	return m
}

// register makes a family's collector, or its descriptor if it is a gauge.
func (m *Metrics) register(f family) {
	var labels []string
	for _, l := range f.labels {
		labels = append(labels, l.name)
	}
	opts := prometheus.CounterOpts{Name: prefix + f.name, Help: f.help}
	switch f.name {
	case runsTotal:
		m.runs = prometheus.NewCounterVec(opts, labels)
		m.registry.MustRegister(m.runs)
	case prunedTotal:
		m.pruned = prometheus.NewCounterVec(opts, labels)
		m.registry.MustRegister(m.pruned)
	case pruneFailures:
		m.pruneFailures = prometheus.NewCounter(opts)
		m.registry.MustRegister(m.pruneFailures)
	case unmirroredTotal:
		m.unmirrored = prometheus.NewCounter(opts)
		m.registry.MustRegister(m.unmirrored)
	case s3ErrorsTotal:
		m.s3Errors = prometheus.NewCounterVec(opts, labels)
		m.registry.MustRegister(m.s3Errors)
	case uploadsTotal:
		m.uploads = prometheus.NewCounter(opts)
		m.registry.MustRegister(m.uploads)
	case uploadedBytes:
		m.uploaded = prometheus.NewCounter(opts)
		m.registry.MustRegister(m.uploaded)
	case stageSeconds:
		// From a small database on a fast disk to one of 8 GiB over a slow line.
		buckets := []float64{.01, .03, .1, .3, 1, 3, 10, 30, 60, 120, 300, 600, 1200, 3600}
		m.stages = prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: opts.Name, Help: opts.Help, Buckets: buckets}, labels)
		m.registry.MustRegister(m.stages)
	default:
		m.descs[f.name] = prometheus.NewDesc(opts.Name, opts.Help, labels, nil)
	}
}

// zero makes each series of the kinds that are on, so that its first event is a rise from 0 and not a new series.
func (m *Metrics) zero() {
	on := m.state.switched
	for _, k := range kinds() {
		if !on[k] {
			continue
		}
		m.runs.WithLabelValues(string(k), success, string(none))
		for _, r := range failures(k) {
			m.runs.WithLabelValues(string(k), failure, string(r))
		}
		for _, r := range skips(k) {
			m.runs.WithLabelValues(string(k), skipped, string(r))
		}
	}
	m.pruned.WithLabelValues(string(Local))
	if on[Mirror] {
		m.pruned.WithLabelValues(string(S3))
		for _, r := range s3Reasons() {
			m.s3Errors.WithLabelValues(string(r))
		}
	}
	of := map[string]Kind{"upload": Mirror, "verify": Verify, "drill": Drill}
	for _, stage := range stages() {
		if k, special := of[stage]; !special || on[k] {
			m.stages.WithLabelValues(stage)
		}
	}
}

// change runs f on the state. count tells f whether events are to be counted: those before Rebuilt were, by the process
// that saw them.
func (m *Metrics) change(f func(s *state, count bool)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f(m.state, m.state.rebuilt)
}

// observe counts a stage; what took no time did not take place.
func (m *Metrics) observe(stage string, took time.Duration) {
	if took > 0 {
		m.stages.WithLabelValues(stage).Observe(took.Seconds())
	}
}

// Health tells whether all is well at this moment, and if not, why, in plain sentences.
func (m *Metrics) Health(now time.Time) (ok bool, reasons []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	reasons = m.state.reasons(now)
	return len(reasons) == 0, reasons
}
