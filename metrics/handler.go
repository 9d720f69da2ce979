package metrics

import (
	"net/http"
	"strings"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"etcd-rolling-backup/internal/printable"
	"etcd-rolling-backup/metrics/page"
)

// Handler serves /metrics, /healthz, /readyz and, at /, the status page. GET and HEAD only.
func (m *Metrics) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{EnableOpenMetrics: true}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { plain(w, http.StatusOK, "ok\n") })
	mux.HandleFunc("GET /readyz", m.readyz)
	mux.HandleFunc("GET /{$}", m.statusPage)
	return mux
}

// readyz answers 200 and "ok", or 503 with one problem per line: its text, or only its code for clients that the Audience does not trust.
func (m *Metrics) readyz(w http.ResponseWriter, r *http.Request) {
	problems := m.o.Problems()
	if len(problems) == 0 {
		plain(w, http.StatusOK, "ok\n")
		return
	}
	trusted := m.o.Audience.trusts(r)
	var text strings.Builder
	for _, p := range problems {
		if trusted {
			text.WriteString(printable.Text(p.Text) + "\n")
		} else {
			text.WriteString(string(p.Code) + "\n")
		}
	}
	plain(w, http.StatusServiceUnavailable, text.String())
}

func (m *Metrics) statusPage(w http.ResponseWriter, r *http.Request) {
	if !m.o.Audience.trusts(r) {
		plain(w, http.StatusForbidden, "The status page is shown on this machine only, for example at http://127.0.0.1:9979. For other machines, set a\n"+
			"password with --web-config, or allow everybody with --status-page network. /metrics, /healthz and /readyz are open.\n")
		return
	}
	free, known := m.free()
	if !known {
		free = -1
	}
	html, err := page.Render(m.o.State(), m.o.Problems(), free, m.o.Now(), m.o.Page)
	if err != nil {
		plain(w, http.StatusInternalServerError, "the status page failed; /readyz and /metrics show the same\n")
		return
	}
	w.Header().Set("Content-Security-Policy", page.SecurityPolicy)
	w.Header().Set("Referrer-Policy", "no-referrer")
	answer(w, http.StatusOK, "text/html", html)
}

func plain(w http.ResponseWriter, status int, text string) {
	answer(w, status, "text/plain", []byte(text))
}

func answer(w http.ResponseWriter, status int, kind string, body []byte) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Content-Type", kind+"; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(body) // an error means that the client has disconnected
}
