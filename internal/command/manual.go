package command

import (
	"fmt"
	"io"
	"strings"
	"text/template"

	"github.com/urfave/cli/v2"
)

// Manual is the manual page of the program, for section 8, as roff.
func Manual(version string) (string, error) {
	app, _ := newApp(Process{Version: version, Stdout: io.Discard, Stderr: io.Discard})
	return app.ToManWithSection(8)
}

// Completion is the completion script for a shell: bash, zsh or fish. It is static: to complete a word runs nothing.
func Completion(shell string) (string, error) {
	app, _ := newApp(Process{Stdout: io.Discard, Stderr: io.Discard})
	switch shell {
	case "fish":
		script, err := app.ToFishCompletion()
		return strings.ReplaceAll(script, "`", ""), err
	case "bash":
		return render(bashCompletion, commandWords("", app.VisibleCommands()))
	case "zsh":
		return render(zshCompletion, commandWords("", app.VisibleCommands()))
	default:
		return "", fmt.Errorf("no completion for the shell %q: bash, zsh or fish", shell)
	}
}

// commandWord is a command as completion scripts need it.
type commandWord struct {
	Words string // with those of its parents: config show
	Usage string
	Flags []flagWord
	Subs  []commandWord
}

type flagWord struct{ Name, Usage, Value string } // Value: what the help calls it, "" for a switch

// IsFile reports whether the value is in the file system.
func (f flagWord) IsFile() bool {
	return f.Value == "FILE" || f.Value == "DIRECTORY" || f.Value == "PATH"
}

func commandWords(parent string, commands []*cli.Command) []commandWord {
	var words []commandWord
	for _, c := range commands {
		if c.Hidden {
			continue
		}
		w := commandWord{Words: strings.TrimSpace(parent + " " + c.Name), Usage: c.Usage}
		w.Subs = commandWords(w.Words, c.Subcommands)
		for _, f := range c.VisibleFlags() {
			usage, value := f.(cli.DocGenerationFlag).GetUsage(), ""
			if parts := strings.Split(usage, "`"); len(parts) == 3 && f.(cli.DocGenerationFlag).TakesValue() {
				value = parts[1]
			}
			w.Flags = append(w.Flags, flagWord{Name: f.Names()[0], Usage: strings.ReplaceAll(usage, "`", ""), Value: value})
		}
		words = append(words, w)
	}
	return words
}

func render(text string, commands []commandWord) (string, error) {
	t, err := template.New("completion").Funcs(template.FuncMap{"all": allWords, "last": lastWord, "values": valueFlags, "zsh": zshText}).Parse(text)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	err = t.Execute(&b, struct {
		Program  string
		Commands []commandWord
	}{program, commands})
	return b.String(), err
}

// allWords has the commands and their subcommands in one list.
func allWords(commands []commandWord) []commandWord {
	var all []commandWord
	for _, c := range commands {
		all = append(append(all, c), allWords(c.Subs)...)
	}
	return all
}

// valueFlags are the names of the flags of any command that take a value, in the form of a pattern of case.
func valueFlags(commands []commandWord, files bool) string {
	var names []string
	seen := map[string]bool{}
	for _, c := range allWords(commands) {
		for _, f := range c.Flags {
			if f.Value != "" && f.IsFile() == files && !seen[f.Name] {
				seen[f.Name] = true
				names = append(names, "--"+f.Name)
			}
		}
	}
	return strings.Join(names, " | ")
}

func lastWord(words string) string { return words[strings.LastIndex(words, " ")+1:] }

// zshText is text within single quotes, where _arguments and _describe give [, ] and : a meaning.
func zshText(text string) string {
	return strings.NewReplacer(`\`, `\\`, `[`, `\[`, `]`, `\]`, `:`, `\:`, `'`, `'\''`).Replace(text)
}

// A flag's value is a file, or nothing is offered; an argument is a file or a snapshot's name.
const bashCompletion = `# bash completion for {{.Program}}
_etcd_rolling_backup() {
  local current=${COMP_WORDS[COMP_CWORD]} command='' word
  for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "${command:+$command }$word" in
{{- range all .Commands}}
      '{{.Words}}') command='{{.Words}}' ;;
{{- end}}
    esac
  done
  COMPREPLY=()
  case ${COMP_WORDS[COMP_CWORD-1]} in
    {{values .Commands true}})
      compopt -o default
      return ;;
    {{values .Commands false}})
      return ;;
  esac
  case $command in
    '') word='--help --version{{range .Commands}} {{.Words}}{{end}}' ;;
{{- range all .Commands}}
    '{{.Words}}') word='--help{{range .Flags}} --{{.Name}}{{end}}{{range .Subs}} {{last .Words}}{{end}}' ;;
{{- end}}
  esac
  mapfile -t COMPREPLY < <(compgen -W "$word" -- "$current")
  [[ -n $command && $current != -* && ${#COMPREPLY[@]} -eq 0 ]] && compopt -o default
}
complete -F _etcd_rolling_backup {{.Program}}
`

const zshCompletion = `#compdef {{.Program}}
{{define "command"}}
{{- if .Subs}}
      if (( CURRENT == 2 )); then
        commands=({{range .Subs}}
          '{{last .Words}}:{{zsh .Usage}}'{{end}}
        )
        _describe command commands
        return
      fi
      shift words
      (( CURRENT-- ))
      case $words[1] in
{{- range .Subs}}
      {{last .Words}}){{template "command" .}}
      ;;
{{- end}}
      esac
{{- else}}
      _arguments '--help[show help]' \
{{- range .Flags}}
        '{{if .Value}}--{{.Name}}=[{{zsh .Usage}}]:{{zsh .Value}}:{{if .IsFile}}_files{{else}} {{end}}{{else}}--{{.Name}}[{{zsh .Usage}}]{{end}}' \
{{- end}}
        '*:snapshot:_files'
{{- end}}
{{- end -}}
_etcd_rolling_backup() {
  local -a commands
  commands=({{range .Commands}}
    '{{last .Words}}:{{zsh .Usage}}'{{end}}
  )
  if (( CURRENT == 2 )); then
    _describe command commands
    _arguments '--help[show help]' '--version[show the version]'
    return
  fi
  shift words
  (( CURRENT-- ))
  case $words[1] in
{{- range .Commands}}
    {{last .Words}}){{template "command" .}}
      ;;
{{- end}}
  esac
}
_etcd_rolling_backup "$@"
`
