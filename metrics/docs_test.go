package metrics

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"

	"etcd-rolling-backup/daemon/status"
	"etcd-rolling-backup/internal/statustest"
	"etcd-rolling-backup/snapshot"
)

// The table of docs/METRICS.md is made from the families of which the code makes its collectors.
//
//	go test ./metrics -run TestTableOfTheDocs -update    writes the table again
var update = flag.Bool("update", false, "write the generated table of docs/METRICS.md again")

const (
	tableBegin = "<!-- metrics -->\n"
	tableEnd   = "<!-- end -->"
)

func TestTableOfTheDocsMatchesTheProgram(t *testing.T) {
	path := filepath.Join("..", "docs", "METRICS.md")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), tableBegin)
	got, after, ended := strings.Cut(rest, tableEnd)
	if !ok || !ended {
		t.Fatalf("%s has no table between %q and %q", path, tableBegin, tableEnd)
	}
	want := table()
	if got == want {
		return
	}
	if !*update {
		t.Fatalf("the table does not match the program; -update writes it again. It should be:\n%s", want)
	}
	if err := os.WriteFile(path, []byte(before+tableBegin+want+tableEnd+after), 0o600); err != nil {
		t.Fatal(err)
	}
}

func table() string {
	var b strings.Builder
	b.WriteString("\n| metric | type | labels | meaning |\n| --- | --- | --- | --- |\n")
	for _, f := range families() {
		var labels []string
		for _, l := range f.labels {
			labels = append(labels, labelWords(l))
		}
		fmt.Fprintf(&b, "| `%s%s` | %s | %s | %s |\n", prefix, f.name, f.kind, strings.Join(labels, "; "), f.help)
	}
	b.WriteString("\n| `kind` | `reason` of a failure | `reason` of a skip |\n| --- | --- | --- |\n")
	for _, j := range status.Jobs() {
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", j, quoted(words(status.FailureReasons(j))), quoted(words(status.SkipReasons(j))))
	}
	b.WriteString("\n")
	return b.String()
}

func labelWords(l label) string {
	if l.values == nil || l.name == "reason" { // its words have a table of their own
		return "`" + l.name + "`"
	}
	return "`" + l.name + "`: " + quoted(l.values)
}

func quoted(in []string) string {
	if len(in) == 0 {
		return ""
	}
	return "`" + strings.Join(in, "`, `") + "`"
}

// TestScrapeMatchesTheFamilies: nothing is shown that is not described, with label values out of the set, nor described and never
// shown.
func TestScrapeMatchesTheFamilies(t *testing.T) {
	described := map[string]family{}
	for _, f := range families() {
		described[prefix+f.name] = f
	}
	gathered, err := full().registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	runtime := map[string]bool{}
	for _, g := range gathered {
		name := g.GetName()
		f, ok := described[name]
		if !ok {
			family, _, _ := strings.Cut(name, "_")
			runtime[family] = true
			continue
		}
		delete(described, name)
		if kind := strings.ToLower(g.GetType().String()); kind != f.kind || g.GetHelp() != f.help {
			t.Errorf("%s is a %s: %s", name, kind, g.GetHelp())
		}
		for _, m := range g.GetMetric() {
			checkLabels(t, name, f, m.GetLabel())
		}
	}
	for name := range described {
		t.Errorf("%s is described and never shown", name)
	}
	if len(runtime) != 2 || !runtime["go"] || !runtime["process"] {
		t.Errorf("besides its own the scrape has %v, want go and process", runtime)
	}
}

func checkLabels(t *testing.T, name string, f family, got []*dto.LabelPair) {
	t.Helper()
	if len(got) != len(f.labels) {
		t.Errorf("%s has the labels %v", name, got)
	}
	for _, pair := range got {
		found := false
		for _, l := range f.labels {
			if l.name != pair.GetName() {
				continue
			}
			found = l.values == nil
			for _, v := range l.values {
				found = found || v == pair.GetValue()
			}
		}
		if !found {
			t.Errorf("%s has %s, which is not in its set", name, pair)
		}
	}
}

// full has everything to show.
func full() *Metrics {
	now := statustest.Noon()
	tr := statustest.Unhealthy(&now)
	tr.SetStateFile(true)
	tr.SetJournal(func(j *status.Journal) {
		j.On = true
		j.Prove(status.Proof{At: now, Restored: 1})
	})
	tr.SetWaitingSegments(1, 1)
	tr.SetStream(status.Stream{Rate: 1, Latency: snapshot.Latency{Before: 1, During: 1}})
	return New(Options{
		State: tr.State, Problems: tr.Problems, FreeBytes: func() (int64, error) { return 1, nil }, Now: statustest.Noon,
	})
}
