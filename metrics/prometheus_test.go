package metrics_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"etcd-rolling-backup/internal/proctest"
	"etcd-rolling-backup/internal/statustest"
	"etcd-rolling-backup/metrics"
)

// TestPrometheusScrapes has a real Prometheus scrape over TLS with a password, as it would any exporter.
func TestPrometheusScrapes(t *testing.T) {
	config, _ := webConfig(t)
	addr := start(t, metrics.ServerOptions{Handler: handler(statustest.Unhealthy), WebConfig: config})
	dir := t.TempDir()
	file := filepath.Join(dir, "prometheus.yml")
	text := fmt.Sprintf(`
global: {scrape_interval: 200ms, scrape_timeout: 200ms}
scrape_configs:
- job_name: etcd-rolling-backup
  scheme: https
  basic_auth: {username: prometheus, password: right}
  tls_config: {ca_file: %s}
  static_configs: [{targets: [%q]}]
`, filepath.Join(filepath.Dir(config), "cert.pem"), addr)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	api := prometheus(t, dir, file)
	for query, want := range map[string]string{
		"up":                        "1",
		"etcd_rolling_backup_ready": "0",
		`etcd_rolling_backup_runs_total{kind="snapshot",reason="unreachable"}`: "4",
		`count(etcd_rolling_backup_runs_total{kind="mirror"})`:                 "18",
	} {
		got, deadline := "", time.Now().Add(30*time.Second)
		for got != want && time.Now().Before(deadline) {
			got = value(t, api+"/api/v1/query?query="+url.QueryEscape(query))
			time.Sleep(50 * time.Millisecond)
		}
		if got != want {
			t.Errorf("%s is %q, want %q", query, got, want)
		}
	}
}

// prometheus runs one until the test ends, and gives its URL.
func prometheus(t *testing.T, dir, config string) string {
	t.Helper()
	ports, err := proctest.ReservePorts(1) // it can't tell which port it was given
	if err != nil {
		t.Fatal(err)
	}
	addr := ports[0]
	var out bytes.Buffer
	c := exec.Command(program(t, "prometheus"), "--config.file="+config, "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+addr)
	c.Stdout, c.Stderr = &out, &out
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.Process.Signal(os.Interrupt)
		if err := c.Wait(); err != nil || t.Failed() {
			t.Logf("prometheus: %v\n%s", err, out.String())
		}
	})
	return "http://" + addr
}

// value is the first value of a query's answer, "" if there is none yet.
func value(t *testing.T, query string) string {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, query, nil)
	if err != nil {
		t.Fatal(err)
	}
	r, err := client().Do(req)
	if err != nil {
		return "" // it is still starting
	}
	defer r.Body.Close()
	var answer struct {
		Data struct {
			Result []struct{ Value [2]any }
		}
	}
	if json.NewDecoder(r.Body).Decode(&answer) != nil || len(answer.Data.Result) == 0 {
		return ""
	}
	return fmt.Sprint(answer.Data.Result[0].Value[1])
}
