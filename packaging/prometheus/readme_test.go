package prometheus_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"etcd-rolling-backup/internal/proctest"
)

// TestReadme runs the page's commands in order, with its configurations in place, /etc/prometheus being elsewhere.
func TestReadme(t *testing.T) {
	root, err := filepath.Abs("../..")
	must(t, err)
	etc := filepath.Join(t.TempDir(), "prometheus")
	must(t, os.Mkdir(etc, 0o700))
	place := strings.NewReplacer("/etc/prometheus", etc)
	for _, name := range []string{"etcd-rolling-backup-ca.crt", "etcd-rolling-backup-password"} {
		must(t, os.WriteFile(filepath.Join(etc, name), nil, 0o600)) // promtool wants them to be there
	}
	ran, configs := 0, 0
	for _, m := range regexp.MustCompile("(?ms)^```(\\w+)\n(.*?)^```$").FindAllStringSubmatch(read(t, "README.md"), -1) {
		language, text := m[1], place.Replace(m[2])
		switch {
		case language == "yaml" && strings.Contains(text, "scrape_configs:"):
			configs++
			config := filepath.Join(etc, "prometheus.yml")
			must(t, os.WriteFile(config, []byte(text), 0o600))
			promtool(t, "check", "config", "--lint=all", "--lint-fatal", config)
		case language == "yaml" && !strings.HasPrefix(text, "# not tested\n"):
			t.Errorf("nothing checks\n%s", text)
		case language == "sh":
			ran++
			c := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", text)
			c.Dir = root
			c.Env = append(proctest.Environ(), "PATH="+filepath.Dir(program(t, "promtool"))+":"+os.Getenv("PATH"))
			if out, err := c.CombinedOutput(); err != nil {
				t.Errorf("%s: %v\n%s", text, err, out)
			}
		}
	}
	if ran != 3 || configs != 2 {
		t.Errorf("%d blocks of shell and %d configurations", ran, configs)
	}
	rules := filepath.Join(etc, "rules", "etcd-rolling-backup.yaml")
	promtool(t, "check", "rules", "--lint=all", "--lint-fatal", rules)
	for _, a := range alerts(t) {
		if link := "runbook_url: https://git.example.com/infra/etcd-rolling-backup/src/branch/main/docs/ALERTS.md#" + strings.ToLower(a.Alert) + "\n"; !strings.Contains(read(t, rules), link) {
			t.Errorf("%s is not led to its section", a.Alert)
		}
	}
}

// TestInhibits has each alert either inhibit EtcdBackupNotReady or named here as one that comes without a word of /readyz.
func TestInhibits(t *testing.T) {
	apart := []string{"EtcdBackupShrank", "EtcdBackupRevisionFell", "EtcdBackupNobody", "EtcdBackupDiskWillFill", "EtcdBackupAbsent", "EtcdBackupNotReady"}
	m := regexp.MustCompile(`source_matchers: \['alertname=~"([^"]+)"'\]`).FindStringSubmatch(read(t, "README.md"))
	if m == nil {
		t.Fatal("README.md has no rule to inhibit by")
	}
	inhibits := regexp.MustCompile("^(?:" + m[1] + ")$")
	for _, a := range alerts(t) {
		if inhibits.MatchString(a.Alert) == slices.Contains(apart, a.Alert) {
			t.Errorf("%s inhibits: %v", a.Alert, inhibits.MatchString(a.Alert))
		}
	}
	if want := len(alerts(t)) - len(apart); strings.Count(m[1], "|")+1 != want {
		t.Errorf("%s does not name %d alerts", m[1], want)
	}
}
