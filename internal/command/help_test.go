package command

import (
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"
)

// For a flag of a new kind, config would show the library's own error texts.
func TestKindsOfFlags(t *testing.T) {
	for _, c := range visible() {
		for _, f := range c.VisibleFlags() {
			switch f.(type) {
			case *cli.StringFlag, *cli.StringSliceFlag, *cli.IntFlag, *cli.BoolFlag:
			default:
				t.Errorf("%s --%s is a %T", c.Name, f.Names()[0], f)
			}
		}
	}
}

// The help explains every flag, and no flag twice in one command.
func TestHelp(t *testing.T) {
	for _, c := range visible() {
		seen := map[string]bool{}
		status, stdout, stderr := run(t.Context(), c.Name, "--help")
		if status != exitDone || stderr != "" {
			t.Errorf("%s --help: status %d, stderr %q", c.Name, status, stderr)
		}
		for _, f := range c.VisibleFlags() {
			name := f.Names()[0]
			usage := f.(cli.DocGenerationFlag).GetUsage()
			if seen[name] || usage == "" || !strings.Contains(stdout, "--"+name+" ") && !strings.Contains(stdout, "--"+name+", ") {
				t.Errorf("%s --%s: it is made twice, has no text, or does not stand in the help", c.Name, name)
			}
			seen[name] = true
			if f.(cli.DocGenerationFlag).TakesValue() && strings.Count(usage, "`") != 2 {
				t.Errorf("%s --%s: %q does not name its value in backquotes", c.Name, name, usage)
			}
		}
	}
}

// silentApp has no configuration file and prints nothing.
func silentApp() *cli.App {
	app, _ := newApp(Process{Root: noRoot, Stdout: io.Discard, Stderr: io.Discard})
	return app
}

// noRoot is a root without files: no test depends on the settings of the machine.
const noRoot = "/dev/null"

// visible are the commands that are not hidden.
func visible() []*cli.Command {
	return slices.DeleteFunc(silentApp().Commands, func(c *cli.Command) bool { return c.Hidden })
}

// A container whose arguments were forgotten must not look like one that has done its work.
func TestProgramWithoutCommandShowsHelpAndIsWrongUsage(t *testing.T) {
	status, stdout, stderr := run(t.Context())
	if status != exitUsage || stdout != "" || !strings.Contains(stderr, "COMMANDS:") {
		t.Errorf("status %d, stdout %q, stderr %q", status, stdout, stderr)
	}
}
