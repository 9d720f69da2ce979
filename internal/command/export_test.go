package command

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// A namespace is exported with all that is in it, in the order of kubectl apply, without what the cluster adds; what is missing is said.
func TestNamespaceIsExportedForApply(t *testing.T) {
	b := newLookBed(t)
	b.put(t, "/registry/namespaces/shop", stored("v1", "Namespace", message(1, message(1, "shop"))))
	b.cluster(t)
	b.save(t, "cluster")
	status, stdout, stderr := run(t.Context(), "export", "namespace", "shop", "--dir", b.dir)
	var kinds []string
	for line := range strings.Lines(stdout) {
		if kind, ok := strings.CutPrefix(line, "kind: "); ok {
			kinds = append(kinds, strings.TrimSpace(kind))
		}
	}
	if got := strings.Join(kinds, " "); got != "Namespace Secret ConfigMap Service Deployment Widget" && got != "Namespace Secret ConfigMap Service Widget Deployment" {
		t.Errorf("exported: %s", got)
	}
	for _, text := range []string{"status:", "managedFields", "kube-system"} {
		if strings.Contains(stdout, text) {
			t.Errorf("%q is in\n%s", text, stdout)
		}
	}
	for _, text := range []string{
		"6 objects of ", "left out: 1, events are history", "needs these CustomResourceDefinitions, which are not in it: widgets.example.org",
		"/registry/strange/shop/new: unknown type strange.k8s.io/v9 Strange", "1 objects could not be decoded",
	} {
		if !strings.Contains(stderr, text) {
			t.Errorf("%q is not in\n%s", text, stderr)
		}
	}
	if status != 1 { // one could not be decoded
		t.Errorf("status %d", status)
	}
}

// Types, names, namespaces and labels select as kubectl get does.
func TestExportSelectsAsKubectlGet(t *testing.T) {
	b := newLookBed(t)
	b.cluster(t)
	b.put(t, "/registry/deployments/other/api", `{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"api","namespace":"other","labels":{"app":"api"}}}`)
	b.save(t, "cluster")
	for _, x := range []struct{ args, want string }{
		{"deploy -n shop", "web"},
		{"deployments.apps -A", "api web"},
		{"deploy -n other web", ""},
		{"deploy/web -n shop", "web"},
		{"cm,secrets -n shop", "password settings"},
		{"deploy -A -l app=api", "api"},
		{"deploy -A -l app", "api"},
		{"deploy -A -l !app", "web"},
		{"deploy -A -l app!=api", "web"},
		{"deploy,cm -A web settings", "settings web"},
		{"wd -n shop one", "one"},
	} {
		status, stdout, stderr := run(t.Context(), append(append([]string{"export"}, strings.Fields(x.args)...), "--dir", b.dir)...)
		var names []string
		for line := range strings.Lines(stdout) {
			if name, ok := strings.CutPrefix(line, "  name: "); ok {
				names = append(names, strings.TrimSpace(name))
			}
		}
		if got := strings.Join(names, " "); got != x.want || (status != 0) != (x.want == "") {
			t.Errorf("export %s: status %d, %q, want %q: %s", x.args, status, got, x.want, stderr)
		}
	}
	b.refused(t, 2, []string{"export needs a namespace or a type"}, "export")
	b.refused(t, 2, []string{`unknown resource type "gadget"`}, "export", "gadget")
	b.refused(t, 2, []string{"--selector: "}, "export", "cm", "-l", "app in (a)")
	b.refused(t, 1, []string{"has nothing of this at revision"}, "export", "namespace", "none")
}

// With --to the file is the owner's alone, and it is there complete or not at all.
func TestExportedFileIsForItsOwnerAndComplete(t *testing.T) {
	b := newLookBed(t)
	b.cluster(t)
	b.put(t, "/registry/configmaps/shop/large", dataObject("ConfigMap", "shop", "large", "text", strings.Repeat("large ", 100000)))
	b.save(t, "cluster")
	file := filepath.Join(t.TempDir(), "shop.yaml")
	if out := b.want(t, "export", "secret,cm", "-n", "shop", "--to", file); out != "" {
		t.Errorf("stdout has %q", out)
	}
	info, err := os.Stat(file)
	must(t, err)
	if info.Mode().Perm() != 0o600 || info.Size() == 0 {
		t.Errorf("the file has mode %v and %d bytes", info.Mode(), info.Size())
	}
	b.refused(t, 2, []string{"exists: give a new file"}, "export", "secret", "-n", "shop", "--to", file)
	disk := t.TempDir()
	must(t, unix.Mount("tmpfs", disk, "tmpfs", 0, "size=64k,mode=0700"))
	defer func() { must(t, unix.Unmount(disk, 0)) }()
	b.refused(t, 1, []string{"no space left on device"}, "export", "cm", "-n", "shop", "--to", disk+"/shop.yaml")
	left, err := os.ReadDir(disk)
	must(t, err)
	if len(left) > 0 {
		t.Errorf("%v is left", left)
	}
}

// What an API server encrypted is said to be so, with the provider and the key's name, and a wrong file of keys is one line.
func TestEncryptedObjectsAreNamed(t *testing.T) {
	b := newLookBed(t)
	b.cluster(t)
	value := "k8s:enc:aescbc:v1:key1:\x00\x01"
	b.put(t, "/registry/configmaps/shop/hidden", value)
	b.save(t, "cluster")
	status, stdout, stderr := run(t.Context(), "get", "cm", "hidden", "-n", "shop", "--dir", b.dir)
	if status != 1 || stdout != value || !strings.Contains(stderr, `encrypted with provider aescbc, key "key1"`) {
		t.Errorf("status %d, %q, %q", status, stdout, stderr)
	}
	file := filepath.Join(t.TempDir(), "keys.yaml")
	must(t, os.WriteFile(file, []byte("kind: Nothing\n"), 0o600))
	for _, args := range [][]string{{"get", "cm", "hidden"}, {"export", "cm"}} {
		b.refused(t, 2, []string{"--encryption-config: " + file, "not an EncryptionConfiguration"}, append(args, "--encryption-config", file)...)
		b.refused(t, 2, []string{"read --encryption-config: open /none"}, append(args, "--encryption-config", "/none")...)
	}
}
