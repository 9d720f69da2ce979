package config

import (
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// FlagsFirst moves the flags that follow a command's arguments to before them, for the library stops at the first
// argument: so "verify NAME --dir D" works. After "--" nothing is moved. If help is asked for, nothing else counts.
func FlagsFirst(app *cli.App, args []string) []string {
	if len(args) < 3 {
		return args
	}
	if isHelp(args[1]) {
		return append([]string{args[0], "help"}, args[2:]...)
	}
	command, at := app.Command(args[1]), 2
	if command == nil {
		return args
	}
	for _, sub := range command.Subcommands {
		if sub.HasName(args[2]) {
			command, at = sub, 3
			break
		}
	}
	if at == 2 && len(command.Subcommands) > 0 { // it has no flags of its own
		return args
	}
	flags, rest, help := sortWords(command, args[at:])
	if help {
		return append(slices.Clone(args[:at]), "--help")
	}
	return slices.Concat(args[:at], flags, rest)
}

// sortWords tells the flags of a command, each with its value, from its arguments.
func sortWords(command *cli.Command, words []string) (flags, rest []string, help bool) {
	for i := 0; i < len(words); i++ {
		w := words[i]
		switch {
		case w == "--":
			return flags, append(rest, words[i:]...), false
		case isHelp(w):
			return nil, nil, true
		case !strings.HasPrefix(w, "-") || w == "-":
			rest = append(rest, w)
		default:
			flags = append(flags, w)
			if takesValue(command, w) && i+1 < len(words) {
				i++
				flags = append(flags, words[i])
			}
		}
	}
	return flags, rest, false
}

// givenFlags are the names of the flags in a command line that FlagsFirst has returned.
func givenFlags(command *cli.Command, args []string) []string {
	i := slices.Index(args, command.Name)
	if i < 0 {
		return nil
	}
	var names []string
	words, _, _ := sortWords(command, args[i+1:])
	for i := 0; i < len(words); i++ {
		name, _, _ := strings.Cut(strings.TrimLeft(words[i], "-"), "=")
		names = append(names, name)
		if takesValue(command, words[i]) {
			i++
		}
	}
	return names
}

func isHelp(word string) bool { return slices.Contains([]string{"-h", "-help", "--h", "--help"}, word) }

// takesValue is true if the word is a flag whose value is the next word.
func takesValue(c *cli.Command, word string) bool {
	return slices.ContainsFunc(c.Flags, func(f cli.Flag) bool {
		d, ok := f.(cli.DocGenerationFlag)
		return ok && d.TakesValue() && slices.Contains(f.Names(), strings.TrimLeft(word, "-"))
	})
}
