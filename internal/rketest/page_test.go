//go:build image

package rketest

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"etcd-rolling-backup/internal/podmantest"
)

// page is docs/RKE.md, whose commands run here one after the other, in a directory that looks like the repository's.
type page struct {
	podman
	dir    string
	blocks []string // those that the page says are run here, and not yet run
}

// openPage reads the page. docker is a script for buildah and podman, and make puts the program where it would.
func openPage(t *testing.T, p podman, ours string) *page {
	t.Helper()
	text, err := os.ReadFile("../../docs/RKE.md")
	must(t, err)
	pg := &page{podman: p, dir: t.TempDir()}
	for _, m := range regexp.MustCompile("(?s)<!-- tested elsewhere: make test-image -->\n```sh\n(.*?)```").FindAllSubmatch(text, -1) {
		pg.blocks = append(pg.blocks, string(m[1]))
	}
	if n := bytes.Count(text, []byte("```sh\n")) - bytes.Count(text, []byte("<!-- not tested: ")); n != len(pg.blocks) {
		t.Fatalf("%d blocks are to be run here, and %d on the page are not marked as not tested", len(pg.blocks), n)
	}
	if n := strings.Count(string(text), p.image); n < 6 {
		t.Errorf("%s is on the page %d times", p.image, n)
	}
	keys := regexp.MustCompile(`system_images:\n  alpine: (\S+)\n  kubernetes_services_sidecar: (\S+)\n`).FindSubmatch(text)
	if keys == nil || string(keys[1]) != p.image || string(keys[2]) != p.image {
		t.Errorf("the two keys have %q, want %s", keys, p.image)
	}
	packaging, err := filepath.Abs("../../packaging")
	must(t, err)
	must(t, os.Symlink(packaging, pg.dir+"/packaging"))
	must(t, os.Mkdir(pg.dir+"/bin", 0o755))
	for name, script := range map[string]string{
		"docker": `case $1 in
build) shift; exec buildah bud --pull=never --isolation=chroot "$@" ;;
run) shift; exec podman ` + strings.Join(podmantest.PodmanFlags(), " ") + ` run ` + strings.Join(podmantest.RunFlags(), " ") + ` "$@" ;;
esac
exit 64`,
		"make": "install -D -m 0755 " + ours + " .cache/bin/etcd-rolling-backup",
	} {
		must(t, os.WriteFile(filepath.Join(pg.dir, "bin", name), []byte("#!/bin/bash\n"+script+"\n"), 0o755))
	}
	return pg
}

// next runs the next block of the page, with some of its words replaced. It must succeed.
func (pg *page) next(t *testing.T, replace ...string) string {
	t.Helper()
	if len(pg.blocks) == 0 {
		t.Fatal("the page has no further block")
	}
	text := strings.NewReplacer(replace...).Replace(pg.blocks[0])
	pg.blocks = pg.blocks[1:]
	cmd := exec.Command("bash", "-euo", "pipefail", "-c", text)
	cmd.Dir = pg.dir
	cmd.Env = append(slices.Clone(pg.Env), "PATH="+pg.dir+"/bin:"+os.Getenv("PATH"))
	return pg.do(t, cmd)
}

// leaves plays the page from "Look at the snapshots" on, with one node whose etcd is then one that RKE knows nothing of.
func (pg *page) leaves(t *testing.T) {
	t.Helper()
	const name = "first-with-the-new-image"
	f := newFlow(t, NewCluster(t, 1, pg.podman, ""), Config{}, nil)
	n, state := f.Nodes[0], State("cluster-a")
	f.put(t, "a", "b")
	f.once(t, name, state)
	f.put(t, "later")
	f.StopEtcd(t)
	n.Wipe(t, "/var/lib/etcd")
	snapshots := strings.TrimSuffix(n.Snapshots(""), "/")
	if out := pg.next(t, "/opt/rke/etcd-snapshots", snapshots); !strings.Contains(out, name+".zip") {
		t.Errorf("list and verify: %s", out)
	}
	pg.next(t, "/opt/rke/etcd-snapshots", snapshots, "/var/lib/etcd", n.Path("/var/lib/etcd"), "/usr/local/bin/", pg.dir+"/bin/", "/root/", pg.dir+"/",
		"--name node-a --initial-cluster node-a=https://10.0.0.1:2380", "--name etcd-"+n.Hostname+" --initial-cluster "+f.InitialCluster())
	if got, err := os.ReadFile(pg.dir + "/cluster.rkestate"); err != nil || !bytes.Equal(got, state) {
		t.Errorf("state file %q, %v", got, err)
	}
	f.StartEtcd(t)
	if got := f.keys(t); got != 2 {
		t.Errorf("%d keys after the restore, want 2", got)
	}
	if len(pg.blocks) > 0 {
		t.Errorf("blocks that were not run: %q", pg.blocks)
	}
}
