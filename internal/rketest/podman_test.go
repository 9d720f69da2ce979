//go:build image

package rketest

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"etcd-rolling-backup/internal/etcdtest"
	"etcd-rolling-backup/internal/podmantest"
)

// podman runs containers of one image.
type podman struct {
	podmantest.Engine
	image string
	flags []string // of podman run
}

// do runs a command and returns what it has written. It must succeed.
func (podman) do(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	return podmantest.Do(t, cmd)
}

// Command runs the container as RKE lets Docker run it: no entrypoint, no user, the host's network. The containers and their
// volumes stay until the end.
func (p podman) Command(_ context.Context, c Container) *exec.Cmd {
	args := append([]string{"run"}, podmantest.RunFlags()...)
	if c.Name != "" {
		args = append(args, "--name="+c.Name)
	}
	args = append(args, p.flags...)
	for at, from := range c.Mounts {
		args = append(args, "--volume="+from+":"+at)
	}
	for _, v := range c.Env {
		args = append(args, "--env="+v)
	}
	return p.Podman(append(append(args, p.image), c.Args...)...)
}

// Stop is docker stop, with more patience: a container that has to be killed after it fails the test by its exit status.
func (p podman) Stop(c Container, _ *exec.Cmd) error {
	return p.Podman("stop", "--time=30", c.Name).Run()
}

// Kill is docker rm -f.
func (p podman) Kill(c Container, _ *exec.Cmd) error {
	return p.Podman("rm", "--force", "--time=0", c.Name).Run()
}

// standIn makes an image with the name of the original and with what the overlay and RKE need of it: the volume with the entrypoint, the
// entrypoint and the stop signal of nginx, a shell with its tools, and etcdctl.
func (p podman) standIn(t *testing.T, name string) {
	t.Helper()
	etcdctl, err := etcdtest.Program(Version, "etcdctl")
	must(t, err)
	busybox, err := exec.LookPath("busybox")
	must(t, err)
	root := t.TempDir()
	for path, text := range map[string]string{
		"/docker-entrypoint.sh":          "#!/bin/sh\nexec \"$@\"\n",
		"/opt/rke-tools/entrypoint.sh":   "#!/bin/sh\necho entrypoint of the original\nexec \"$@\"\n",
		"/opt/rke-tools/rke-etcd-backup": "#!/bin/sh\necho the original >&2\nexit 99\n",
	} {
		must(t, os.MkdirAll(filepath.Dir(root+path), 0o755))
		must(t, os.WriteFile(root+path, []byte(text), 0o755))
	}
	for _, dir := range []string{"/bin", "/usr/local/bin", "/tmp", "/proc", "/dev", "/sys", "/etc"} {
		must(t, os.MkdirAll(root+dir, 0o755))
	}
	p.do(t, exec.Command("cp", busybox, root+"/bin/busybox"))
	p.do(t, exec.Command(busybox, "--install", "-s", root+"/bin"))
	for _, tool := range strings.Fields("bash sh md5sum cut tr rm mv ls ln cmp nc tar sleep") {
		must(t, os.RemoveAll(root+"/bin/"+tool))
		must(t, os.Symlink("busybox", root+"/bin/"+tool))
	}
	p.do(t, exec.Command("cp", etcdctl, root+"/usr/local/bin/etcdctl"))
	libraries, err := exec.Command("ldd", etcdctl).Output()
	if err != nil {
		libraries = nil // it is static
	}
	for _, library := range regexp.MustCompile(`/\S+`).FindAllString(string(libraries), -1) {
		must(t, os.MkdirAll(filepath.Dir(root+library), 0o755))
		p.do(t, exec.Command("cp", "--dereference", library, root+library))
	}

	p.Commit(t, root, name, "--entrypoint=[\"/docker-entrypoint.sh\"]", "--cmd=/bin/bash", "--stop-signal=SIGQUIT",
		"--volume=/opt/rke-tools", "--env="+path)
}
