// Package prometheus_test proves what lies in packaging/prometheus and packaging/grafana: that the programs which are to read
// it do, that it names what exists, and that a real Prometheus has an answer to every query.
package prometheus_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"etcd-rolling-backup/internal/proctest"
)

// alert is one rule of alerts.yaml.
type alert struct {
	Alert, Expr, For    string
	Labels, Annotations map[string]string
}

func alerts(t testing.TB) []alert {
	t.Helper()
	var file struct {
		Groups []struct {
			Name  string
			Rules []alert
		}
	}
	d := yaml.NewDecoder(strings.NewReader(read(t, "alerts.yaml")))
	d.KnownFields(true)
	must(t, d.Decode(&file))
	if len(file.Groups) != 1 {
		t.Fatalf("%d groups", len(file.Groups))
	}
	return file.Groups[0].Rules
}

func TestRules(t *testing.T) {
	promtool(t, "check", "rules", "--lint=all", "--lint-fatal", "alerts.yaml")
	promtool(t, "test", "rules", "alerts_test.yaml", "alerts_days_test.yaml")
	stories := read(t, "alerts_test.yaml") + read(t, "alerts_days_test.yaml")
	for _, a := range alerts(t) {
		if !strings.Contains(stories, fmt.Sprintf(`{alertname="%s"`, a.Alert)) || !strings.Contains(stories, "alertname: "+a.Alert+"\n") {
			t.Errorf("%s is not seen to fire, with its words", a.Alert)
		}
		if s := a.Labels["severity"]; s != "critical" && s != "warning" {
			t.Errorf("%s has the severity %q", a.Alert, s)
		}
	}
	if !strings.Contains(stories, "exp_samples: []") {
		t.Error("nothing is seen not to fire")
	}
}

// TestSections holds rules and docs/ALERTS.md together: each alert has one section, in the same order, and names it.
func TestSections(t *testing.T) {
	var have, want []string
	for _, m := range regexp.MustCompile(`(?m)^## (EtcdBackup\w+)$`).FindAllStringSubmatch(read(t, "../../docs/ALERTS.md"), -1) {
		have = append(have, m[1])
	}
	for _, a := range alerts(t) {
		want = append(want, a.Alert)
		if got, link := a.Annotations["runbook_url"], "docs/ALERTS.md#"+strings.ToLower(a.Alert); got != link {
			t.Errorf("%s names %s, want %s", a.Alert, got, link)
		}
	}
	if !slices.Equal(have, want) {
		t.Errorf("docs/ALERTS.md has the sections\n%q, the alerts are\n%q", have, want)
	}
}

// TestNames finds metrics in rules and dashboard that docs/METRICS.md does not have, and so the program neither.
func TestNames(t *testing.T) {
	known := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `(etcd_rolling_backup_\\w+)` \\| (\\w+) ").FindAllStringSubmatch(read(t, "../../docs/METRICS.md"), -1) {
		known[m[1]] = true
		if m[2] == "histogram" {
			for _, part := range []string{"_bucket", "_sum", "_count"} {
				known[m[1]+part] = true
			}
		}
	}
	if len(known) < 20 {
		t.Fatalf("docs/METRICS.md names %d metrics only", len(known))
	}
	for _, file := range []string{"alerts.yaml", "alerts_test.yaml", "alerts_days_test.yaml", "../grafana/dashboard.json", "README.md", "../../docs/ALERTS.md"} {
		for _, name := range regexp.MustCompile(`etcd_rolling_backup_\w+`).FindAllString(read(t, file), -1) {
			if !known[name] {
				t.Errorf("%s has %s, docs/METRICS.md does not", file, name)
			}
		}
	}
}

// TestFleets has real metrics scraped by a real Prometheus with the rules. In a fleet that is well no alert is so much as pending and
// each metric that a rule names is there; among nodes with every trouble each alert is raised.
func TestFleets(t *testing.T) {
	t.Run("well", func(t *testing.T) {
		fleet := []node{wellNode(t), wellNode(t), wellNode(t)}
		s := watch(t, addresses(fleet...)...)
		s.tells(t, "count(etcd_rolling_backup_ready) == 3") // counters are seen to rise from here
		for i, n := range fleet {
			n.works(i == 0)
		}
		checkDashboard(t, s, addresses(fleet...), nil)
		all, _ := fills(t, s, "")
		s.shows(t, all, "Unhealthy nodes", "", 0)
		s.shows(t, all, "Healthy", fleet[0].address, 1)
		s.shows(t, all, "etcd", fleet[0].address, 1)
		s.tells(t, all.Replace(expression(t, "Oldest last snapshot"))+" < 3600", all.Replace(expression(t, "Snapshots that fit"))+" > 100")
		for _, a := range alerts(t) {
			s.tells(t, selectors(a.Expr)...)
		}
		s.become(t, "inactive")
	})
	t.Run("ill", func(t *testing.T) {
		ill, blind := illNode(t), blindNode(t)
		silent, err := proctest.ReservePorts(1)
		must(t, err)
		s := watch(t, ill.address, blind.address, silent[0])
		s.tells(t, "etcd_rolling_backup_newest_raw_bytes", `up{job="etcd-rolling-backup"} == 0`)
		ill.shrinks()
		s.tells(t, "changes(etcd_rolling_backup_newest_raw_bytes[1m]) > 0")
		s.become(t, "pending", "firing")
		all, _ := fills(t, s, "")
		s.shows(t, all, "Nodes", "", 3)
		s.shows(t, all, "Unhealthy nodes", "", 3)
		for _, title := range []string{"Healthy", "Health"} {
			s.shows(t, all, title, silent[0], -1)
			s.shows(t, all, title, ill.address, 0)
		}
		s.shows(t, all, "etcd", ill.address, 0)
		ill.MemberAway(time.Now())
		s.shows(t, all, "etcd", ill.address, -1)
		s.shows(t, all, "Snapshots that fit", "", 0)
		s.shows(t, all, "Fit", ill.address, 0)
		never := " > 1e9" // as the mappings have it
		s.tells(t, all.Replace(expression(t, "Oldest last snapshot"))+never, all.Replace(expression(t, "Last snapshot"))+never)
	})
}

// selectors are the series that an expression asks for.
func selectors(expr string) []string {
	found := regexp.MustCompile(`\b(etcd_rolling_backup_\w+|up\b)(\{[^}]*\})?`).FindAllString(expr, -1)
	slices.Sort(found)
	return slices.Compact(found)
}
