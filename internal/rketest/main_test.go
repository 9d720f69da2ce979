package rketest

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

func TestMain(m *testing.M) { os.Exit(Main(m)) }

// program builds ours for one test, static, as the image has it. The go command's cache makes that quick.
func program(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "etcd-rolling-backup")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-ldflags=-s -w -X main.version=rketest", "-o", path, "etcd-rolling-backup")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build the program: %v\n%s", err, out)
	}
	return path
}
