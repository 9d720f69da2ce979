//go:build image

package imagetest

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"etcd-rolling-backup/internal/etcdtest"
	"etcd-rolling-backup/internal/podmantest"
)

// documents runs the commands of README.md and docs/CONTAINER.md, with other paths. docker is a script for podman, and building only gives
// the image the name: it is built.
func (i image) documents(t *testing.T) {
	c := etcdtest.Run(t, etcdtest.Options{TLS: true, UnsafeNoFsync: true})
	dir := t.TempDir()
	pki := map[string]string{"ca.crt": c.PKI.CACert, "healthcheck-client.crt": c.PKI.Client.Cert, "healthcheck-client.key": c.PKI.Client.Key}
	_, listen := free(t)
	more := strings.Join(append(podmantest.RunFlags(), "--read-only-tmpfs=false", listen, "--env=ETCD_BACKUP_ENDPOINTS="+c.Members[0].Endpoint,
		"--env=ETCD_BACKUP_MIN_FREE=0"), " ")
	script := `#!/bin/sh
first=$1; shift
case $first in
build) exec podman tag ` + i.name + ` "$2" ;;
run) exec podman ` + strings.Join(podmantest.PodmanFlags(), " ") + ` run ` + more + ` "$@" ;;
*) exec podman ` + strings.Join(podmantest.PodmanFlags(), " ") + ` "$first" "$@" ;;
esac
`
	must(t, os.WriteFile(filepath.Join(dir, "docker"), []byte(script), 0o755))
	run := func(block string, replace ...string) string {
		t.Helper()
		replace = append(replace, "/var/lib/etcd-rolling-backup:", dir+"/backup:", "/var/lib/etcd-rolling-backup\n", dir+"/backup\n", "--network host ", "", "--restart unless-stopped ", "")
		cmd := exec.Command("bash", "-euo", "pipefail", "-c", strings.NewReplacer(replace...).Replace(block))
		cmd.Env = append(i.Env, "PATH="+dir+":"+os.Getenv("PATH"), "ETCD_BACKUP_DIR="+dir+"/backup")
		return podmantest.Do(t, cmd)
	}
	var replace []string
	for name, path := range pki {
		replace = append(replace, "/etc/kubernetes/pki/etcd/"+name, path)
	}
	readme, page := blocks(t, "README.md"), blocks(t, "docs/CONTAINER.md")
	if len(readme) != 1 || len(page) != 3 {
		t.Fatalf("%d and %d blocks are marked as run here", len(readme), len(page))
	}
	run(readme[0], replace...)
	eventually(t, func() error { return i.healthcheck("etcd-rolling-backup") })
	run(page[0])
	for _, block := range page[1:] { // the second has the program on the host, from the container that the first has stopped
		if out := run(block, " /usr/local/bin/\n", " "+dir+"/\n"); !strings.Contains(out, "rolling_") {
			t.Error(out)
		}
	}
}

// blocks are those that a document says this test runs.
func blocks(t *testing.T, path string) (out []string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(repository, path))
	must(t, err)
	for _, m := range regexp.MustCompile("(?s)<!-- tested elsewhere: make test-image, with [^>]* -->\n```sh\n(.*?)```").FindAllSubmatch(text, -1) {
		out = append(out, string(m[1]))
	}
	return out
}
