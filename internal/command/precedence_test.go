package command

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"
)

// parse returns the context that a command would get.
func parse(t *testing.T, command string, args ...string) *cli.Context {
	t.Helper()
	app := silentApp()
	var seen *cli.Context
	app.Command(command).Action = func(c *cli.Context) error {
		seen = c
		return nil
	}
	if err := app.Run(append([]string{program, command}, args...)); err != nil {
		t.Fatal(err)
	}
	return seen
}

// Every flag of every command can be set in each of the three places, and they take precedence in the documented order.
func TestPrecedenceOfEveryFlag(t *testing.T) {
	for _, command := range visible() {
		for _, f := range command.VisibleFlags() {
			name := f.Names()[0]
			if name == "config" {
				continue // it names the file; testdata/precedence.txtar has it
			}
			t.Run(command.Name+"/"+name, func(t *testing.T) {
				values := []string{"a", "b", "c", "d"}
				if strings.HasSuffix(name, "dir") {
					values = []string{"/a", "/b", "/c", "/d"}
				}
				switch f.(type) {
				case *cli.IntFlag:
					values = []string{"3", "4", "5", "6"}
				case *cli.BoolFlag:
					values = []string{"true", "false", "true", "false"}
				}
				want := func(source, value string, args ...string) {
					t.Helper()
					c := parse(t, command.Name, args...)
					got := fmt.Sprint(c.Value(name))
					if list := c.StringSlice(name); list != nil {
						got = strings.Join(list, ",")
					}
					if got != value {
						t.Errorf("%s: got %q, want %q", source, got, value)
					}
				}
				file, text := filepath.Join(t.TempDir(), "config.yaml"), name+": "+values[0]+"\n"
				if name == "name" { // the file cannot set it: testdata/config_file.txtar
					text = ""
				}
				if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
				if text != "" {
					want("file", values[0], "--config", file)
				}
				vars := f.(cli.DocGenerationFlag).GetEnvVars()
				if own := "ETCD_BACKUP_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_")); vars[0] != own {
					t.Errorf("the variable is %s, want %s", vars[0], own)
				}
				for i := len(vars) - 1; i > 0; i-- { // the last one gives way to all before it
					value := values[1] + strings.Repeat("x", i-1)
					t.Setenv(vars[i], value)
					want(vars[i], value, "--config", file)
				}
				t.Setenv(vars[0], values[2])
				want(vars[0], values[2], "--config", file)
				want("flag", values[3], "--config", file, "--"+name+"="+values[3])
			})
		}
	}
}
