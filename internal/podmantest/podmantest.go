// Package podmantest builds and runs images for tests, with buildah and podman.
//
// Invariant: images and containers are in a storage of their own, which is gone at the end of the test, with the containers. Nothing is
// pulled: bases are made here, under the names of the real ones. It needs root, and neither systemd nor crun.
package podmantest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Engine is buildah and podman with one storage.
type Engine struct {
	Env []string // for both programs
}

// New makes one for a test.
func New(t testing.TB) Engine {
	t.Helper()
	dir, err := os.MkdirTemp("", "erb-") // podman wants a short one
	must(t, err)
	t.Cleanup(func() { must(t, os.RemoveAll(dir)) })
	conf := filepath.Join(dir, "storage.conf")
	must(t, os.WriteFile(conf, fmt.Appendf(nil, "[storage]\ndriver = \"overlay\"\ngraphroot = %q\nrunroot = %q\n", dir+"/graph", dir+"/run"), 0o600))
	e := Engine{append(os.Environ(), "CONTAINERS_STORAGE_CONF="+conf, "BUILDAH_ISOLATION=chroot")}
	t.Cleanup(func() { Do(t, e.Podman("rm", "--all", "--force", "--time=0")) })
	return e
}

// Podman is a command of podman. Run containers with [RunFlags].
func (e Engine) Podman(args ...string) *exec.Cmd {
	return e.command("podman", append(PodmanFlags(), args...)...)
}

// PodmanFlags are those of podman itself.
func PodmanFlags() []string {
	return []string{"--cgroup-manager=cgroupfs", "--runtime=runc", "--log-level=fatal"} // it reports that it has no systemd
}

// RunFlags are those that podman run needs in any case.
func RunFlags() []string {
	return []string{"--network=host", "--ulimit=nofile=1024:1024", "--ulimit=nproc=1000:1000"}
}

// Buildah is a command of buildah.
func (e Engine) Buildah(args ...string) *exec.Cmd { return e.command("buildah", args...) }

// Commit makes an image of the files below root, with the flags of `buildah config`.
func (e Engine) Commit(t testing.TB, root, name string, config ...string) {
	t.Helper()
	from := Do(t, e.Buildah("from", "scratch"))
	Do(t, e.Buildah("add", from, root, "/"))
	Do(t, e.Buildah(append(append([]string{"config"}, config...), from)...))
	Do(t, e.Buildah("commit", "--rm", from, name))
}

func (e Engine) command(program string, args ...string) *exec.Cmd {
	cmd := exec.Command(program, args...)
	cmd.Env = e.Env
	return cmd
}

// Do runs a command and returns what it has written. It must succeed.
func Do(t testing.TB, cmd *exec.Cmd) string {
	t.Helper()
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, out)
	}
	return strings.TrimSpace(string(out))
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
