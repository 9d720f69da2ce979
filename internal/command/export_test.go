package command

import (
	"fmt"
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
		"/registry/strange/shop/new: unknown type strange.k8s.io/v9 Strange", "could not be decoded: 1 object;",
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
		{"deploy -A -l app=api,app!=web", "api"},
		{"wd -n shop one", "one"},
		{"deploy/web cm/settings -n shop", "settings web"},
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
	b.refused(t, 2, []string{"--selector: "}, "export", "cm", "-l", "app in a")
	b.refused(t, 1, []string{"has no namespace none at revision"}, "export", "namespace", "none")
	b.refused(t, 1, []string{"has no deploy in namespace default at revision", "(-A: all namespaces)"}, "export", "deploy")
	b.refused(t, 2, []string{"all is not a type: name them", "export namespace shop"}, "export", "all", "-n", "shop")
	b.refused(t, 2, []string{`"web": use TYPE/NAME for each object`}, "export", "deploy/web", "web", "-n", "shop")
}

// A namespace goes after all that is in it. So its own last value is from when the rest was gone, and export says where that still is.
func TestExportWarnsOfANamespaceThatWasBeingDeleted(t *testing.T) {
	b := newLookBed(t)
	b.cluster(t)
	const namespace = `{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"shop"%s}}`
	b.put(t, "/registry/namespaces/shop", fmt.Sprintf(namespace, ""))
	began := b.put(t, "/registry/namespaces/shop", fmt.Sprintf(namespace, `,"deletionTimestamp":"2026-01-01T00:00:00Z"`))
	b.remove(t, "/registry/configmaps/shop/settings")
	b.save(t, "terminating")
	b.put(t, "/registry/namespaces/shop", fmt.Sprintf(namespace, `,"deletionTimestamp":"2026-01-01T00:00:00Z","labels":{"a":"b"}`))
	gone := b.remove(t, "/registry/namespaces/shop")
	b.save(t, "gone")
	warning := fmt.Sprintf("warning: namespace shop was being deleted, so that some of what was in it may be missing: --revision %d has all of it", began-1)
	for _, args := range [][]string{
		{"namespace", "shop", "--snapshot", "terminating"}, {"namespace", "shop", "--revision", fmt.Sprint(gone - 1)}, {"deploy", "-n", "shop", "--snapshot", "terminating"},
	} {
		_, stdout, stderr := run(t.Context(), append(append([]string{"export"}, args...), "--dir", b.dir)...)
		if !strings.Contains(stderr, warning) || strings.Contains(stdout, "settings") {
			t.Errorf("%q: %s%s", args, stdout, stderr)
		}
	}
	for _, args := range [][]string{{"namespace", "shop", "--revision", fmt.Sprint(began - 1)}, {"ns", "kube-system"}} {
		if _, _, stderr := run(t.Context(), append(append([]string{"export"}, args...), "--dir", b.dir)...); strings.Contains(stderr, "warning:") {
			t.Errorf("%q: %s", args, stderr)
		}
	}
	_, err := b.client.Compact(t.Context(), gone-1)
	must(t, err)
	b.save(t, "compacted")
	if _, _, stderr := run(t.Context(), "export", "namespace", "shop", "--revision", fmt.Sprint(gone-1), "--dir", b.dir); !strings.Contains(stderr, "missing: an older snapshot has all of it") {
		t.Errorf("compacted: %s", stderr)
	}
}

// Each namespace that is named is exported with what is in it, however it is written. A name that has no object is an error.
func TestEveryNameThatIsExportedIsThere(t *testing.T) {
	b := newLookBed(t)
	b.cluster(t)
	b.put(t, "/registry/namespaces/shop", stored("v1", "Namespace", message(1, message(1, "shop"))))
	b.put(t, "/registry/configmaps/kube-system/dns", dataObject("ConfigMap", "kube-system", "dns", "color", "red"))
	b.save(t, "cluster")
	for _, args := range []string{"namespace shop kube-system", "ns/shop ns/kube-system"} {
		_, stdout, stderr := run(t.Context(), append(append([]string{"export"}, strings.Fields(args)...), "--dir", b.dir)...)
		for _, text := range []string{"name: settings", "name: dns", "  name: shop", "  name: kube-system"} {
			if !strings.Contains(stdout, text) {
				t.Errorf("export %s: %q is not in\n%s%s", args, text, stdout, stderr)
			}
		}
	}
	for _, command := range []string{"export", "get"} {
		status, stdout, stderr := run(t.Context(), command, "cm", "settings", "other", "-n", "shop", "--dir", b.dir)
		if status != 1 || !strings.Contains(stdout, "settings") || !strings.Contains(stderr, "has no cm with the name other: the others were found") {
			t.Errorf("%s: status %d\n%s%s", command, status, stdout, stderr)
		}
	}
}

// A selector means what it means to kubectl.
func TestSelectorsAreThoseOfKubectl(t *testing.T) {
	web := map[string]any{"metadata": map[string]any{"labels": map[string]any{"app": "web", "tier": "front"}}}
	for selector, want := range map[string]bool{
		"": true, "app=web": true, "app==web": true, "app = web": true, "app=api": false, "app!=api": true, "app!=web": false, "none!=x": true,
		"app": true, "!app": false, "none": false, "!none": true, "app=web,tier=front": true, "app=web, tier=back": false,
		"app in (web,api)": true, "app in (api)": false, "app in(web)": true, "app notin (api, db)": true, "app notin (web)": false, "none notin (a)": true,
		"none in (a)": false, "app in (web,api),tier notin (back)": true, "app=": false, "app.kubernetes.io/name!=x": true,
	} {
		l, err := readLabels(selector)
		if err != nil || l.match(web) != want {
			t.Errorf("%q: %v, %v, want %v", selector, l.match(web), err, want)
		}
	}
	for _, selector := range []string{"app in web", "app in (web", "=x", ",", "app=web,", "a b", "app in (web) x", "!", "app>1"} {
		if l, err := readLabels(selector); err == nil {
			t.Errorf("%q is read as %+v", selector, l)
		}
	}
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
	b.refused(t, 2, []string{"exists: give a new file"}, "export", "secret", "--to", file, "--snapshot", "none") // before any work
	if out := b.want(t, "export", "cm", "settings", "-n", "shop", "--to", "-"); !strings.Contains(out, "kind: ConfigMap") {
		t.Errorf("--to -: %s", out)
	}
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
	if status != 1 || stdout != value || !strings.Contains(stderr, `encrypted with provider aescbc, key "key1" (add --encryption-config with the API server's file)`) {
		t.Errorf("status %d, %q, %q", status, stdout, stderr)
	}
	file := filepath.Join(t.TempDir(), "keys.yaml")
	must(t, os.WriteFile(file, []byte("kind: Nothing\n"), 0o600))
	for _, args := range [][]string{{"get", "cm", "hidden"}, {"export", "cm"}} {
		b.refused(t, 2, []string{"--encryption-config: " + file, "not an EncryptionConfiguration"}, append(args, "--encryption-config", file)...)
		b.refused(t, 2, []string{"read --encryption-config: open /none"}, append(args, "--encryption-config", "/none")...)
	}
}
