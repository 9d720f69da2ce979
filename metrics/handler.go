package metrics

import (
	"net/http"
	"strings"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// policy lets the page be itself and nothing more: no script, no request, no frame around it.
const policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// Handler answers /metrics, /healthz, /readyz and, at /, the status page. GET and HEAD only.
func (m *Metrics) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{EnableOpenMetrics: true, MaxRequestsInFlight: 8}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { plain(w, http.StatusOK, "ok\n") })
	mux.HandleFunc("GET /readyz", m.readyz)
	mux.HandleFunc("GET /{$}", m.statusPage)
	return mux
}

// readyz is 200 and "ok", or 503 and one reason a line.
func (m *Metrics) readyz(w http.ResponseWriter, _ *http.Request) {
	if ok, reasons := m.Health(m.o.Now()); !ok {
		plain(w, http.StatusServiceUnavailable, strings.Join(reasons, "\n")+"\n")
		return
	}
	plain(w, http.StatusOK, "ok\n")
}

func (m *Metrics) statusPage(w http.ResponseWriter, _ *http.Request) {
	page, err := m.page()
	if err != nil {
		plain(w, http.StatusInternalServerError, "the status page failed; /readyz and /metrics tell the same\n")
		return
	}
	common(w)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", policy)
	w.Header().Set("Referrer-Policy", "no-referrer")
	write(w, page)
}

func plain(w http.ResponseWriter, status int, text string) {
	common(w)
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	write(w, []byte(text))
}

func common(w http.ResponseWriter) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
}

// write leaves an error alone: nobody is left to tell when the client has gone away.
func write(w http.ResponseWriter, b []byte) { _, _ = w.Write(b) }
