package kubernetes_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"etcd-rolling-backup/internal/proctest"
)

// block is the n-th block of a language in a section of README.md.
func block(t *testing.T, section, language string, n int) string {
	t.Helper()
	_, text, found := strings.Cut(read(t, "README.md"), "\n## "+section+"\n")
	text, _, _ = strings.Cut(text, "\n## ")
	blocks := regexp.MustCompile("(?s)```"+language+"\n(.*?)```\n").FindAllStringSubmatch(text, -1)
	if !found || len(blocks) <= n {
		t.Fatalf("README.md has no block %d of %s in the section %q", n, language, section)
	}
	return blocks[n][1]
}

// sh runs a block of README.md on the node, whose files are below a root here. The container may be nil.
func (n *node) sh(t *testing.T, s *proctest.Server, section string, number int, replace ...string) string {
	t.Helper()
	bin := n.root + "/usr/local/bin"
	for _, dir := range []string{bin, n.root + "/etc/kubernetes/manifests"} {
		must(t, os.MkdirAll(dir, 0o755))
	}
	replace = append(replace, "/etc/kubernetes", n.root+"/etc/kubernetes", "/etc/etcd-rolling-backup", n.root+"/etc/etcd-rolling-backup",
		"/usr/local/bin", bin)
	if s != nil {
		replace = append(replace, "$(pidof -s etcd-rolling-backup)", pidOf(t, s))
	}
	cmd := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", strings.NewReplacer(replace...).Replace(block(t, section, "sh", number)))
	cmd.Dir = filepath.Join("..", "..")
	cmd.Env = append(proctest.Environ("ETCD"), "PATH="+bin+":"+os.Getenv("PATH"), "ETCD_BACKUP_DIR="+n.root+store)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, out)
	}
	return string(out)
}

// pidOf is the container's process, which pidof finds by the program's name, among those of other tests.
func pidOf(t *testing.T, s *proctest.Server) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "pidof", "etcd-rolling-backup").Output()
	must(t, err)
	pid := strconv.Itoa(s.PID())
	if !slices.Contains(strings.Fields(string(out)), pid) {
		t.Errorf("pidof finds %s, not %s", out, pid)
	}
	return pid
}

// The files that README.md has a person install are those that run in the other tests.
func TestReadmeInstallsTheStaticPod(t *testing.T) {
	n := &node{root: t.TempDir()}
	n.sh(t, nil, "Static pod", 0)
	installed, _ := pod(t, decoded(t, n.root+"/etc/kubernetes/manifests/etcd-rolling-backup.yaml"))
	shipped, _ := pod(t, decoded(t, staticPod))
	if image := installed.Containers[0].Image; image != "registry.example.net/etcd-rolling-backup:1.0" {
		t.Errorf("image %s", image)
	}
	installed.Containers[0].Image = shipped.Containers[0].Image
	if !reflect.DeepEqual(installed, shipped) {
		t.Errorf("%+v, want %+v", installed, shipped)
	}
	if got, want := read(t, n.root+settings+"config.yaml"), read(t, "static-pod", "config.yaml"); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// kustomization is the one that README.md proposes, next to this repository's packaging.
func kustomization(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	packaging, err := filepath.Abs("..")
	must(t, err)
	must(t, os.CopyFS(filepath.Join(dir, "packaging", "kubernetes"), os.DirFS(filepath.Join(packaging, "kubernetes"))))
	must(t, os.WriteFile(filepath.Join(dir, "kustomization.yaml"), []byte(block(t, "DaemonSet", "yaml", 0)), 0o600))
	return dir
}

func TestReadmeKustomizationSetsImageSettingsAndComponents(t *testing.T) {
	objects := decoded(t, kustomization(t))
	spec, env := pod(t, objects)
	one(t, objects, "PodMonitor")
	if image := spec.Containers[0].Image; image != "registry.example.net/etcd-rolling-backup:1.0" {
		t.Errorf("image %s", image)
	}
	for name, want := range map[string]string{
		"ETCD_BACKUP_SCHEDULE": "*/30 * * * *", "ETCD_BACKUP_S3_ENDPOINT": "minio.example.org:9000", "ETCD_BACKUP_KEEP_LAST": "24",
		"ETCD_BACKUP_S3_SECRET_KEY_FILE": settings + "s3/secret-key",
	} {
		if env[name] != want {
			t.Errorf("%s is %q, want %q", name, env[name], want)
		}
	}
	if !slices.ContainsFunc(spec.Volumes, func(v volume) bool { return v.Secret != nil && v.Secret.SecretName == "etcd-rolling-backup-s3" }) {
		t.Errorf("volumes %+v", spec.Volumes)
	}
}

// etcd takes the certificate that README.md issues, in both ways of running.
func TestReadmeIssuesACertificate(t *testing.T) {
	built := build(t)
	t.Run("static pod", func(t *testing.T) {
		n := newNode(t, built)
		n.sh(t, nil, "A certificate of its own", 0)
		config := strings.NewReplacer(pki+"healthcheck-client", settings+"etcd-client").Replace(read(t, "static-pod", "config.yaml"))
		n.write(t, settings+"config.yaml", config, 0o600)
		n.works(t, decoded(t, staticPod), nil)
	})
	t.Run("daemon set", func(t *testing.T) {
		n := newNode(t, built)
		n.sh(t, nil, "A certificate of its own", 0)
		dir := kustomization(t)
		text := "resources: [packaging/kubernetes/base]\ncomponents: [packaging/kubernetes/components/own-certificate]\n"
		must(t, os.WriteFile(filepath.Join(dir, "kustomization.yaml"), []byte(text), 0o600))
		must(t, os.Remove(n.root+pki+"healthcheck-client.key")) // so that nothing else can be used
		n.works(t, decoded(t, dir), nil)
	})
}
