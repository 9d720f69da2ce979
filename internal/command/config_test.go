package command

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/urfave/cli/v2"
)

// parse gives what a command would see.
func parse(t *testing.T, command string, args ...string) *cli.Context {
	t.Helper()
	app := newApp("", io.Discard, io.Discard)
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

// Every flag of every command can be set in each of the three places, and each goes before the next.
func TestPrecedenceOfEveryFlag(t *testing.T) {
	for _, command := range visible() {
		for _, f := range command.Flags {
			name := f.Names()[0]
			if name == "config" {
				continue // it names the file; testdata/precedence.txtar has it
			}
			t.Run(command.Name+"/"+name, func(t *testing.T) {
				values := []string{"a", "b", "c", "d"}
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
				file := filepath.Join(t.TempDir(), "config.yaml")
				if err := os.WriteFile(file, []byte(name+": "+values[0]+"\n"), 0o600); err != nil {
					t.Fatal(err)
				}
				want("file", values[0], "--config", file)
				vars := f.(cli.DocGenerationFlag).GetEnvVars()
				if own := "ETCD_BACKUP_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_")); vars[0] != own {
					t.Errorf("the variable is %s, want %s", vars[0], own)
				}
				if len(vars) > 1 {
					t.Setenv(vars[1], values[1])
					want(vars[1], values[1], "--config", file)
				}
				t.Setenv(vars[0], values[2])
				want(vars[0], values[2], "--config", file)
				want("flag", values[3], "--config", file, "--"+name+"="+values[3])
			})
		}
	}
}

func TestDuration(t *testing.T) {
	const day = 24 * time.Hour
	for text, want := range map[string]time.Duration{
		"0": 0, "0s": 0, "90s": 90 * time.Second, "1h30m": 90 * time.Minute, "1.5h": 90 * time.Minute, "-5h": -5 * time.Hour,
		"1d": day, "7d": 7 * day, "4w": 28 * day, "1y": 365 * day, "1d12h": 36 * time.Hour,
	} {
		if got, err := duration(parse(t, "prune", "--keep-within="+text), "keep-within"); err != nil || got != want {
			t.Errorf("%q: got %s and %v, want %s", text, got, err, want)
		}
	}
	for _, text := range []string{"", " ", "1", "d", "-1d", "1.5d", "12h1d", "1 d", "soon", "99999999999y"} {
		if got, err := duration(parse(t, "prune", "--keep-within="+text), "keep-within"); !errors.Is(err, errUsage) {
			t.Errorf("%q: got %s and %v, want wrong usage", text, got, err)
		}
	}
}

func TestMinFree(t *testing.T) {
	for text, want := range map[string]int64{
		"0": 0, "1": 1, "1KiB": 1024, "1 GiB": 1 << 30, "500MB": 500e6, "1.5gib": 3 << 29, "7EiB": 7 << 60,
	} {
		if got, err := minFree(parse(t, "save", "--min-free="+text)); err != nil || got != want {
			t.Errorf("%q: got %d and %v, want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "-1", "8EiB", "5%", "GiB", "1GiB of it", fmt.Sprint(uint64(math.MaxUint64))} {
		if got, err := minFree(parse(t, "save", "--min-free="+text)); !errors.Is(err, errUsage) {
			t.Errorf("%q: got %d and %v, want wrong usage", text, got, err)
		}
	}
}

func TestCredentials(t *testing.T) {
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte(" with blanks \r\n\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		flagUser, flagFile, envUser, envPassword string
		user, password                           string // both empty: wrong usage, or nothing was wanted
		wrong                                    bool
	}{
		{},
		{flagUser: "root", flagFile: file, user: "root", password: " with blanks "},
		{flagUser: "root", flagFile: file, envPassword: "env", user: "root", password: " with blanks "},
		{flagUser: "root", envPassword: "env", user: "root", password: "env"},
		{flagUser: "root", envUser: "other:pw", envPassword: "env", user: "root", password: "env"},
		{envUser: "root:p:w", user: "root", password: "p:w"},
		{envUser: "root:pw", envPassword: "env", user: "root", password: "pw"},
		{envUser: "root", envPassword: "env", user: "root", password: "env"},
		{envUser: "root", flagFile: file, user: "root", password: " with blanks "},
		{envPassword: "env"}, // no user, so nobody logs in
		{flagUser: "root", wrong: true},
		{envUser: "root", wrong: true},
		{envUser: "root:", wrong: true},
		{flagUser: "root:pw", wrong: true},
		{flagUser: "root:pw", envUser: "root:other", wrong: true},
		{flagFile: file, wrong: true},
		{flagUser: "root", flagFile: file + ".none", wrong: true},
		{flagUser: "root", flagFile: os.DevNull, wrong: true},
	} {
		t.Setenv("ETCDCTL_USER", test.envUser)
		t.Setenv("ETCDCTL_PASSWORD", test.envPassword)
		var args []string
		if test.flagUser != "" {
			args = append(args, "--user", test.flagUser)
		}
		c := parse(t, "save", args...)
		user, password, err := credentials(c.String("user"), test.flagFile)
		switch {
		case test.wrong:
			if !errors.Is(err, errUsage) || strings.Contains(err.Error(), "pw") {
				t.Errorf("%+v: got %v, want wrong usage and no password in it", test, err)
			}
		case err != nil || user != test.user || string(password) != test.password:
			t.Errorf("%+v: got %q, %q, %v", test, user, string(password), err)
		}
	}
}
