package command

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"

	"etcd-rolling-backup/internal/service"
)

// The manual page and each completion have every command and every flag, and nothing that is hidden.
func TestManualAndCompletionsAreComplete(t *testing.T) {
	for _, kind := range []string{"man", "bash", "zsh", "fish"} {
		text := generatedText(t, kind)
		for _, c := range visible() {
			if !strings.Contains(text, c.Name) {
				t.Errorf("%s lacks the command %s", kind, c.Name)
			}
			for _, f := range c.VisibleFlags() {
				name := f.Names()[0]
				if !strings.Contains(text, "--"+name) && !strings.Contains(text, " -l "+name+" ") && !strings.Contains(text, `\-\-`+strings.ReplaceAll(name, "-", `\-`)) {
					t.Errorf("%s lacks %s --%s", kind, c.Name, name)
				}
			}
		}
		if strings.Contains(text, service.DrillChild) {
			t.Errorf("%s has a hidden command", kind)
		}
	}
	if _, err := Completion("tcsh"); err == nil {
		t.Error("there is a completion for tcsh")
	}
}

func generatedText(t *testing.T, kind string) string {
	t.Helper()
	text, err := Completion(kind)
	if kind == "man" {
		text, err = Manual("1.2.3")
	}
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// bash itself completes words with the script.
func TestBashCompletesCommandsFlagsAndFiles(t *testing.T) {
	dir := t.TempDir()
	script := generatedText(t, "bash")
	for line, want := range map[string]string{
		"ver":                        "verify",
		"restore --bump":             "--bump-revision",
		"--config x ver":             "verify",
		"save --cac":                 "--cacert",
		"save --label ":              "", // free text: neither a flag nor a file
		"save --no-such":             "",
		"prune --keep-last 3 --dry-": "--dry-run",
	} {
		words := strings.Split(line, " ")
		command := exec.CommandContext(t.Context(), "bash", append([]string{"-c", script + `
compopt() { :; }
COMP_WORDS=(etcd-rolling-backup "$@") COMP_CWORD=$#
_etcd_rolling_backup
printf '%s ' "${COMPREPLY[@]}"`, "bash"}, words...)...)
		command.Dir = dir
		out, err := command.CombinedOutput()
		if got := strings.TrimSpace(string(out)); err != nil || got != want {
			t.Errorf("%q completes to %q, %v; want %q", line, got, err, want)
		}
	}
}

// A text of the help cannot end a quoted string of a script, nor mean something to zsh.
func TestCompletionQuotesHelp(t *testing.T) {
	commands := commandWords("", []*cli.Command{{
		Name: "outer", Usage: "it's [a]: b",
		Subcommands: []*cli.Command{{Name: "inner", Usage: "x", Flags: []cli.Flag{&cli.StringFlag{Name: "f", Usage: "node's `FILE` [a]: b"}}}, {Name: "secret", Hidden: true}},
	}})
	for name, want := range map[string][]string{
		zshCompletion:  {`'outer:it'\''s \[a\]\: b'`, `'--f=[node'\''s FILE \[a\]\: b]:FILE:_files'`, `'inner:x'`},
		bashCompletion: {"'outer inner') command='outer inner'", "word='--help inner'"},
	} {
		script, err := render(name, commands)
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range want {
			if !strings.Contains(script, w) {
				t.Errorf("no %q in\n%s", w, script)
			}
		}
		if strings.Contains(script, "secret") {
			t.Errorf("a hidden command is in\n%s", script)
		}
	}
}
