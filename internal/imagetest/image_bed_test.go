//go:build image

package imagetest

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"etcd-rolling-backup/internal/etcdtest"
	"etcd-rolling-backup/internal/podmantest"
	"etcd-rolling-backup/internal/proctest"
)

const (
	repository = "../.."
	version    = "1.2.3-test"
	// user is that of the image, as docs/CONTAINER.md says.
	user = 65532
)

// image is the one of the Dockerfile.
type image struct {
	podmantest.Engine
	name string
}

// toolchain makes an image with the name of the Dockerfile's and what the build needs of it, except Go itself, which is mounted.
func toolchain(t *testing.T, e podmantest.Engine) {
	t.Helper()
	root := t.TempDir()
	for _, dir := range []string{"bin", "tmp", "proc", "dev", "sys", "cache", "usr/local/go", "go/pkg/mod", "etc/ssl/certs"} {
		must(t, os.MkdirAll(filepath.Join(root, dir), 0o755))
	}
	busybox, err := exec.LookPath("busybox")
	must(t, err)
	podmantest.Do(t, exec.Command("cp", busybox, root+"/bin/busybox"))
	for _, tool := range strings.Fields("sh cp mkdir chown find touch") {
		must(t, os.Symlink("busybox", root+"/bin/"+tool))
	}
	podmantest.Do(t, exec.Command("cp", "/etc/ssl/certs/ca-certificates.crt", root+"/etc/ssl/certs/"))
	e.Commit(t, root, "docker.io/library/golang:1.26", "--env=PATH=/usr/local/go/bin:/bin", "--env=GOPATH=/go", "--env=GOPROXY=off", "--env=GOTOOLCHAIN=local",
		"--env=GOCACHE=/cache")
}

// build builds the Dockerfile for an architecture, with the modules and the cache of this machine.
func build(t *testing.T, e podmantest.Engine, name, architecture string, args ...string) image {
	t.Helper()
	env := func(name string) string { return podmantest.Do(t, exec.Command("go", "env", name)) }
	all := []string{
		"bud", "--pull=never", "--format=docker", "--timestamp=0", "--platform=linux/" + architecture, "--build-arg=VERSION=" + version,
		"--build-arg=BUILDPLATFORM=linux/" + runtime.GOARCH, // which this buildah does not set
		"--volume=" + env("GOROOT") + ":/usr/local/go:ro", "--volume=" + env("GOMODCACHE") + ":/go/pkg/mod:ro",
		"--volume=" + env("GOCACHE") + ":/cache", "--tag=" + name,
	}
	podmantest.Do(t, e.Buildah(append(append(all, args...), repository)...))
	return image{e, name}
}

// run runs a container as docs/CONTAINER.md does: its root is read-only, without any temporary file system, and it has no capability. It
// returns its exit status and what it has written.
func (i image) run(t *testing.T, args ...string) (status int, out string) {
	t.Helper()
	text, err := i.command(args...).CombinedOutput()
	exit := (*exec.ExitError)(nil)
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	if exit != nil {
		status = exit.ExitCode()
	}
	return status, strings.TrimSpace(string(text))
}

// command is podman run with flags, NAME for the image, and the container's arguments.
func (i image) command(args ...string) *exec.Cmd {
	all := append([]string{"run", "--read-only", "--read-only-tmpfs=false", "--cap-drop=ALL", "--security-opt=no-new-privileges"}, podmantest.RunFlags()...)
	for _, a := range args {
		if a == "NAME" {
			a = i.name
		}
		all = append(all, a)
	}
	return i.Podman(all...)
}

// start starts a container in the background.
func (i image) start(t *testing.T, name string, args ...string) {
	t.Helper()
	podmantest.Do(t, i.command(append([]string{"--detach", "--name=" + name}, args...)...))
	t.Cleanup(func() {
		if t.Failed() {
			out, _ := i.Podman("logs", name).CombinedOutput() // what there is
			t.Logf("%s:\n%s", name, out)
		}
		podmantest.Do(t, i.Podman("rm", "--force", "--time=0", name))
	})
}

// stop is docker stop. It returns the exit status.
func (i image) stop(t *testing.T, name string) string {
	t.Helper()
	podmantest.Do(t, i.Podman("stop", "--time=30", name))
	return podmantest.Do(t, i.Podman("inspect", "--format={{.State.ExitCode}}", name))
}

// healthcheck runs the image's health check, as the engine does at each interval.
func (i image) healthcheck(name string) error { return i.Podman("healthcheck", "run", name).Run() }

// eventually waits until the condition returns nil.
func eventually(t *testing.T, condition func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	var last error
	if err := proctest.Poll(ctx, 200*time.Millisecond, func() (bool, error) { last = condition(); return last == nil, nil }); err != nil {
		t.Fatal(last)
	}
}

// directory is a new one on the machine that belongs to a user.
func directory(t *testing.T, owner int) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "backup")
	must(t, os.Mkdir(dir, 0o700))
	must(t, os.Chown(dir, owner, owner))
	return dir
}

// pki puts a cluster's CA, client certificate and key, which only owner can read, into a new directory, and returns the flags for it.
func pki(t *testing.T, c *etcdtest.Cluster, owner int) (mount string, flags []string) {
	t.Helper()
	dir := t.TempDir()
	for name, from := range map[string]string{"ca.crt": c.PKI.CACert, "client.crt": c.PKI.Client.Cert, "client.key": c.PKI.Client.Key} {
		text, err := os.ReadFile(from)
		must(t, err)
		mode := os.FileMode(0o644)
		if name == "client.key" {
			mode = 0o600
		}
		must(t, os.WriteFile(filepath.Join(dir, name), text, mode))
		must(t, os.Chown(filepath.Join(dir, name), owner, owner))
	}
	must(t, os.Chmod(dir, 0o755)) //nolint:gosec // as the directory of etcd's certificates
	return "--volume=" + dir + ":/pki:ro", []string{
		"--endpoints=" + c.Members[0].Endpoint, "--cacert=/pki/ca.crt", "--cert=/pki/client.crt", "--key=/pki/client.key", "--node=node-a", "--min-free=0",
	}
}

// free is an address of this machine for --listen, as a variable, which the health check reads too.
func free(t *testing.T) (address, variable string) {
	t.Helper()
	ports, err := proctest.ReservePorts(1)
	must(t, err)
	return ports[0], "--env=ETCD_BACKUP_LISTEN=" + ports[0]
}

func ids(uid int) string { return strconv.Itoa(uid) + ":" + strconv.Itoa(uid) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
