package detect

import (
	"regexp"
	"slices"
	"strings"
)

// Forms of variables. A shell's $(command) is one too: only the shell knows what it gives.
var (
	ofShell   = regexp.MustCompile(`^\$(?:(\w+)|\{(\w+)(?::?-([^{}]*))?\}|\([^()]*\))`)
	ofSystemd = regexp.MustCompile(`\$\$|\$\{\w+\}`)
	ofPod     = regexp.MustCompile(`\$\$|\$\([\w.-]+\)`)
	oneOnly   = regexp.MustCompile(`^\$(?:\w+|\{\w+\})$`)
)

// replace replaces the variables of such a form. What is not known stays, so that nobody takes the rest for the value.
func replace(form *regexp.Regexp, text string, env map[string]string) string {
	return form.ReplaceAllStringFunc(text, func(v string) string {
		if v == "$$" {
			return "$"
		}
		if value, ok := env[v[2:len(v)-1]]; ok {
			return value
		}
		return v
	})
}

// commandLine splits the command of a unit as systemd does: ${NAME} is a part of its word, and $NAME alone becomes as many words as it has.
func commandLine(line string, env map[string]string) []string {
	var all []string
	for _, word := range words(line) {
		if name := strings.TrimPrefix(word, "$"); oneOnly.MatchString(word) && name[0] != '{' {
			all = append(all, words(env[name])...)
		} else {
			all = append(all, replace(ofSystemd, word, env))
		}
	}
	return all
}

// words splits a command line, as systemd and a shell do in the forms that are in use.
func words(line string) []string { return split(line, nil) }

// shellWords also replaces variables, as a shell does: those outside of quotes are split again. One that is not known stays, unless it is a
// word of its own, which may be none.
func shellWords(line string, env map[string]string) []string {
	all := split(line, func(rest string) (value, variable string) {
		m := ofShell.FindStringSubmatch(rest)
		if m == nil {
			return "", ""
		}
		value, known := env[m[1]+m[2]]
		switch {
		case value != "" || known && m[3] == "":
			return value, m[0]
		case m[3] != "":
			return m[3], m[0]
		}
		return m[0], m[0]
	})
	return slices.DeleteFunc(all, oneOnly.MatchString)
}

// split splits a command line. variable, if there is one, returns the value of the variable that a text begins with; both are empty if it
// does not begin with one.
func split(line string, variable func(rest string) (value, variable string)) []string {
	var all []string
	var word strings.Builder
	quote, open, escaped := rune(0), false, false
	add := func(text string) { // as if it were not quoted
		for _, r := range text {
			if r != ' ' && r != '\t' {
				word.WriteRune(r)
				open = true
				continue
			}
			if open {
				all = append(all, word.String())
			}
			word.Reset()
			open = false
		}
	}
	skip := 0
	for i, r := range line {
		if i < skip {
			continue
		}
		if r == '$' && !escaped && quote != '\'' && variable != nil {
			if value, name := variable(line[i:]); name != "" {
				skip = i + len(name)
				if quote == 0 && value != name {
					add(value)
				} else {
					word.WriteString(value)
					open = true
				}
				continue
			}
		}
		switch {
		case escaped:
			word.WriteRune(r)
			escaped, open = false, true
		case r == '\\' && quote != '\'':
			escaped = true
		case quote == 0 && (r == '"' || r == '\''):
			quote, open = r, true
		case quote != 0 && r == quote:
			quote = 0
		case quote == 0:
			add(string(r))
		default:
			word.WriteRune(r)
			open = true
		}
	}
	add(" ")
	return all
}

// unshell returns the words of a command that is started by a shell's -c.
func unshell(command []string, env map[string]string) []string {
	for i, word := range command {
		if word == "-c" && i > 0 && i+1 < len(command) && strings.HasSuffix(command[i-1], "sh") {
			return shellWords(command[i+1], env)
		}
	}
	return command
}
