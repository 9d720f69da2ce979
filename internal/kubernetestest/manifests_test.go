//go:build kubernetes

package kubernetestest

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"etcd-rolling-backup/internal/etcdtest"
	"etcd-rolling-backup/internal/proctest"
)

const packaging = "../../packaging/kubernetes"

// kubectl runs kubectl on the server, in a directory, and returns its output and its warnings.
func (s *apiServer) kubectl(t *testing.T, dir string, args ...string) (out, warnings string, err error) {
	t.Helper()
	program, err := proctest.Program("kubectl")
	must(t, err)
	cmd := exec.CommandContext(t.Context(), program, append([]string{
		"--server=" + s.base, "--certificate-authority=" + s.pki.CACert, "--client-certificate=" + s.pki.Client.Cert, "--client-key=" + s.pki.Client.Key,
		"--cache-dir=" + t.TempDir(), "--kubeconfig=" + os.DevNull,
	}, args...)...)
	var said, warned strings.Builder
	cmd.Dir, cmd.Stdout, cmd.Stderr, cmd.Env = dir, &said, &warned, proctest.Environ("KUBE")
	err = cmd.Run()
	return said.String(), warned.String(), err
}

// accepts demands that kubectl succeeds.
func (s *apiServer) accepts(t *testing.T, dir string, args ...string) (out, warnings string) {
	t.Helper()
	out, warnings, err := s.kubectl(t, dir, args...)
	if err != nil {
		t.Fatalf("kubectl %q: %v\n%s%s", args, err, out, warnings)
	}
	return out, warnings
}

// newManifestServer is an API server that knows the Prometheus Operator's PodMonitor.
func newManifestServer(t *testing.T) *apiServer {
	t.Helper()
	s := runAPIServer(t, etcdtest.Run(t, etcdtest.Options{Version: etcdVersions()[0], TLS: true, UnsafeNoFsync: true}))
	eventually(t, "the namespace kube-system exists", func() bool {
		_, _, err := s.kubectl(t, "", "get", "namespace", "kube-system")
		return err == nil
	})
	definition, err := proctest.Program("podmonitors.yaml")
	must(t, err)
	s.accepts(t, "", "create", "-f", definition)
	s.accepts(t, "", "wait", "--for=condition=Established", "customresourcedefinition/podmonitors.monitoring.coreos.com")
	return s
}

// The API server takes the base and each overlay, and Pod Security misses only what the pod can't do without.
func TestAPIServerTakesTheManifests(t *testing.T) {
	s := newManifestServer(t)
	s.accepts(t, "", "label", "namespace", "kube-system", "pod-security.kubernetes.io/warn=restricted")
	for _, path := range []string{"base", "overlays/s3", "overlays/prometheus"} {
		out, warnings := s.accepts(t, packaging, "apply", "--dry-run=server", "--validate=strict", "-k", path)
		if !strings.Contains(out, "daemonset.apps/etcd-rolling-backup created (server dry run)") {
			t.Errorf("%s: %s", path, out)
		}
		violations := regexp.MustCompile(`violate PodSecurity "restricted:latest": (.*)`).FindStringSubmatch(warnings)
		if violations == nil {
			t.Fatalf("%s: no warning: %q", path, warnings)
		}
		got := regexp.MustCompile(` \([^()]*(\([^()]*\)[^()]*)*\)(, )?`).Split(violations[1]+" ()", -1)
		t.Logf("%s: %s", path, violations[1])
		got = slices.DeleteFunc(got, func(v string) bool { return v == "" })
		if want := []string{"host namespaces", "restricted volume types", "runAsNonRoot != true", "runAsUser=0"}; !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
	out, _ := s.accepts(t, packaging, "apply", "--dry-run=server", "--validate=strict", "-k", "overlays/prometheus")
	if !strings.Contains(out, "podmonitor.monitoring.coreos.com/etcd-rolling-backup created") {
		t.Error(out)
	}
}

// The kubelet registers a static pod as a mirror, which may name no Secret, no ConfigMap and no service account.
func TestAPIServerTakesTheStaticPod(t *testing.T) {
	s := newManifestServer(t)
	text, err := os.ReadFile(filepath.Join(packaging, "static-pod/etcd-rolling-backup.yaml"))
	must(t, err)
	mirror := strings.NewReplacer(
		"\nmetadata:\n", "\nmetadata:\n  annotations: {kubernetes.io/config.mirror: a, kubernetes.io/config.source: file}\n",
		"\nspec:\n", "\nspec:\n  nodeName: node-a\n",
	).Replace(string(text))
	create := func(text string) (out, warnings string, err error) {
		path := filepath.Join(t.TempDir(), "pod.yaml")
		must(t, os.WriteFile(path, []byte(text), 0o600))
		return s.kubectl(t, "", "create", "--dry-run=server", "--validate=strict", "-f", path)
	}
	if out, warnings, err := create(mirror); err != nil || warnings != "" {
		t.Errorf("%v\n%s%s", err, out, warnings)
	}
	refused := strings.Replace(mirror, "  volumes:\n", "  volumes:\n    - name: s3\n      secret: {secretName: s3}\n", 1)
	if out, warnings, err := create(refused); err == nil || !strings.Contains(warnings, "may not reference secrets") {
		t.Errorf("%v: %s%s", err, out, warnings)
	}
}

// The commands of the README, up to the one that waits for kubelets.
func TestReadmeInstallsTheDaemonSet(t *testing.T) {
	s := newManifestServer(t)
	dir := t.TempDir()
	must(t, os.CopyFS(filepath.Join(dir, "packaging/kubernetes"), os.DirFS(packaging)))
	readme, err := os.ReadFile(filepath.Join(packaging, "README.md"))
	must(t, err)
	_, section, _ := strings.Cut(string(readme), "\n## DaemonSet\n")
	write := func(name, text string) { must(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600)) }
	write("access-key", "access")
	write("secret-key", "secret")
	write("kustomization.yaml", regexp.MustCompile("(?s)```yaml\n(.*?)```").FindStringSubmatch(section)[1])
	commands := strings.Split(strings.TrimSpace(regexp.MustCompile("(?s)```sh\n(.*?)```").FindStringSubmatch(section)[1]), "\n")
	for _, command := range commands[:len(commands)-1] {
		s.accepts(t, dir, strings.Fields(command)[1:]...)
	}
	for _, name := range []string{"daemonset/etcd-rolling-backup", "podmonitor/etcd-rolling-backup", "secret/etcd-rolling-backup-s3"} {
		s.accepts(t, dir, "-n", "kube-system", "get", name)
	}
	keys, _ := s.accepts(t, dir, "-n", "kube-system", "get", "secret/etcd-rolling-backup-s3", "-o", "jsonpath={.data.access-key}{.data.secret-key}")
	if keys != "YWNjZXNzc2VjcmV0" {
		t.Errorf("keys %s", keys)
	}
}
