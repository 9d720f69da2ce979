package config

import (
	"fmt"
	"os"
	"regexp"
	"slices"

	"github.com/urfave/cli/v2"

	"etcd-rolling-backup/internal/detect"
)

// Origins say where the values of one command line come from. They are complete once the flags of the command were read.
type Origins struct {
	File  string   // the configuration file; "": none was read
	Words []string // the command line after FlagsFirst, by which a flag that was given is told from a variable

	Detected    *detect.Member // the etcd that was found on this node, as none is configured; nil: none
	DetectError error          // why it is not clear which etcd is meant
	// Find looks for the etcd of this node again; nil: a setting says which one is meant.
	Find func() (*detect.Member, error)

	root     string         // directory of the machine's files
	detected []string       // keys whose value is from Detected
	standard string         // path of DefaultFile
	known    []string       // keys of all commands
	lines    map[string]int // of the file's keys
	applied  []string       // keys whose value is the file's
	hidden   []string       // keys of the file whose value is from elsewhere
	secrets  []string       // keys of the file whose value is a secret
}

// Undetected reports that no setting says which etcd is meant, and that none was found on this node.
func (o *Origins) Undetected() bool {
	return o.Find != nil && o.Detected == nil && o.DetectError == nil
}

// Kinds of an Origin.
const (
	FromDefault     = "default"
	FromDetection   = "detected"
	FromFile        = "file"
	FromEnvironment = "environment"
	FromFlag        = "flag"
)

// Origin is where one value comes from.
type Origin struct {
	Kind  string
	Where string // FILE:LINE, $VARIABLE, --FLAG, or the file by which an etcd was detected; "": the default
}

// Of returns the origin of a flag's value.
func (o *Origins) Of(c *cli.Context, name string) Origin {
	i := slices.IndexFunc(c.Command.Flags, func(f cli.Flag) bool { return f.Names()[0] == name })
	switch {
	case slices.Contains(o.applied, name):
		return Origin{FromFile, fmt.Sprintf("%s:%d", o.File, o.lines[name])}
	case slices.Contains(o.detected, name):
		return Origin{FromDetection, o.Detected.Source}
	case i < 0 || !c.IsSet(name):
		return Origin{Kind: FromDefault}
	case slices.Contains(givenFlags(c.Command, o.Words), name):
		return Origin{FromFlag, "--" + name}
	}
	d, ok := c.Command.Flags[i].(cli.DocGenerationFlag)
	if !ok || setToNothing(c, c.Command.Flags[i]) && d.GetDefaultText() == "" {
		return Origin{Kind: FromDefault}
	}
	for _, variable := range d.GetEnvVars() {
		if _, set := os.LookupEnv(variable); set {
			return Origin{FromEnvironment, "$" + variable}
		}
	}
	return Origin{FromFlag, "--" + name}
}

var flagInError = regexp.MustCompile(`(?:^|[\s(])--([a-z0-9][a-z0-9-]*)`)

// Locate adds to an error of usage where the flag that it names first was set, unless that is the command line.
func (o *Origins) Locate(c *cli.Context, err error) error {
	m := flagInError.FindStringSubmatch(fmt.Sprint(err))
	if m == nil {
		return err
	}
	switch at := o.Of(c, m[1]); at.Kind {
	case FromFile:
		return fmt.Errorf("%s line %d: %w", o.File, o.lines[m[1]], err)
	case FromEnvironment, FromDetection:
		return fmt.Errorf("%s: %w", at.Where, err)
	}
	return err
}
