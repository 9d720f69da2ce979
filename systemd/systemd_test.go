// Package systemd_test checks the unit and the example settings with systemd's own tools and the real program. Tests that need a booted
// system are in test-boot.sh.
package systemd_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const (
	unit      = "etcd-rolling-backup.service"
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
	const start, end = "\nExecStart=" + installed + " daemon\n", "\n[Install]\n"
	text := read(t, unit)
	if strings.Count(text, start) != 1 || strings.Count(text, end) != 1 {
		t.Fatalf("the unit does not start %s", installed)
	}
	text = strings.Replace(text, installed, program, 1)
	text = strings.Replace(text, end, strings.Join(lines, "\n")+"\n"+end, 1)
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

// The check above detects mistakes.
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
	if out, err := analyze(t, append(security, copyOfUnit(t))...); err != nil {
		t.Errorf("systemd-analyze security: %v\n%s", err, out)
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
