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
	command := app.Command(args[1])
	if command == nil {
		return args
	}
	var flags, rest []string
	words := args[2:]
	for i := 0; i < len(words); i++ {
		w := words[i]
		switch {
		case w == "--":
			rest = append(rest, words[i:]...)
			i = len(words)
		case isHelp(w):
			return []string{args[0], args[1], "--help"}
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
	return slices.Concat(args[:2], flags, rest)
}

func isHelp(word string) bool { return slices.Contains([]string{"-h", "-help", "--h", "--help"}, word) }

// takesValue is true if the word is a flag whose value is the next word.
func takesValue(c *cli.Command, word string) bool {
	return slices.ContainsFunc(c.Flags, func(f cli.Flag) bool {
		d, ok := f.(cli.DocGenerationFlag)
		return ok && d.TakesValue() && slices.Contains(f.Names(), strings.TrimLeft(word, "-"))
	})
}
