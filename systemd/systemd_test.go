// Package systemd_test checks the unit and the example settings with systemd's own tools and the real program. Tests that need a booted
// system are in test-boot.sh.
package systemd_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const (
	unit      = "etcd-rolling-backup.service"
	saveUnit  = "etcd-rolling-backup-save.service"
	installed = "/usr/bin/etcd-rolling-backup"
)

var program string // a newly built one

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "systemd-test")
	if err != nil {
		fmt.Println(err)
		return 1
	}
	defer os.RemoveAll(dir)
	program = filepath.Join(dir, "etcd-rolling-backup")
	if out, err := exec.CommandContext(context.Background(), "go", "build", "-o", program, "..").CombinedOutput(); err != nil {
		fmt.Printf("build the program: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// copyOfUnit is a copy of the unit that starts the built program, with more lines at the end of [Service].
func copyOfUnit(t *testing.T, lines ...string) string {
	t.Helper()
	return copyOf(t, unit, lines...)
}

func copyOf(t *testing.T, unit string, lines ...string) string {
	t.Helper()
	const end = "\n[Install]\n"
	text := strings.ReplaceAll(read(t, unit), installed+" ", program+" ")
	if !regexp.MustCompile(`(?m)^ExecStart=.*` + regexp.QuoteMeta(program) + " ").MatchString(text) {
		t.Fatalf("%s does not start %s", unit, installed)
	}
	before, after, _ := strings.Cut(text, end)
	text = before + "\n" + strings.Join(lines, "\n") + "\n" + end + after
	path := filepath.Join(t.TempDir(), unit)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func analyze(t *testing.T, args ...string) (string, error) {
	t.Helper()
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Fatal("systemd-analyze is missing: apt-get install systemd")
	}
	out, err := exec.CommandContext(t.Context(), "systemd-analyze", args...).CombinedOutput()
	return string(out), err
}

func verify(t *testing.T, path string) (string, error) {
	t.Helper()
	return analyze(t, "verify", "--recursive-errors=one", "--man=no", path)
}

func TestUnitPassesSystemdVerify(t *testing.T) {
	if out, err := verify(t, copyOfUnit(t)); err != nil || out != "" {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
}

// The timer starts a service that passes too. systemd looks for it next to the timer.
func TestSaveTimerPassesSystemdVerify(t *testing.T) {
	service := copyOf(t, saveUnit)
	timer := strings.TrimSuffix(service, ".service") + ".timer"
	if err := os.WriteFile(timer, []byte(read(t, filepath.Base(timer))), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{service, timer} {
		if out, err := verify(t, path); err != nil || out != "" {
			t.Errorf("systemd-analyze verify %s: %v\n%s", path, err, out)
		}
	}
}

// Whoever tightens one sandbox tightens both. Only the daemon runs drills, in processes whose priority is lower, and which need more memory.
func TestSaveUnitHasSandboxOfDaemon(t *testing.T) {
	sandbox := func(file string) (lines []string) {
		_, rest, found := strings.Cut(read(t, file), "\nStateDirectory=")
		if !found {
			t.Fatalf("%s has no StateDirectory", file)
		}
		rest, _, _ = strings.Cut(rest, "\n[Install]\n")
		for line := range strings.SplitSeq(rest, "\n") {
			if line != "" && !strings.HasPrefix(line, "#") && !strings.HasPrefix(line, "MemoryMax=") && line != "OOMPolicy=continue" && line != "SystemCallFilter=setpriority ioprio_set" {
				lines = append(lines, line)
			}
		}
		return lines
	}
	if daemon, save := sandbox(unit), sandbox(saveUnit); len(daemon) < 30 || !slices.Equal(daemon, save) {
		t.Errorf("the sandbox of %s is\n%q\nand that of %s\n%q", unit, daemon, saveUnit, save)
	}
}

// The check of systemd detects mistakes.
func TestUnitWithMistakeFailsSystemdVerify(t *testing.T) {
	for _, mistake := range []string{"WatchdogSeconds=3min", "Type=forty", "ExecStartPre=/usr/bin/no-such-program"} {
		if out, err := verify(t, copyOfUnit(t, mistake)); err == nil {
			t.Errorf("%s passes:\n%s", mistake, out)
		}
	}
}

// The threshold 20 is an exposure of 2.0, from 0 (sandboxed) to 10 (open); most services shipped with systemd have more.
func TestUnitIsSandboxed(t *testing.T) {
	security := []string{"security", "--no-pager", "--offline=true", "--threshold=20"}
	for _, file := range []string{unit, saveUnit} {
		if out, err := analyze(t, append(security, copyOf(t, file))...); err != nil {
			t.Errorf("systemd-analyze security %s: %v\n%s", file, err, out)
		}
	}
	if out, err := analyze(t, append(security, copyOfUnit(t, "SystemCallFilter=", "ProtectSystem=no"))...); err == nil {
		t.Errorf("a unit without sandbox passes:\n%s", out)
	}
}

// The unit needs no file: without one the daemon starts with the defaults. systemctl reload is the daemon's own reload.
func TestUnitReloadsAndNeedsNoSettings(t *testing.T) {
	text := read(t, unit)
	for _, line := range []string{"\nExecReload=/bin/sh -c 'kill -HUP $MAINPID'\n", "\nEnvironmentFile=-/etc/etcd-rolling-backup/env\n", "\nType=notify\n", "\nNotifyAccess=main\n"} {
		if !strings.Contains(text, line) {
			t.Errorf("the unit lacks %q", line)
		}
	}
}
