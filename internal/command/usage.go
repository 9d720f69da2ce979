package command

import (
	"fmt"
	"regexp"

	"github.com/urfave/cli/v2"
)

// onUsageError takes over where the library could not read the command line or the environment.
func onUsageError(c *cli.Context, err error, _ bool) error {
	text := plain(err.Error())
	if c.Command == nil || c.Command.Name == "" || c.Command.Name == c.App.Name {
		return usagef("%s: flags stand behind the command: %s COMMAND --help lists them", text, c.App.Name)
	}
	return usagef("%s: %s %s --help lists the flags", text, c.App.Name, c.Command.Name)
}

// plain puts the library's words in those of our other errors: the flag first, then what it wants.
func plain(text string) string {
	for _, form := range []struct{ theirs, ours string }{
		{`^flag provided but not defined: -+(.*)$`, `unknown flag --$1`},
		{`^flag needs an argument: -+(.*)$`, `--$1: a value is wanted`},
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

// What flags want that are no texts.
const (
	wholeNumber = "a whole number"
	trueOrFalse = "true or false"
)

// misfit says of a text that the flag refused what was wanted instead.
func misfit(f cli.Flag, text string, err error) error {
	switch f.(type) {
	case *cli.IntFlag:
		return fmt.Errorf("%q is not %s", text, wholeNumber)
	case *cli.BoolFlag:
		return fmt.Errorf("%q is not %s", text, trueOrFalse)
	default:
		return err
	}
}
