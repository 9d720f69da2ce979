package command

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
)

// message is a protobuf message of texts and messages, by the numbers of their fields.
func message(fields ...any) (out []byte) {
	for i := 0; i < len(fields); i += 2 {
		number := fields[i].(int)
		out = protowire.AppendTag(out, protowire.Number(number), protowire.BytesType)
		switch v := fields[i+1].(type) {
		case string:
			out = protowire.AppendString(out, v)
		case []byte:
			out = protowire.AppendBytes(out, v)
		}
	}
	return out
}

// stored is a value as an API server stores it.
func stored(apiVersion, kind string, object []byte) string {
	return "k8s\x00" + string(message(1, message(1, apiVersion, 2, kind), 2, object))
}

// dataObject is a ConfigMap or a Secret with one value.
func dataObject(kind, namespace, name, key, value string) string {
	return stored("v1", kind, message(1, message(1, name, 3, namespace), 2, message(1, key, 2, value)))
}

const deployment = `{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web","namespace":"shop","managedFields":[{"manager":"%s"}]},` +
	`"spec":{"replicas":%d,"template":{"spec":{"containers":[{"name":"app","image":"web:%d"}]}}},"status":{"readyReplicas":%d}}`

// cluster writes what an API server would.
func (b *lookBed) cluster(t *testing.T) {
	t.Helper()
	b.put(t, "/registry/namespaces/kube-system", stored("v1", "Namespace", message(1, message(1, "kube-system"))))
	b.put(t, "/registry/configmaps/shop/settings", dataObject("ConfigMap", "shop", "settings", "color", "blue"))
	b.put(t, "/registry/secrets/shop/password", dataObject("Secret", "shop", "password", "token", secret))
	b.put(t, "/registry/deployments/shop/web", fmt.Sprintf(deployment, "kubectl", 3, 1, 3))
	b.put(t, "/registry/services/specs/shop/web", stored("v1", "Service", message(1, message(1, "web", 3, "shop"))))
	b.put(t, "/registry/events/shop/web.1", stored("v1", "Event", message(1, message(1, "web.1", 3, "shop"))))
	b.put(t, "/registry/leases/kube-system/controller", stored("coordination.k8s.io/v1", "Lease", message(1, message(1, "controller", 3, "kube-system"))))
	b.put(t, "/registry/masterleases/10.0.0.1", "k8s\x00x")
	b.put(t, "/registry/apiextensions.k8s.io/customresourcedefinitions/widgets.example.org", `{"apiVersion":"apiextensions.k8s.io/v1","kind":"CustomResourceDefinition",`+
		`"metadata":{"name":"widgets.example.org"},"spec":{"group":"example.org","scope":"Namespaced","names":{"plural":"widgets","kind":"Widget","shortNames":["wd"]}}}`)
	b.put(t, "/registry/example.org/widgets/shop/one", `{"apiVersion":"example.org/v1","kind":"Widget","metadata":{"name":"one","namespace":"shop"},"spec":{"big":12345678901234567890}}`)
	b.put(t, "/registry/strange/shop/new", stored("strange.k8s.io/v9", "Strange", message(1, "x")))
}

// An object is found by type and name as kubectl takes them, in each of its names, and shown as kubectl shows it.
func TestGetFindsObjectsAsKubectlDoes(t *testing.T) {
	b := newLookBed(t)
	b.cluster(t)
	b.save(t, "cluster")
	for _, args := range [][]string{
		{"get", "cm", "settings", "-n", "shop"},
		{"get", "configmap", "settings", "--namespace", "shop"},
		{"get", "-n", "shop", "configmaps/settings"},
		{"get", "/registry/configmaps/shop/settings"},
		{"get", "cm", "settings", "-n=shop", "-o", "yaml"},
	} {
		got := b.want(t, args...)
		for _, line := range []string{"apiVersion: v1\n", "kind: ConfigMap\n", "  color: blue\n", "  namespace: shop\n"} {
			if !strings.Contains(got, line) {
				t.Errorf("%q: %q is not in\n%s", args, line, got)
			}
		}
	}
	for _, args := range [][]string{{"get", "wd", "one", "-n", "shop"}, {"get", "widgets.example.org", "one", "-n", "shop"}, {"get", "Widget", "one", "-n", "shop"}} {
		if got := b.want(t, append(args, "-o", "json")...); !strings.Contains(got, "12345678901234567890") {
			t.Errorf("%q: %s", args, got)
		}
	}
	if got := b.want(t, "get", "ns", "kube-system"); !strings.Contains(got, "kind: Namespace") {
		t.Errorf("%s", got)
	}
	b.refused(t, 1, []string{"no such key: /registry/configmaps/shop/setting at revision", "did you mean /registry/configmaps/shop/settings"}, "get", "cm", "setting", "-n", "shop")
	b.refused(t, 2, []string{`unknown resource type "gadget"`}, "get", "gadget", "x")
	status, stdout, stderr := run(t.Context(), "get", "/registry/strange/shop/new", "--dir", b.dir)
	if status != 1 || stdout != stored("strange.k8s.io/v9", "Strange", message(1, "x")) || !strings.Contains(stderr, "unknown type strange.k8s.io/v9 Strange") {
		t.Errorf("an unknown type: status %d, %q, %q", status, stdout, stderr)
	}
}

// A type without a name, several types, names or namespaces are a list, as kubectl shows it; values of Secrets are hidden there too.
func TestGetListsObjectsAsKubectlDoes(t *testing.T) {
	b := newLookBed(t)
	b.cluster(t)
	b.put(t, "/registry/deployments/other/api", `{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"api","namespace":"other","labels":{"app":"api"},"creationTimestamp":"2020-01-01T00:00:00Z"}}`)
	b.save(t, "cluster")
	for args, want := range map[string]string{
		"deploy -n shop":                 "NAME AGE\nweb -\n",
		"deploy -A":                      "NAMESPACE NAME AGE\nother api AGE\nshop web -\n",
		"deploy web -A":                  "NAMESPACE NAME AGE\nshop web -\n",
		"deploy -A -l app=api":           "NAMESPACE NAME AGE\nother api AGE\n",
		"cm,secret -n shop":              "NAME AGE\nconfigmaps/settings -\nsecrets/password -\n",
		"cm/settings deploy/web -n shop": "NAME AGE\nconfigmaps/settings -\ndeployments.apps/web -\n",
		"wd -n shop":                     "NAME AGE\none -\n",
		"ns":                             "NAME AGE\nkube-system -\n",
	} {
		got := b.want(t, append([]string{"get"}, strings.Fields(args)...)...)
		got = regexp.MustCompile(`[0-9]+d[0-9]+h`).ReplaceAllString(got, "AGE")
		if got = regexp.MustCompile(` +`).ReplaceAllString(got, " "); got != want {
			t.Errorf("get %s: %q, want %q", args, got, want)
		}
	}
	var list struct {
		Kind  string
		Items []struct{ Kind string }
	}
	if err := json.Unmarshal([]byte(b.want(t, "get", "cm,deploy", "-A", "-o", "json")), &list); err != nil || list.Kind != "List" || len(list.Items) != 3 {
		t.Errorf("%+v, %v", list, err)
	}
	if got := b.want(t, "get", "cm,deploy", "-A", "-o", "yaml"); strings.Count(got, "---\napiVersion: ") != 3 {
		t.Error(got)
	}
	for _, format := range []string{"yaml", "json"} {
		_, stdout, stderr := run(t.Context(), "get", "secret", "-A", "-o", format, "--dir", b.dir)
		if strings.Contains(stdout, "aHVudGVyM") || !strings.Contains(stdout, "***") || !strings.Contains(stderr, "the values of Secrets are hidden: --show-secrets shows them") {
			t.Errorf("%s: %s%s", format, stdout, stderr)
		}
	}
	b.refused(t, 1, []string{"has no deploy in namespace default at revision", "(-A: all namespaces)"}, "get", "deploy")
	b.refused(t, 1, []string{"has no nodes at revision"}, "get", "nodes")
	b.refused(t, 2, []string{`unknown resource type "gadget"`}, "get", "gadget")
	b.refused(t, 2, []string{"--history and -o raw are for one object"}, "get", "cm", "-n", "shop", "--history")
	b.refused(t, 2, []string{"--history and -o raw are for one object"}, "get", "cm", "-n", "shop", "-o", "raw")
	b.refused(t, 2, []string{"--selector: "}, "get", "cm", "-l", "app in")
}

// No command shows a Secret's values unless that is asked for.
func TestSecretsAreHiddenUnlessAskedFor(t *testing.T) {
	b := newLookBed(t)
	b.cluster(t)
	b.save(t, "before")
	b.put(t, "/registry/secrets/shop/password", dataObject("Secret", "shop", "password", "token", secret+"2"))
	b.put(t, "/registry/secrets/shop/unreadable", secret)
	b.save(t, "after")
	const encoded = "aHVudGVyM" // how secret begins in base64, as YAML and JSON have it
	for _, args := range [][]string{
		{"get", "secret", "password", "-n", "shop"},
		{"get", "secret", "password", "-n", "shop", "-o", "json"},
		{"get", "/registry/secrets/shop/password"},
		{"get", "secret", "password", "-n", "shop", "-o", "raw"},
		{"get", "secret", "password", "-n", "shop", "--history", "-o", "json"},
		{"get", "/registry/secrets/shop/unreadable"},
		{"get", "/registry/secrets/shop/unreadable", "-o", "json"},
		{"get", "/registry/secrets/shop/unreadable", "--history", "-o", "json"},
		{"diff", "before", "after"},
		{"diff", "before", "after", "--all", "-o", "json"},
		{"ls", "/registry/secrets/"},
	} {
		_, stdout, stderr := run(t.Context(), append(args, "--dir", b.dir)...)
		if all := stdout + stderr; all == "" || strings.Contains(all, secret) || strings.Contains(all, encoded) {
			t.Errorf("%q shows a secret:\n%s", args, all)
		}
	}
	b.refused(t, 2, []string{"is a Secret: add --show-secrets"}, "get", "secret", "password", "-n", "shop", "-o", "raw")
	b.refused(t, 1, []string{"--show-secrets shows it as it is stored"}, "get", "/registry/secrets/shop/unreadable")
	if got := b.want(t, "get", "secret", "password", "-n", "shop", "--show-secrets"); !strings.Contains(got, encoded) {
		t.Errorf("%s", got)
	}
	if got := b.want(t, "get", "secret", "password", "-n", "shop", "--show-secrets", "-o", "raw"); !strings.Contains(got, secret) {
		t.Errorf("%s", got)
	}
	if got := b.want(t, "diff", "before", "after"); !strings.Contains(got, "data.token *** -> ***") {
		t.Errorf("%s", got)
	}
}

// ls counts by resource, custom ones too; what is no object is counted by its first part.
func TestLsCountsByResource(t *testing.T) {
	b := newLookBed(t)
	b.cluster(t)
	b.put(t, "other/key", "x")
	b.save(t, "cluster")
	var list contents
	must(t, json.Unmarshal([]byte(b.want(t, "ls", "-o", "json")), &list))
	got := map[string]string{}
	for _, r := range list.Resources {
		got[r.Prefix] = fmt.Sprint(r.Resource, " ", r.Keys)
	}
	for prefix, want := range map[string]string{
		"/registry/configmaps/": "configmaps 1", "/registry/services/specs/": "services 1", "/registry/deployments/": "deployments.apps 1",
		"/registry/example.org/widgets/": "widgets.example.org 1", "other/": " 1", "/registry/leases/": "leases.coordination.k8s.io 1",
	} {
		if got[prefix] != want {
			t.Errorf("%s: %q, want %q", prefix, got[prefix], want)
		}
	}
	if table := b.want(t, "ls"); !strings.HasPrefix(table, "RESOURCE ") || !strings.Contains(table, "widgets.example.org ") {
		t.Errorf("%s", table)
	}
}

// The order in a list has a meaning, as of init containers, also if nothing else has changed.
func TestDiffShowsThatAListIsInAnotherOrder(t *testing.T) {
	b := newLookBed(t)
	b.cluster(t)
	const pod = `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"job","namespace":"shop"},"spec":{"initContainers":[%s]}}`
	const fetch, migrate, wait = `{"name":"fetch"}`, `{"name":"migrate"}`, `{"name":"wait"}`
	b.put(t, "/registry/pods/shop/job", fmt.Sprintf(pod, fetch+","+migrate))
	b.save(t, "before")
	b.put(t, "/registry/pods/shop/job", fmt.Sprintf(pod, migrate+","+fetch))
	b.save(t, "after")
	status, stdout, stderr := run(t.Context(), "diff", "before", "after", "--exit-code", "--dir", b.dir)
	if status != 1 {
		t.Errorf("status %d, %s", status, stderr)
	}
	wantColumns(t, stdout, "~ /registry/pods/shop/job", `spec.initContainers[*].name ["fetch","migrate"] -> ["migrate","fetch"]`)
	b.put(t, "/registry/pods/shop/job", fmt.Sprintf(pod, wait+","+fetch+","+migrate))
	b.save(t, "added")
	wantColumns(t, b.want(t, "diff", "before", "added"), "~ /registry/pods/shop/job", `spec.initContainers[wait] (none) -> {"name":"wait"}`)
}

// An object of a definition that was deleted too is found where it was, though nothing says any more whether it is in a namespace.
func TestGetSaysWhereAnObjectOfADeletedDefinitionIs(t *testing.T) {
	b := newLookBed(t)
	b.cluster(t)
	gone := b.remove(t, "/registry/example.org/widgets/shop/one")
	b.remove(t, "/registry/apiextensions.k8s.io/customresourcedefinitions/widgets.example.org")
	b.save(t, "mistake")
	b.refused(t, 1, []string{
		"no such key: /registry/example.org/widgets/shop/one at revision", fmt.Sprintf("it was deleted at revision %d: --revision %d shows its last value", gone, gone-1),
	}, "get", "widgets.example.org", "one", "-n", "shop")
	if got := b.want(t, "get", "widgets.example.org", "one", "-n", "shop", "--revision", fmt.Sprint(gone-1)); !strings.Contains(got, "kind: Widget") {
		t.Errorf("%s", got)
	}
}

// What changes all the time is counted, and shown with --all only.
func TestDiffSkipsWhatChangesAllTheTime(t *testing.T) {
	b := newLookBed(t)
	b.cluster(t)
	b.save(t, "before")
	b.put(t, "/registry/events/shop/web.2", stored("v1", "Event", message(1, message(1, "web.2", 3, "shop"))))
	b.put(t, "/registry/leases/kube-system/controller", stored("coordination.k8s.io/v1", "Lease", message(1, message(1, "controller", 3, "kube-system", 4, "x"))))
	b.put(t, "/registry/masterleases/10.0.0.1", "k8s\x00y")
	b.put(t, "/registry/deployments/shop/web", fmt.Sprintf(deployment, "controller", 3, 1, 2))
	b.save(t, "quiet")
	status, stdout, stderr := run(t.Context(), "diff", "before", "quiet", "--exit-code", "--dir", b.dir)
	if status != 0 || stdout != "" || !strings.Contains(stderr, "0 added, 0 deleted, 0 changed; not shown (--all): 1 Events, 2 Leases, 1 changes of status or managedFields alone") {
		t.Errorf("status %d, %q, %q", status, stdout, stderr)
	}
	all := b.want(t, "diff", "before", "quiet", "--all")
	for _, want := range []string{"+ /registry/events/shop/web.2", "~ /registry/leases/", "status.readyReplicas 3 -> 2", `metadata.managedFields[0].manager "kubectl" -> "controller"`} {
		if !strings.Contains(all, want) {
			t.Errorf("%q is not in\n%s", want, all)
		}
	}
	b.put(t, "/registry/deployments/shop/web", fmt.Sprintf(deployment, "controller", 5, 2, 2))
	b.put(t, "/registry/configmaps/shop/settings", dataObject("ConfigMap", "shop", "settings", "color", "red"))
	b.remove(t, "/registry/services/specs/shop/web")
	want := []string{
		"~ /registry/configmaps/shop/settings", `data.color "blue" -> "red"`,
		"~ /registry/deployments/shop/web", "spec.replicas 3 -> 5", `spec.template.spec.containers[app].image "web:1" -> "web:2"`,
		"- /registry/services/specs/shop/web",
	}
	wantColumns(t, b.want(t, "diff", "quiet", "live", "--endpoints", b.endpoint), want...)
	wantColumns(t, b.want(t, "diff", "quiet", "live", "/registry/conf", "--endpoints", b.endpoint), want[:2]...)
}
