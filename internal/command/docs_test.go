package command

import (
	"cmp"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"

	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/internal/fleet"
)

// docs/CLI.md matches the program: its tables of commands and flags are generated from the program's own definitions,
// its other words are checked.
//
//	go test ./internal/command -run TestDocs -update    writes the tables again
var update = flag.Bool("update", false, "write the generated tables of docs/CLI.md again")

var docs, configDocs = filepath.Join("..", "..", "docs", "CLI.md"), filepath.Join("..", "..", "docs", "CONFIG.md")

func readDocs(t *testing.T) string {
	t.Helper()
	return readDoc(t, docs)
}

func readDoc(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// section is the text between <!-- name --> and <!-- end -->.
func section(t *testing.T, text, name string) (before, inside, after string) {
	t.Helper()
	begin := "<!-- " + name + " -->\n"
	before, rest, ok := strings.Cut(text, begin)
	inside, after, ended := strings.Cut(rest, "<!-- end -->")
	if !ok || !ended {
		t.Fatalf("there is no section %q", name)
	}
	return before + begin, inside, "<!-- end -->" + after
}

func TestDocsTables(t *testing.T) {
	commands := visible()
	flagged := slices.DeleteFunc(slices.Clone(commands), func(c *cli.Command) bool { return len(c.Flags) == 0 })
	generated(t, docs, map[string]string{"commands": commandTable(commands), "flags": flagTables(flagged)})
	generated(t, configDocs, map[string]string{"keys": keyTables(commands)})
}

// generated compares sections of a file with what the program has.
func generated(t *testing.T, file string, sections map[string]string) {
	t.Helper()
	text := readDoc(t, file)
	for name, want := range sections {
		before, got, after := section(t, text, name)
		if got == want {
			continue
		}
		if !*update {
			t.Errorf("section %s is not what the program has; -update writes it again. It should be:\n%s", name, want)
		}
		text = before + want + after
	}
	if *update {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// keyTables has one table for each category: what config example has is of the node, all else is for single calls of commands.
func keyTables(commands []*cli.Command) string {
	var b strings.Builder
	category := ""
	keys := config.Keys(commands)
	slices.SortStableFunc(keys, func(x, y cli.Flag) int { return cmp.Compare(order(keys, x), order(keys, y)) })
	for _, f := range keys {
		if c := f.(cli.CategorizableFlag).GetCategory(); c != category {
			fmt.Fprintf(&b, "\n### %s\n\n| key | default | | changes |\n| --- | --- | --- | --- |\n", c)
			category = c
		}
		d, name, fallback, when := f.(cli.DocGenerationFlag), f.Names()[0], config.Default(f), "command"
		switch {
		case config.Reloadable(name):
			when = "reload"
		case slices.ContainsFunc(append(daemonFlags(), config.LogFlags()...), func(f cli.Flag) bool { return f.Names()[0] == name }):
			when = "restart"
		}
		if fallback != "" {
			fallback = "`" + fallback + "`"
		}
		usage := strings.NewReplacer("`", "", "|", `\|`).Replace(d.GetUsage())
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", name, fallback, usage, when)
	}
	return strings.TrimPrefix(b.String(), "\n")
}

// order is the place of a key's category.
func order(keys []cli.Flag, f cli.Flag) int {
	return slices.IndexFunc(keys, func(k cli.Flag) bool {
		return k.(cli.CategorizableFlag).GetCategory() == f.(cli.CategorizableFlag).GetCategory()
	})
}

func commandTable(commands []*cli.Command) string {
	var b strings.Builder
	b.WriteString("| command | |\n| --- | --- |\n")
	for _, c := range commands {
		argument, _, _ := strings.Cut(c.ArgsUsage, " ")
		fmt.Fprintf(&b, "| `%s` | %s |\n", strings.TrimSpace(c.Name+" "+argument), c.Usage)
	}
	return b.String()
}

// flagTables has one table for each category. A flag of several commands is listed once, with their names.
func flagTables(commands []*cli.Command) string {
	var categories []string
	rows := map[string][]string{} // by category
	takers := map[string][]string{}
	for _, c := range commands {
		for _, f := range c.VisibleFlags() {
			row, category := flagRow(f), f.(cli.CategorizableFlag).GetCategory()
			if !slices.Contains(categories, category) {
				categories = append(categories, category)
			}
			if len(takers[row]) == 0 {
				rows[category] = append(rows[category], row)
			}
			takers[row] = append(takers[row], c.Name)
		}
	}
	var b strings.Builder
	for _, category := range categories {
		fmt.Fprintf(&b, "### %s\n\n| flag | default | | variables | commands |\n| --- | --- | --- | --- | --- |\n", category)
		for _, row := range rows[category] {
			names := strings.Join(takers[row], ", ")
			if len(takers[row]) == len(commands) {
				names = "all"
			}
			fmt.Fprintf(&b, "%s %s |\n", row, names)
		}
		b.WriteString("\n")
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func flagRow(f cli.Flag) string {
	d := f.(cli.DocGenerationFlag)
	name, fallback := "--"+f.Names()[0], strings.Trim(d.GetDefaultText(), `"`)
	if parts := strings.Split(d.GetUsage(), "`"); len(parts) == 3 {
		name += " " + parts[1]
	}
	if fallback != "" {
		fallback = "`" + fallback + "`"
	}
	usage := strings.NewReplacer("`", "", "|", `\|`).Replace(d.GetUsage())
	return fmt.Sprintf("| `%s` | %s | %s | `%s` |", name, fallback, usage, strings.Join(d.GetEnvVars(), "`, `"))
}

// The text names no flag and no variable that the program does not have.
func TestDocsNameOnlyWhatThereIs(t *testing.T) {
	known := []string{"--help", "--version", "ETCDCTL_PASSWORD"}
	for _, c := range visible() {
		for _, f := range c.VisibleFlags() {
			known = append(append(known, "--"+f.Names()[0]), f.(cli.DocGenerationFlag).GetEnvVars()...)
		}
	}
	for _, word := range regexp.MustCompile(`--[a-z][a-z0-9-]*|\bETCD(?:CTL|_BACKUP)_[A-Z0-9_]*[A-Z0-9]`).FindAllString(readDocs(t), -1) {
		if !slices.Contains(known, word) {
			t.Errorf("%s is in the text and the program does not have it", word)
		}
	}
}

// The example of a configuration file works.
func TestDocsConfigFile(t *testing.T) {
	_, rest, _ := strings.Cut(readDocs(t), "```yaml\n")
	example, _, found := strings.Cut(rest, "```")
	if !found {
		t.Fatal("there is no example")
	}
	file := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(file, []byte(example), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range visible() {
		if len(c.Flags) > 0 {
			parse(t, c.Name, "--config", file)
		}
	}
	cfg, err := config.Read(parse(t, "daemon", "--config", file))
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Store.Dir != "/var/lib/etcd-rolling-backup" || cfg.Policy.Daily == 0 || cfg.Schedule.String() == "0 * * * *" {
		t.Errorf("the example sets %+v", cfg)
	}
}

// The tables of JSON fields list those of the types, in the same order.
func TestDocsFields(t *testing.T) {
	for name, value := range map[string]any{
		"fields: list": listing{}, "fields: snapshot": row{}, "fields: verify": verified{}, "fields: prune": pruned{}, "fields: check": finding{},
		"fields: config show": shownSettings{}, "fields: setting": config.Setting{}, "fields: delete": deleted{}, "fields: mirror": mirrored{}, "fields: download": downloaded{},
		"fields: restore": restoreReport{}, "fields: fleet": fleet.Report{}, "fields: fleet node": fleet.Row{},
		"fields: ls": contents{}, "fields: key": keyRow{}, "fields: history": revisions{}, "fields: diff": differences{},
		"fields: moments": journalRow{}, "fields: verify journal": provenJournal{}, "fields: verify segment": verifiedSegment{}, "fields: log": loggedChange{},
	} {
		var want []string
		for f := range reflect.TypeOf(value).Fields() {
			if tag, _, _ := strings.Cut(f.Tag.Get("json"), ","); tag != "" {
				want = append(want, tag)
			}
		}
		_, table, _ := section(t, readDocs(t), name)
		var got []string
		for _, m := range regexp.MustCompile("(?m)^\\| `(.*?)`").FindAllStringSubmatch(table, -1) {
			got = append(got, m[1])
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: the text has %q, the program %q", name, got, want)
		}
	}
}
