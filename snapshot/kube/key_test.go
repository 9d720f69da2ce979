package kube

import (
	"errors"
	"slices"
	"testing"
)

func testCatalog(t *testing.T) *Catalog {
	t.Helper()
	catalog, err := NewDecoder(nil).NewCatalog()
	if err != nil {
		t.Fatal(err)
	}
	return catalog
}

func definition(group, plural, kind, scope string, shortNames ...any) map[string]any {
	return map[string]any{"spec": map[string]any{
		"group": group, "scope": scope,
		"names": map[string]any{"plural": plural, "kind": kind, "shortNames": shortNames},
	}}
}

func TestKeysNameTheirObjects(t *testing.T) {
	catalog := testCatalog(t)
	catalog.AddCRD(definition("example.com", "gadgets", "Gadget", "Cluster"))
	prefixes := []string{"/registry", "/registry/inner", "/openshift.io", ""}
	for text, want := range map[string]Key{
		"/registry/pods/web/a":               {Prefix: "/registry", Resource: "pods", Namespace: "web", Name: "a"},
		"/registry/deployments/web/a":        {Prefix: "/registry", Group: "apps", Resource: "deployments", Namespace: "web", Name: "a"},
		"/registry/services/specs/web/a":     {Prefix: "/registry", Resource: "services", Namespace: "web", Name: "a"},
		"/registry/services/endpoints/web/a": {Prefix: "/registry", Resource: "endpoints", Namespace: "web", Name: "a"},
		"/registry/minions/node-1":           {Prefix: "/registry", Resource: "nodes", Name: "node-1"},
		"/registry/controllers/web/a":        {Prefix: "/registry", Resource: "replicationcontrollers", Namespace: "web", Name: "a"},
		"/registry/ingress/web/a":            {Prefix: "/registry", Group: "networking.k8s.io", Resource: "ingresses", Namespace: "web", Name: "a"},
		"/registry/podsecuritypolicy/a":      {Prefix: "/registry", Group: "policy", Resource: "podsecuritypolicies", Name: "a"},
		"/registry/events/web/a.17":          {Prefix: "/registry", Resource: "events", Namespace: "web", Name: "a.17"},
		"/registry/clusterroles/system:node": {Prefix: "/registry", Group: "rbac.authorization.k8s.io", Resource: "clusterroles", Name: "system:node"},
		"/registry/apiregistration.k8s.io/apiservices/v1.apps": {
			Prefix: "/registry", Group: "apiregistration.k8s.io", Resource: "apiservices", Name: "v1.apps",
		},
		"/registry/apiextensions.k8s.io/customresourcedefinitions/gadgets.example.com": {
			Prefix: "/registry", Group: "apiextensions.k8s.io", Resource: "customresourcedefinitions", Name: "gadgets.example.com",
		},
		"/registry/example.com/gadgets/a":     {Prefix: "/registry", Group: "example.com", Resource: "gadgets", Name: "a"},
		"/registry/example.com/others/a":      {Prefix: "/registry", Group: "example.com", Resource: "others", Name: "a"},
		"/registry/example.com/others/web/a":  {Prefix: "/registry", Group: "example.com", Resource: "others", Namespace: "web", Name: "a"},
		"/registry/somethingnew/web/a":        {Prefix: "/registry", Resource: "somethingnew", Namespace: "web", Name: "a"},
		"/registry/inner/pods/web/a":          {Prefix: "/registry/inner", Resource: "pods", Namespace: "web", Name: "a"},
		"/openshift.io/routes/web/a":          {Prefix: "/openshift.io", Resource: "routes", Namespace: "web", Name: "a"},
		"/namespaces/web":                     {Resource: "namespaces", Name: "web"},
		"/registry/masterleases/10.0.0.1":     {Prefix: "/registry"},
		"/registry/ranges/serviceips":         {Prefix: "/registry"},
		"/registry/peerserverleases/a":        {Prefix: "/registry"},
		"/registry/pods/a":                    {Prefix: "/registry"},
		"/registry/minions/a/b":               {Prefix: "/registry"},
		"/registry/example.com/gadgets/web/a": {Prefix: "/registry"},
		"/registry/pods//a":                   {Prefix: "/registry"},
		"/registry/":                          {Prefix: "/registry"},
		"/registry/pods/a/b/c/d":              {Prefix: "/registry"},
		"compact_rev_key":                     {},
		"":                                    {},
		"\xff\xfe/registry/pods/web/a":        {},
	} {
		want.Text = text
		got, ok := catalog.ParseKey(text, prefixes)
		if got != want || ok != (want.Resource != "") {
			t.Errorf("%q: got %+v, %v, want %+v", text, got, ok, want)
		}
	}
}

func TestResourcesAreFoundByKubectlsNames(t *testing.T) {
	catalog := testCatalog(t)
	catalog.AddCRD(definition("a.example.com", "widgets", "Widget", "Namespaced", "wd"))
	catalog.AddCRD(definition("b.example.com", "widgets", "Widget", "Namespaced"))
	catalog.AddCRD(definition("b.example.com", "pods", "Pod", "Namespaced", "svc"))
	for name, want := range map[string]string{
		"po": "pods", "pod": "pods", "Pod": "pods", "PODS": "pods", "svc": "services", "cm": "configmaps", "ns": "namespaces",
		"deploy": "deployments.apps", "deployment.apps": "deployments.apps", "deployments.v1.apps": "deployments.apps",
		"ing": "ingresses.networking.k8s.io", "ingress.networking": "ingresses.networking.k8s.io", "no": "nodes", "sts": "statefulsets.apps",
		"ds": "daemonsets.apps", "rs": "replicasets.apps", "hpa": "horizontalpodautoscalers.autoscaling", "pdb": "poddisruptionbudgets.policy",
		"crd": "customresourcedefinitions.apiextensions.k8s.io", "crds": "customresourcedefinitions.apiextensions.k8s.io",
		"pvc": "persistentvolumeclaims", "pv": "persistentvolumes", "sa": "serviceaccounts", "sc": "storageclasses.storage.k8s.io",
		"ep": "endpoints", "ev": "events", "events.events.k8s.io": "events", "quota": "resourcequotas", "limits": "limitranges",
		"netpol": "networkpolicies.networking.k8s.io", "cj": "cronjobs.batch", "csr": "certificatesigningrequests.certificates.k8s.io",
		"pc": "priorityclasses.scheduling.k8s.io", "psp": "podsecuritypolicies.policy", "secret": "secrets", "rc": "replicationcontrollers",
		"wd": "widgets.a.example.com", "widget.b.example.com": "widgets.b.example.com", "widgets.v1beta1.b.example.com": "widgets.b.example.com",
		"ingresses.extensions": "ingresses.networking.k8s.io", "deploy.extensions": "deployments.apps", "deployments.v1beta1.extensions": "deployments.apps",
		"pods.b.example.com": "pods.b.example.com", "gone.deleted.example.com": "gone.deleted.example.com",
	} {
		if got, err := catalog.Find(name); err != nil || got.Name() != want {
			t.Errorf("%s: got %q, %v, want %q", name, got.Name(), err, want)
		}
	}
	var ambiguous *AmbiguousResourceError
	if _, err := catalog.Find("widgets"); !errors.As(err, &ambiguous) || len(ambiguous.Candidates) != 2 {
		t.Errorf("widgets of two groups: %v", err)
	}
	var unknown *UnknownResourceError
	for _, name := range []string{"nonsense", "", ".", "pods.apps", ".apps"} {
		if got, err := catalog.Find(name); !errors.As(err, &unknown) {
			t.Errorf("%q: got %+v, %v", name, got, err)
		}
	}
}

func TestKeysOfAResourceLeadBackToIt(t *testing.T) {
	catalog := testCatalog(t)
	catalog.AddCRD(definition("a.example.com", "widgets", "Widget", "Namespaced"))
	prefixes := []string{"/registry"}
	for _, r := range catalog.Resources() {
		namespace := "web"
		if r.Scope == Cluster {
			namespace = ""
		}
		keys := r.Keys(prefixes, namespace, "name")
		if len(keys) != 1 {
			t.Fatalf("%s: keys %q", r.Name(), keys)
		}
		key, ok := catalog.ParseKey(keys[0], prefixes)
		stored := r.Name()
		if stored == "events.events.k8s.io" {
			stored = "events"
		}
		if !ok || key.ResourceName() != stored || key.Namespace != namespace || key.Name != "name" {
			t.Errorf("%s: key %s leads to %+v", r.Name(), keys[0], key)
		}
	}
	gone, err := catalog.Find("gone.deleted.example.com")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"/registry/deleted.example.com/gone/web/a", "/registry/deleted.example.com/gone/a"}
	if got := gone.Keys(prefixes, "web", "a"); !slices.Equal(got, want) {
		t.Errorf("of an unknown scope: %q", got)
	}
	pods, err := catalog.Find("po")
	if err != nil {
		t.Fatal(err)
	}
	if got := append(pods.Ranges(prefixes, ""), pods.Ranges(prefixes, "web")...); !slices.Equal(got, []string{"/registry/pods/", "/registry/pods/web/"}) {
		t.Errorf("ranges %q", got)
	}
}

func TestPrefixesAreFoundByTheirKeys(t *testing.T) {
	for _, c := range []struct{ keys, want []string }{
		{[]string{"/registry/pods/web/a"}, []string{"/registry"}},
		{[]string{"/kubernetes.io/pods/web/a", "/openshift.io/routes/web/a"}, []string{"/kubernetes.io", "/openshift.io"}},
		{[]string{"/a/namespaces/kube-system", "/a/pods/x/y", "/b/c/namespaces/kube-system"}, []string{"/a", "/b/c"}},
		{[]string{"/namespaces/kube-system"}, []string{""}},
		{[]string{"config/a", "/registryx/a", "no/namespaces/kube-system"}, nil},
	} {
		if got := Prefixes(slices.Values(c.keys)); !slices.Equal(got, c.want) {
			t.Errorf("%q: got %q, want %q", c.keys, got, c.want)
		}
	}
}
