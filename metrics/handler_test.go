package metrics_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"etcd-rolling-backup/daemon/status"
	"etcd-rolling-backup/internal/statustest"
	"etcd-rolling-backup/metrics"
)

func TestHandlerAnswers(t *testing.T) {
	healthy, unhealthy := serve(t, handler(statustest.Healthy)), serve(t, handler(statustest.Unhealthy))
	for _, c := range []struct {
		url    string
		status int
		body   string
	}{
		{healthy + "/healthz", 200, "ok\n"},
		{unhealthy + "/healthz", 200, "ok\n"},
		{healthy + "/readyz", 200, "ok\n"},
		{unhealthy + "/readyz", 503, "\ndamage was found in rolling_node-a_20261122T120000Z.db.zst on the disk: page 17 of the database does not match its digest\n"},
		{healthy + "/metrics", 200, "\netcd_rolling_backup_ready 1\n"},
		{unhealthy + "/metrics", 200, "\netcd_rolling_backup_ready 0\n"},
		{healthy + "/", 200, "<h1>Healthy</h1>"},
		{unhealthy + "/", 200, "<h1>Needs attention</h1>"},
		{healthy + "/else", 404, ""},
	} {
		r := ask(t, c.url)
		if r.status != c.status || !strings.Contains(r.body, c.body) {
			t.Errorf("%s: %d, want %d with %q:\n%.2000s", c.url, r.status, c.status, c.body, r.body)
		}
	}
	post, err := http.NewRequest(http.MethodPost, healthy+"/readyz", nil)
	if err != nil {
		t.Fatal(err)
	}
	if r := send(t, client(), post); r.status != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", r.status)
	}
}

func TestPageIsServedWithItsPolicy(t *testing.T) {
	r := ask(t, serve(t, handler(statustest.Healthy))+"/")
	for header, want := range map[string]string{
		"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:",
		"Content-Type":            "text/html; charset=utf-8",
		"X-Content-Type-Options":  "nosniff",
		"Referrer-Policy":         "no-referrer",
		"Cache-Control":           "no-store",
	} {
		if got := r.header.Get(header); !strings.HasPrefix(got, want) {
			t.Errorf("%s: %q, want %q", header, got, want)
		}
	}
}

// TestProblemsAreShownEverywhere: also those that the State knows nothing of, such as a disk that is another one.
func TestProblemsAreShownEverywhere(t *testing.T) {
	now := noon
	tr := statustest.Healthy(&now)
	for _, problems := range [][]status.Problem{nil, {{Text: "the disk is another"}}, {{Text: "the disk is another"}, {Text: "the log is blocked"}}} {
		h := metrics.New(metrics.Options{State: tr.State, Problems: func() []status.Problem { return problems }, Now: func() time.Time { return now }}).Handler()
		code, ready := get(t, h, "/readyz")
		_, html := get(t, h, "/")
		_, body := get(t, h, "/metrics")
		wantCode, wantReady, wantGauge := 200, "ok\n", 1
		if problems != nil {
			wantCode, wantReady, wantGauge = 503, "", 0
		}
		for _, p := range problems {
			wantReady += p.Text + "\n"
			if !strings.Contains(html, "<li>"+p.Text+"</li>") {
				t.Errorf("the page lacks %q", p.Text)
			}
		}
		if code != wantCode || ready != wantReady {
			t.Errorf("/readyz: %d %q, want %d %q", code, ready, wantCode, wantReady)
		}
		if !slices.Contains(ours(body), fmt.Sprintf("ready %d", wantGauge)) {
			t.Errorf("ready is not %d", wantGauge)
		}
		if strings.Contains(html, "<h1>Healthy</h1>") != (problems == nil) {
			t.Error("the page's headline says otherwise")
		}
	}
}
