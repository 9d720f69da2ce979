package metrics

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
)

// docs/METRICS.md is held to the program: its table is made from the families of which the code makes its collectors.
//
//	go test ./metrics -run TestDocs -update    writes the table anew
var update = flag.Bool("update", false, "write the generated table of docs/METRICS.md anew")

const (
	tableBegin = "<!-- metrics -->\n"
	tableEnd   = "<!-- end -->"
)

func TestDocs(t *testing.T) {
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
		t.Fatalf("the table is not what the program has; -update writes it anew. It should be:\n%s", want)
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
	for _, k := range kinds() {
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", k, quoted(words(failures(k))), quoted(words(skips(k))))
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

// TestFamilies holds the scrape to the families: nothing is told that is not described, with label values out of the set, nor
// described and never told.
func TestFamilies(t *testing.T) {
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
		t.Errorf("%s is described and never told", name)
	}
	if len(runtime) != 2 || !runtime["go"] || !runtime["process"] {
		t.Errorf("beside its own the scrape has %v, want go and process", runtime)
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

// full has everything to tell.
func full() *Metrics {
	m := New(Options{Mirror: true, Verify: true, Drill: true, FreeBytes: func() (int64, error) { return 1, nil }})
	now := m.o.Now()
	m.Inventory(Local, []Snapshot{{Name: "before", Time: now.Add(-time.Hour), RawSize: 2, Revision: 2}})
	m.Inventory(S3, nil)
	m.Rebuilt()
	m.SnapshotDone(now, Snapshot{Name: "a", Time: now, Size: 1, RawSize: 2, Revision: 3}, 1, 1)
	m.Schedule(Snapshots, now, 1)
	m.Member(now, 1, true, nil)
	m.Drilled(now, "a", 1)
	return m
}
