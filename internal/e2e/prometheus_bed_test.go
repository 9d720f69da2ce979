package e2e_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"etcd-rolling-backup/internal/proctest"
)

// prometheus is a real one that has loaded the alert rules of this repository as they are.
type prometheus struct{ base string }

// newPrometheus starts one that looks at the target each second.
func newPrometheus(t *testing.T, target string) *prometheus {
	t.Helper()
	dir := t.TempDir()
	rules, err := filepath.Abs(filepath.Join("..", "..", "packaging", "prometheus", "alerts.yaml"))
	must(t, err)
	program, err := proctest.Program("prometheus")
	must(t, err)
	config := filepath.Join(dir, "prometheus.yml")
	must(t, os.WriteFile(config, fmt.Appendf(nil, `
global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}
rule_files: [%q]
scrape_configs: [{job_name: etcd-rolling-backup, static_configs: [{targets: [%q]}]}]
`, rules, target), 0o600))
	_, address := onFreePort(t, func(address string) *proctest.Server {
		return &proctest.Server{
			Name: "prometheus", Program: program, Env: proctest.Environ(), LogPath: filepath.Join(dir, "log"),
			Args: []string{"--config.file=" + config, "--storage.tsdb.path=" + filepath.Join(dir, "data"), "--web.listen-address=" + address},
			Probe: func(context.Context) error {
				status, body, err := ask(&http.Transport{}, "http://"+address+"/-/ready", "")
				if err == nil && status != http.StatusOK {
					err = errors.New(body)
				}
				return err
			},
		}
	})
	return &prometheus{"http://" + address}
}

// raised are the alerts that are pending or firing, each with its farther state.
func (p *prometheus) raised() (map[string]string, error) {
	_, body, err := ask(&http.Transport{}, p.base+"/api/v1/rules", "")
	if err != nil {
		return nil, err
	}
	var answer struct {
		Data struct {
			Groups []struct {
				Rules []struct{ Name, State, Health, LastError string }
			}
		}
	}
	if err := json.Unmarshal([]byte(body), &answer); err != nil {
		return nil, err
	}
	if len(answer.Data.Groups) != 1 {
		return nil, fmt.Errorf("%d groups of rules", len(answer.Data.Groups))
	}
	raised := map[string]string{}
	for _, r := range answer.Data.Groups[0].Rules {
		if r.Health != "ok" {
			return nil, fmt.Errorf("%s: health %s %s", r.Name, r.Health, r.LastError)
		}
		if r.State != "inactive" {
			raised[r.Name] = r.State
		}
	}
	return raised, nil
}

// shows waits until these alerts are raised, this far, and no others, for endLimit and the time that they need. A single one that comes and goes is let pass: on a busy
// machine a scrape may come too late.
func (p *prometheus) shows(t *testing.T, want map[string]string, need time.Duration) {
	t.Helper()
	began := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), endLimit+need)
	defer cancel()
	var got map[string]string
	var last error
	err := proctest.Poll(ctx, 100*time.Millisecond, func() (bool, error) {
		got, last = p.raised()
		return last == nil && maps.Equal(got, want), nil
	})
	if err != nil {
		t.Fatalf("after %s the alerts are %v (%v), want %v", endLimit+need, got, last, want)
	}
	t.Logf("alerts after %s: %v", time.Since(began).Round(100*time.Millisecond), got)
}
