package config

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/urfave/cli/v2"
)

// ErrUsage marks what the user wrote and must correct: a flag, a key, an argument.
var ErrUsage = errors.New("usage")

// usageError prints its text alone and is ErrUsage.
type usageError struct{ error }

func (usageError) Is(target error) bool { return target == ErrUsage }
func (e usageError) Unwrap() error      { return e.error }

// Usagef makes an error that wraps ErrUsage and prints only its own text.
func Usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// OneLine makes one line of a text: errors.Join puts a line break between its parts, and some errors begin a list with it.
func OneLine(text string) string {
	var parts []string
	for part := range strings.SplitSeq(text, "\n") {
		if part = strings.TrimSpace(part); part != "" {
			parts = append(parts, part)
		}
	}
	return strings.ReplaceAll(strings.Join(parts, "; "), ":; ", ": ")
}

// OnUsageError takes over where the library could not read the command line or the environment.
func OnUsageError(c *cli.Context, err error, _ bool) error {
	text := translate(err.Error())
	if c.Command == nil || c.Command.Name == "" || c.Command.Name == c.App.Name {
		return Usagef("%s: flags go after the command: %s COMMAND --help lists them", text, c.App.Name)
	}
	meant := ""
	if flag, ok := strings.CutPrefix(text, "unknown flag --"); ok {
		if meant = DidYouMean(keyForm(flag), knownKeys([]*cli.Command{c.Command})); meant == "" {
			meant = withSpace(c.Command, flag)
		}
	}
	return Usagef("%s: %s%s %s --help lists the flags", text, meant, c.App.Name, CommandName(c))
}

// withSpace proposes -n shop for -nshop, which other programs take.
func withSpace(command *cli.Command, flag string) string {
	for _, f := range command.Flags {
		for _, name := range f.Names() {
			if value, ok := strings.CutPrefix(flag, name); ok && len(name) == 1 && value != "" {
				return fmt.Sprintf("did you mean -%s %s? ", name, value)
			}
		}
	}
	return ""
}

// CommandName is the command as it is written on the command line, such as "config show".
func CommandName(c *cli.Context) string {
	return strings.TrimPrefix(c.Command.HelpName, c.App.Name+" ")
}

// translate gives the library's errors the form of our own: the flag first, then what is wrong.
func translate(text string) string {
	for _, form := range []struct{ theirs, ours string }{
		{`^flag provided but not defined: -+(.*)$`, `unknown flag --$1`},
		{`^flag needs an argument: -+(.*)$`, `--$1 needs a value`},
		{`^invalid value (".*") for flag -+([a-z-]+): parse error$`, `--$2: $1 is not ` + wholeNumber},
		{`^invalid boolean value (".*") for -+([a-z-]+): parse error$`, `--$2: $1 is not ` + trueOrFalse},
		{`^could not parse (".*") as int value from environment variable "(\w+)" for flag .*$`, `$$$2: $1 is not ` + wholeNumber},
		{`^could not parse (".*") as bool value from environment variable "(\w+)" for flag .*$`, `$$$2: $1 is not ` + trueOrFalse},
	} {
		if re := regexp.MustCompile(form.theirs); re.MatchString(text) {
			return re.ReplaceAllString(text, form.ours)
		}
	}
	return text
}

// What a flag that is not a text accepts.
const (
	wholeNumber = "a whole number"
	trueOrFalse = "true or false"
)

// notAccepted says what a flag accepts instead of the text that it refused.
func notAccepted(f cli.Flag, text string, err error) error {
	switch f.(type) {
	case *cli.IntFlag:
		return fmt.Errorf("%q is not %s", text, wholeNumber)
	case *cli.BoolFlag:
		return fmt.Errorf("%q is not %s", text, trueOrFalse)
	}
	return err
}
