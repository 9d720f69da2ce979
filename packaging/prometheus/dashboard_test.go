package prometheus_test

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// dashboard is what is looked at of the JSON; Grafana's own schema is compared by packaging/grafana/schema.sh.
type dashboard struct {
	ID            any
	UID, Title    string
	SchemaVersion int
	Templating    struct{ List []variable }
	Panels        []panel
}

type variable struct {
	Name, Type string
	Datasource source
	Query      any
	Multi      bool
	IncludeAll bool
	AllValue   string
}

type source struct{ Type, UID string }

type panel struct {
	ID                       int
	Type, Title, Description string
	Datasource               source
	GridPos                  struct{ X, Y, W, H int }
	Targets                  []target
	FieldConfig              struct {
		Defaults  field
		Overrides []struct {
			Matcher    struct{ ID, Options string }
			Properties []struct {
				ID    string
				Value any
			}
		}
	}
	Transformations []struct {
		ID      string
		Options struct {
			RenameByName map[string]string
			IndexByName  map[string]int
		}
	}
}

type field struct {
	Unit       string
	Thresholds struct {
		Steps []struct {
			Color string
			Value *float64
		}
	}
}

type target struct {
	RefID, Expr string
	Datasource  source
}

func theDashboard(t testing.TB) dashboard {
	t.Helper()
	var d dashboard
	must(t, json.Unmarshal([]byte(read(t, "../grafana/dashboard.json")), &d))
	return d
}

var prometheusSource = source{"prometheus", "${datasource}"}

// units are those that the dashboard may use, of Grafana's.
var units = []string{"short", "none", "s", "bytes", "percentunit", "dateTimeFromNow"}

func TestDashboard(t *testing.T) {
	d := theDashboard(t)
	if d.ID != nil || d.UID != "etcd-rolling-backup" || d.Title == "" || d.SchemaVersion < 39 {
		t.Errorf("id %v, uid %q, title %q, schema %d", d.ID, d.UID, d.Title, d.SchemaVersion)
	}
	names := []string{}
	for _, v := range d.Templating.List {
		names = append(names, v.Name)
		if v.Type == "query" && (v.Datasource != prometheusSource || !v.Multi || !v.IncludeAll || v.AllValue != "") {
			t.Errorf("variable %s: %+v", v.Name, v)
		}
		if v.Name != "datasource" && !strings.Contains(read(t, "../grafana/dashboard.json"), "$"+v.Name) {
			t.Errorf("variable %s is not used", v.Name)
		}
	}
	if want := []string{"datasource", "job", "instance", "window"}; !slices.Equal(names, want) {
		t.Errorf("variables %q, want %q", names, want)
	}
	seen := map[string]bool{}
	for i, p := range d.Panels {
		if key := fmt.Sprint(p.ID); p.ID < 1 || seen[key] {
			t.Errorf("id %d of panel %q is not its own", p.ID, p.Title)
		}
		seen[fmt.Sprint(p.ID)] = true
		checkPlace(t, p, d.Panels[:i])
		if p.Type != "row" {
			checkPanel(t, p, names)
		}
	}
}

// checkPlace wants a panel within the grid, and over none of those before it.
func checkPlace(t *testing.T, p panel, before []panel) {
	t.Helper()
	g := p.GridPos
	if g.X < 0 || g.Y < 0 || g.W < 1 || g.H < 1 || g.X+g.W > 24 {
		t.Errorf("%q lies at %+v", p.Title, g)
	}
	for _, o := range before {
		h := o.GridPos
		if g.X < h.X+h.W && h.X < g.X+g.W && g.Y < h.Y+h.H && h.Y < g.Y+g.H {
			t.Errorf("%q at %+v lies over %q at %+v", p.Title, g, o.Title, h)
		}
	}
}

func checkPanel(t *testing.T, p panel, variables []string) {
	t.Helper()
	if p.Title == "" || p.Description == "" || p.Datasource != prometheusSource || len(p.Targets) == 0 {
		t.Errorf("panel %d: title %q, description %q, source %v, %d targets", p.ID, p.Title, p.Description, p.Datasource, len(p.Targets))
	}
	refs := map[string]bool{}
	for _, q := range p.Targets {
		if q.RefID == "" || refs[q.RefID] || q.Datasource != prometheusSource {
			t.Errorf("%q: refId %q, source %v", p.Title, q.RefID, q.Datasource)
		}
		refs[q.RefID] = true
		if !strings.Contains(q.Expr, `{job=~"$job",instance=~"$instance"`) {
			t.Errorf("%q asks all nodes: %s", p.Title, q.Expr)
		}
		for _, m := range regexp.MustCompile(`\$(\w+)`).FindAllStringSubmatch(q.Expr, -1) {
			if m[1] != "__rate_interval" && !slices.Contains(variables, m[1]) {
				t.Errorf("%q: there is no variable %s", p.Title, m[1])
			}
		}
	}
	checkField(t, p)
	columns := map[string]bool{}
	for _, x := range p.Transformations {
		for from, to := range x.Options.RenameByName {
			columns[to] = true
			if ref, value := strings.CutPrefix(from, "Value #"); value && !refs[ref] {
				t.Errorf("%q renames the value of %s, which is no query", p.Title, ref)
			}
			if _, ok := x.Options.IndexByName[from]; !ok {
				t.Errorf("%q gives %s no place", p.Title, from)
			}
		}
	}
	for _, o := range p.FieldConfig.Overrides {
		if o.Matcher.ID != "byName" || !columns[o.Matcher.Options] {
			t.Errorf("%q has no column %q", p.Title, o.Matcher.Options)
		}
		for _, x := range o.Properties {
			if x.ID == "unit" && !slices.Contains(units, fmt.Sprint(x.Value)) {
				t.Errorf("%q: unknown unit %v", p.Title, x.Value)
			}
		}
	}
}

func checkField(t *testing.T, p panel) {
	t.Helper()
	f := p.FieldConfig.Defaults
	if !slices.Contains(units, f.Unit) {
		t.Errorf("%q: unknown unit %q", p.Title, f.Unit)
	}
	for i, s := range f.Thresholds.Steps {
		switch {
		case (s.Value == nil) != (i == 0):
			t.Errorf("%q: the first threshold, and it alone, has no value", p.Title)
		case i > 1 && *s.Value <= *f.Thresholds.Steps[i-1].Value:
			t.Errorf("%q: thresholds do not rise", p.Title)
		}
	}
}

// fills are what Grafana puts for the variables when all is chosen, and when one instance is. It asks Prometheus what there is, for no
// variable has words of its own for all.
func fills(t *testing.T, s server, one string) (all, single *strings.Replacer) {
	t.Helper()
	s.tells(t, `up{job="prometheus"} == 1`) // so that there is something which must not be shown
	values := []string{"$__rate_interval", "1h", "$window", "1h"}
	for _, v := range theDashboard(t).Templating.List {
		q, ok := v.Query.(map[string]any)
		if !ok {
			continue
		}
		m := regexp.MustCompile(`^label_values\((.*), (\w+)\)$`).FindStringSubmatch(fmt.Sprint(q["query"]))
		if m == nil {
			t.Fatalf("variable %s asks %v", v.Name, q["query"])
		}
		expr := strings.NewReplacer(values...).Replace(fmt.Sprintf("count by (%s) (%s)", m[2], m[1]))
		s.tells(t, expr)
		found, err := s.query(t.Context(), expr)
		must(t, err)
		var names []string
		for _, x := range found {
			names = append(names, quoted(x.labels[m[2]]))
		}
		values = append(values, "$"+v.Name, "("+strings.Join(names, "|")+")")
	}
	return strings.NewReplacer(values...), strings.NewReplacer(append([]string{"$instance", quoted(one)}, values...)...)
}

// quoted is a value within a regular expression within a string.
func quoted(value string) string { return strings.ReplaceAll(regexp.QuoteMeta(value), `\`, `\\`) }

// checkDashboard runs each query of the dashboard, for the fleet and for its first node, and wants series of these alone, but for queries
// that match empty, where an answer without any will do.
func checkDashboard(t *testing.T, s server, fleet []string, empty *regexp.Regexp) {
	t.Helper()
	all, single := fills(t, s, fleet[0])
	for nodes, fill := range map[int]*strings.Replacer{len(fleet): all, 1: single} {
		for _, p := range theDashboard(t).Panels {
			for _, q := range p.Targets {
				expr := fill.Replace(q.Expr)
				if empty == nil || !empty.MatchString(expr) {
					s.tells(t, expr)
				}
				found, err := s.query(t.Context(), expr)
				if err != nil {
					t.Errorf("%s: %v", expr, err)
				}
				for _, x := range found {
					if name, is := x.labels["instance"]; is && !slices.Contains(fleet[:nodes], name) {
						t.Errorf("%q shows %s: %s", p.Title, name, expr)
					}
				}
			}
		}
		s.shows(t, fill, "Nodes", "", float64(nodes))
	}
}

// shows waits until the first query of the panel, a column's in a table, has this value, on that node if one is named.
func (s server) shows(t *testing.T, fill *strings.Replacer, title, node string, want float64) {
	t.Helper()
	expr := fill.Replace(expression(t, title))
	eventually(t, func(ctx context.Context) string {
		found, err := s.query(ctx, expr)
		for _, x := range found {
			if x.labels["instance"] == node && x.value == want {
				return ""
			}
		}
		return fmt.Sprintf("%q has %v (%v), want %v on %q: %s", title, found, err, want, node, expr)
	})
}

// expression is the query of a column, or of the first panel of that title.
func expression(t *testing.T, title string) string {
	t.Helper()
	for _, p := range theDashboard(t).Panels {
		if p.Title == title && len(p.Targets) > 0 {
			return p.Targets[0].Expr
		}
		for _, x := range p.Transformations {
			for _, q := range p.Targets {
				if x.Options.RenameByName["Value #"+q.RefID] == title {
					return q.Expr
				}
			}
		}
	}
	t.Fatalf("there is no panel or column %q", title)
	return ""
}
