// Package metrics serves the state of the backups over HTTP: Prometheus metrics, /readyz with reasons, and the status page.
//
// Invariants: every answer is computed from one status.State at the time of the request, so the answers never contradict each other;
// a request here causes no request to etcd or S3; label values come from fixed sets, never from an error's text.
package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"etcd-rolling-backup/daemon/status"
	"etcd-rolling-backup/metrics/page"
)

// Options say what to show. State and Problems are required.
type Options struct {
	Version string
	// State returns the current state, and Problems the reasons why the backups are unhealthy.
	State    func() status.State
	Problems func() []status.Problem
	// FreeBytes returns the free bytes in the file system of the snapshots. It is called for each scrape and each page, from several
	// goroutines, and must return immediately. nil: not known.
	FreeBytes func() (int64, error)
	// MinFree returns how many bytes a snapshot must leave free there now; nil: none.
	MinFree func() int64
	// Audience says who may read the page and the texts of /readyz.
	Audience Audience
	// Page has further content of the status page.
	Page page.Options
	// Now is the clock; nil: the wall clock.
	Now func() time.Time
}

// Metrics is a Prometheus collector and the HTTP handler.
type Metrics struct {
	o        Options
	registry *prometheus.Registry
	descs    map[string]*prometheus.Desc
}

// New makes a Metrics with a registry of its own.
func New(o Options) *Metrics {
	if o.MinFree == nil {
		o.MinFree = func() int64 { return 0 }
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	m := &Metrics{o: o, registry: prometheus.NewPedanticRegistry(), descs: map[string]*prometheus.Desc{}}
	for _, f := range families() {
		var labels []string
		for _, l := range f.labels {
			labels = append(labels, l.name)
		}
		m.descs[f.name] = prometheus.NewDesc(prefix+f.name, f.help, labels, nil)
	}
	m.registry.MustRegister(m, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

func (m *Metrics) free() (int64, bool) {
	if m.o.FreeBytes == nil {
		return 0, false
	}
	n, err := m.o.FreeBytes()
	return n, err == nil
}
