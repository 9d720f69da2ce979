package command

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// refused PATTERN ARGS... wants wrong usage: status 2, one line that fits the pattern, no result, and no directory made.
func refused(ts *testscript.TestScript, neg bool, args []string) {
	unnegated(ts, neg)
	fails(ts, neg, append([]string{"2"}, args...))
	if out := ts.ReadFile("stdout"); out != "" {
		ts.Fatalf("refused, and yet there is a result:\n%s", out)
	}
}

// fails STATUS PATTERN ARGS... wants that exit status and one line on stderr that fits the pattern, after warnings.
func fails(ts *testscript.TestScript, neg bool, args []string) {
	unnegated(ts, neg)
	if len(args) < 3 {
		ts.Fatalf("usage: fails STATUS PATTERN ARGS...")
	}
	status, pattern, args := args[0], args[1], args[2:]
	err := ts.Exec(program, args...)
	var exit *exec.ExitError
	if !errors.As(err, &exit) || strconv.Itoa(exit.ExitCode()) != status {
		ts.Fatalf("%s ended with %v, not status %s", strings.Join(args, " "), err, status)
	}
	stdout, stderr := ts.ReadFile("stdout"), ts.ReadFile("stderr")
	line, found := strings.CutSuffix(regexp.MustCompile(`(?m)^warning: .*\n`).ReplaceAllString(stderr, ""), "\n")
	switch {
	case !found || strings.Contains(line, "\n") || !strings.HasPrefix(line, program+": "):
		ts.Fatalf("not one line of an error:\n%s", stderr)
	case !regexp.MustCompile(pattern).MatchString(line):
		ts.Fatalf("%q does not fit %q", line, pattern)
	case strings.Contains(stdout+stderr, secret):
		ts.Fatalf("the output holds a secret")
	}
}

// json PATH PATTERN wants a value of stdout, which is all JSON, to fit the pattern as a whole. PATH is keys and indexes
// with dots between; len is a list's length.
func jsonValue(ts *testscript.TestScript, neg bool, args []string) {
	unnegated(ts, neg)
	if len(args) != 2 {
		ts.Fatalf("usage: json PATH PATTERN")
	}
	var value any
	decoder := json.NewDecoder(strings.NewReader(ts.ReadFile("stdout")))
	decoder.UseNumber()
	ts.Check(decoder.Decode(&value))
	if decoder.More() {
		ts.Fatalf("there is more than one JSON value")
	}
	for key := range strings.SplitSeq(args[0], ".") {
		var err error
		value, err = step(value, key)
		ts.Check(err)
	}
	if got := fmt.Sprint(value); !regexp.MustCompile("^(?:" + args[1] + ")$").MatchString(got) {
		ts.Fatalf("%s is %q, which does not fit %q", args[0], got, args[1])
	}
}

func step(value any, key string) (any, error) {
	switch v := value.(type) {
	case map[string]any:
		if inner, ok := v[key]; ok {
			return inner, nil
		}
	case []any:
		if key == "len" {
			return len(v), nil
		}
		if i, err := strconv.Atoi(key); err == nil && i < len(v) {
			return v[i], nil
		}
	}
	return nil, fmt.Errorf("no %q in %v", key, value)
}

// glob VARIABLE PATTERN sets the variable to the one file that fits.
func glob(ts *testscript.TestScript, neg bool, args []string) {
	unnegated(ts, neg)
	if len(args) != 2 {
		ts.Fatalf("usage: glob VARIABLE PATTERN")
	}
	found, err := filepath.Glob(ts.MkAbs(args[1]))
	ts.Check(err)
	if len(found) != 1 {
		ts.Fatalf("%d files fit %s: %v", len(found), args[1], found)
	}
	ts.Setenv(args[0], found[0])
}

// await PATTERN waits until a file fits, ! await until none does.
func await(ts *testscript.TestScript, neg bool, args []string) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for timeout := time.After(3 * time.Minute); ; {
		found, err := filepath.Glob(ts.MkAbs(args[0]))
		ts.Check(err)
		if len(found) > 0 != neg {
			return
		}
		select {
		case <-tick.C:
		case <-timeout:
			ts.Fatalf("%d files fit %s", len(found), args[0])
		}
	}
}

// until ARGS... runs the program until it succeeds.
func untilDone(ts *testscript.TestScript, neg bool, args []string) {
	unnegated(ts, neg)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for timeout := time.After(3 * time.Minute); ts.Exec(program, args...) != nil; {
		select {
		case <-tick.C:
		case <-timeout:
			ts.Fatalf("%s does not succeed", strings.Join(args, " "))
		}
	}
}

// damage FILE changes one bit in the middle.
func damage(ts *testscript.TestScript, neg bool, args []string) {
	unnegated(ts, neg)
	data, err := os.ReadFile(ts.MkAbs(args[0]))
	ts.Check(err)
	data[len(data)/2] ^= 1
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), data, 0o600))
}

// cut FILE takes the last byte away.
func cut(ts *testscript.TestScript, neg bool, args []string) {
	unnegated(ts, neg)
	info, err := os.Stat(ts.MkAbs(args[0]))
	ts.Check(err)
	ts.Check(os.Truncate(ts.MkAbs(args[0]), info.Size()-1))
}

func unnegated(ts *testscript.TestScript, neg bool) {
	if neg {
		ts.Fatalf("there is no negation of this command")
	}
}

// pasteable COUNT wants that many commands of this program, and of a shell, in stdout, and a shell that accepts all of them.
func pasteable(ts *testscript.TestScript, neg bool, args []string) {
	unnegated(ts, neg)
	var commands []string
	for line := range strings.Lines(ts.ReadFile("stdout")) {
		if regexp.MustCompile(`^ {5,}(etcd-rolling-backup|export|restorecon|mv) `).MatchString(line) {
			commands = append(commands, strings.TrimSpace(line))
		}
	}
	commands = slices.DeleteFunc(commands, func(c string) bool { return strings.HasPrefix(c, "restorecon") }) // only where there is SELinux
	if len(args) != 1 || strconv.Itoa(len(commands)) != args[0] {
		ts.Fatalf("there are %d commands, want %s:\n%s", len(commands), args, strings.Join(commands, "\n"))
	}
	ts.Check(ts.Exec("bash", "-n", "-c", strings.Join(commands, "\n")))
}
