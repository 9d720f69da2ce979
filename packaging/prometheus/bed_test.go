package prometheus_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"etcd-rolling-backup/internal/proctest"
)

// settleLimit bounds the wait for what Prometheus is to see; it scrapes and evaluates several times a second.
const settleLimit = 60 * time.Second

// program is one that `make tools` fetched.
func program(t testing.TB, name string) string {
	t.Helper()
	path, err := proctest.Program(name)
	must(t, err)
	return path
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func read(t testing.TB, path ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(path...))
	must(t, err)
	return string(text)
}

// promtool demands that it succeeds.
func promtool(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), program(t, "promtool"), args...).CombinedOutput(); err != nil {
		t.Errorf("promtool %q: %v\n%s", args, err, out)
	}
}

// eventually waits until the condition says nothing more.
func eventually(t testing.TB, condition func(context.Context) string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), settleLimit)
	defer cancel()
	why := ""
	err := proctest.Poll(ctx, 50*time.Millisecond, func() (bool, error) {
		if now := condition(ctx); ctx.Err() == nil {
			why = now
		}
		return why == "", nil
	})
	if err != nil {
		t.Errorf("after %v: %s", settleLimit, why)
	}
}

// server is a real Prometheus with the rules of alerts.yaml.
type server struct{ url string }

// watch starts a Prometheus that scrapes the targets under the job's usual name, and itself under another.
func watch(t *testing.T, targets ...string) server {
	t.Helper()
	dir := t.TempDir()
	rules, err := filepath.Abs("alerts.yaml")
	must(t, err)
	list, err := json.Marshal(targets)
	must(t, err)
	config := filepath.Join(dir, "prometheus.yml")
	for {
		// It can't tell which port it was given, so it is told one that was free just now.
		ports, err := proctest.ReservePorts(1)
		must(t, err)
		must(t, os.WriteFile(config, fmt.Appendf(nil, `
global: {scrape_interval: 500ms, scrape_timeout: 500ms, evaluation_interval: 500ms}
rule_files: [%q]
scrape_configs:
  - {job_name: etcd-rolling-backup, static_configs: [{targets: %s}]}
  - {job_name: prometheus, static_configs: [{targets: [%q]}]}
`, rules, list, ports[0]), 0o600))
		s := server{"http://" + ports[0]}
		p := &proctest.Server{
			Name: "prometheus", Program: program(t, "prometheus"), Env: proctest.Environ(), LogPath: filepath.Join(dir, "log"),
			Args: []string{"--config.file=" + config, "--storage.tsdb.path=" + filepath.Join(dir, "data"), "--web.listen-address=" + ports[0]},
			Probe: func(ctx context.Context) error {
				return ask(ctx, s.url+"/-/ready", nil)
			},
		}
		if !runs(t, p) {
			continue
		}
		return s
	}
}

// ask gets a URL and, where into is given, decodes the JSON of its answer.
func ask(ctx context.Context, address string, into any) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	r, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		return err
	}
	defer r.Body.Close()
	if into != nil { // Prometheus explains a refusal in JSON too
		return json.NewDecoder(r.Body).Decode(into)
	}
	if r.StatusCode != http.StatusOK {
		return errors.New(r.Status)
	}
	return nil
}

// series is one with a value.
type series struct {
	labels map[string]string
	value  float64
}

// query gives the series with a value that an expression has now.
func (s server) query(ctx context.Context, expr string) ([]series, error) {
	var answer struct {
		Error string
		Data  struct {
			Result []struct {
				Metric map[string]string
				Value  [2]any
			}
		}
	}
	if err := ask(ctx, s.url+"/api/v1/query?query="+url.QueryEscape(expr), &answer); err != nil {
		return nil, err
	}
	if answer.Error != "" {
		return nil, errors.New(answer.Error)
	}
	var out []series
	for _, r := range answer.Data.Result {
		if v, err := strconv.ParseFloat(fmt.Sprint(r.Value[1]), 64); err == nil && !math.IsNaN(v) {
			out = append(out, series{r.Metric, v})
		}
	}
	return out, nil
}

// tells waits until each expression has a series with a value.
func (s server) tells(t *testing.T, exprs ...string) {
	t.Helper()
	for _, expr := range exprs {
		eventually(t, func(ctx context.Context) string {
			found, err := s.query(ctx, expr)
			if err != nil || len(found) == 0 {
				return fmt.Sprintf("%s has no series (%v)", expr, err)
			}
			return ""
		})
	}
}

// become waits until each rule, evaluated after the call, is in one of the states. It waits, for on a busy machine a scrape may
// come too late and be made good by the next.
func (s server) become(t *testing.T, states ...string) {
	t.Helper()
	began := time.Now()
	eventually(t, func(ctx context.Context) string {
		var answer struct {
			Data struct {
				Groups []struct {
					Rules []struct {
						Name, State, Health, LastError string
						LastEvaluation                 time.Time
					}
				}
			}
		}
		if err := ask(ctx, s.url+"/api/v1/rules", &answer); err != nil || len(answer.Data.Groups) != 1 {
			return fmt.Sprintf("%d groups (%v)", len(answer.Data.Groups), err)
		}
		for _, r := range answer.Data.Groups[0].Rules {
			if r.Health != "ok" || r.LastEvaluation.Before(began) || !slices.Contains(states, r.State) {
				return fmt.Sprintf("%s is %s, health %s %s; want %q", r.Name, r.State, r.Health, r.LastError, states)
			}
		}
		return ""
	})
}

// runs starts a server that stops at the end of the test; false: somebody has taken its port.
func runs(t *testing.T, p *proctest.Server) bool {
	t.Helper()
	err := p.Run(t.Context())
	if errors.Is(err, proctest.ErrPortTaken) {
		return false
	}
	must(t, err)
	t.Cleanup(func() {
		if err := p.Stop(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("%s", p.Tail(0))
		}
	})
	return true
}
