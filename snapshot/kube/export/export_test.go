package export

import (
	"slices"
	"strings"
	"testing"

	"etcd-rolling-backup/snapshot/kube"
)

// parse returns the object that a line of JSON describes.
func parse(t *testing.T, text string) kube.Object {
	t.Helper()
	object, err := kube.NewDecoder(nil).Decode("", []byte(text))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return object
}

// outlines are the objects as they are kept while others are looked at.
func outlines(objects []kube.Object) (all []kube.Object) {
	for _, object := range objects {
		all = append(all, Outline(object))
	}
	return all
}

func TestWhatAClusterMakesItselfIsLeftOutWithAReason(t *testing.T) {
	for _, c := range []struct {
		text string
		want Reason
	}{
		{`{"apiVersion":"v1","kind":"Node"}`, Node},
		{`{"apiVersion":"v1","kind":"Event"}`, Event},
		{`{"apiVersion":"events.k8s.io/v1","kind":"Event"}`, Event},
		{`{"apiVersion":"coordination.k8s.io/v1","kind":"Lease"}`, Lease},
		{`{"apiVersion":"storage.k8s.io/v1","kind":"CSINode"}`, Node},
		{`{"apiVersion":"storage.k8s.io/v1","kind":"VolumeAttachment"}`, Attachment},
		{`{"apiVersion":"v1","kind":"Pod","metadata":{"annotations":{"kubernetes.io/config.mirror":"x"}}}`, MirrorPod},
		{`{"apiVersion":"v1","kind":"Pod","status":{"phase":"Succeeded"}}`, Finished},
		{`{"apiVersion":"batch/v1","kind":"Job","status":{"conditions":[{"type":"Complete","status":"True"}]}}`, Finished},
		{`{"apiVersion":"batch/v1","kind":"Job","status":{"conditions":[{"type":"Complete","status":"False"}]}}`, ""},
		{`{"apiVersion":"apiregistration.k8s.io/v1","kind":"APIService","spec":{"group":"apps"}}`, Managed},
		{`{"apiVersion":"apiregistration.k8s.io/v1","kind":"APIService","spec":{"service":{"name":"metrics"}}}`, ""},
		{`{"apiVersion":"discovery.k8s.io/v1","kind":"EndpointSlice","metadata":{"labels":{"endpointslice.kubernetes.io/managed-by":"x"}}}`, Managed},
		{`{"apiVersion":"discovery.k8s.io/v1","kind":"EndpointSlice"}`, ""},
		{`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"kube-root-ca.crt"}}`, Managed},
		{`{"apiVersion":"v1","kind":"Secret","type":"kubernetes.io/service-account-token","metadata":{"name":"bot-token-x7k2p","annotations":{"kubernetes.io/service-account.name":"bot"}}}`, Token},
		{`{"apiVersion":"v1","kind":"Secret","type":"kubernetes.io/service-account-token","metadata":{"name":"bot-token","annotations":{"kubernetes.io/service-account.name":"bot"}}}`, ""},
		{`{"apiVersion":"v1","kind":"Secret","type":"kubernetes.io/service-account-token","metadata":{"name":"ci","annotations":{"kubernetes.io/service-account.name":"bot"}}}`, ""},
		{`{"apiVersion":"v1","kind":"Service","metadata":{"name":"kubernetes","namespace":"default"}}`, Managed},
		{`{"apiVersion":"v1","kind":"Endpoints","metadata":{"name":"kubernetes","namespace":"default"}}`, Managed},
		{`{"apiVersion":"discovery.k8s.io/v1","kind":"EndpointSlice","metadata":{"name":"kubernetes","namespace":"default"}}`, Managed},
		{`{"apiVersion":"v1","kind":"Service","metadata":{"name":"kubernetes","namespace":"shop"}}`, ""},
		{`{"apiVersion":"serving.example.org/v1","kind":"Service","metadata":{"name":"kubernetes","namespace":"default"}}`, ""},
		{`{"apiVersion":"v1","kind":"Secret","type":"Opaque"}`, ""},
		{`{"apiVersion":"v1","kind":"Endpoints","metadata":{"annotations":{"endpoints.kubernetes.io/last-change-trigger-time":"x"}}}`, Managed},
		{`{"apiVersion":"v1","kind":"Endpoints","metadata":{"labels":{"endpoints.kubernetes.io/managed-by":"x"}}}`, Managed},
		{`{"apiVersion":"v1","kind":"Endpoints","metadata":{"labels":{"app":"x"}}}`, ""},
		{`{"apiVersion":"apiregistration.k8s.io/v1","kind":"APIService","metadata":{"labels":{"kube-aggregator.kubernetes.io/automanaged":"onstart"}},"spec":{"service":{"name":"x"}}}`, Managed},
		{`{"apiVersion":"v1","kind":"Pod","metadata":{"deletionTimestamp":"2026-01-01T00:00:00Z"},"status":{"phase":"Running"}}`, ""},
		{`{"apiVersion":"example.com/v1","kind":"Node"}`, ""},
	} {
		object := parse(t, c.text)
		for _, object := range []kube.Object{object, Outline(object)} {
			if got := Select([]kube.Object{object}, Options{}); got[0] != c.want {
				t.Errorf("%s: got %q, want %q", c.text, got[0], c.want)
			}
		}
	}
}

// Before Kubernetes 1.33, nothing in the endpoints of a service without pods says that a controller made them, but the service's selector.
func TestEndpointsOfAServiceWithASelectorAreLeftOut(t *testing.T) {
	objects := outlines([]kube.Object{
		parse(t, `{"apiVersion":"v1","kind":"Service","metadata":{"name":"web","namespace":"shop"},"spec":{"selector":{"app":"web"}}}`),
		parse(t, `{"apiVersion":"v1","kind":"Service","metadata":{"name":"database","namespace":"shop"},"spec":{"clusterIP":"None"}}`),
		parse(t, `{"apiVersion":"v1","kind":"Endpoints","metadata":{"name":"web","namespace":"shop"}}`),
		parse(t, `{"apiVersion":"v1","kind":"Endpoints","metadata":{"name":"database","namespace":"shop"}}`),
	})
	if got := Select(objects, Options{}); !slices.Equal(got, []Reason{"", "", Managed, ""}) {
		t.Errorf("got %q", got)
	}
}

func TestOwnedObjectsAreLeftOutIfTheirOwnerIsExported(t *testing.T) {
	owned := func(kind, uid, owner string) kube.Object {
		return parse(t, `{"apiVersion":"apps/v1","kind":"`+kind+`","metadata":{"uid":"`+uid+`","ownerReferences":[{"controller":true,"uid":"`+owner+`"}]}}`)
	}
	deployment := parse(t, `{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"uid":"d"}}`)
	objects := []kube.Object{owned("Pod", "p", "r"), owned("ReplicaSet", "r", "d"), deployment, owned("Pod", "q", "gone")}
	objects = outlines(objects)
	if got := Select(objects, Options{}); !slices.Equal(got, []Reason{Owned, Owned, "", ""}) {
		t.Errorf("got %q", got)
	}
	if got := Select(objects, Options{WithOwned: true}); !slices.Equal(got, make([]Reason, 4)) {
		t.Errorf("with owned: %q", got)
	}
}

func TestStripRemovesWhatAClusterAdds(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{
			`{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"web","uid":"u","resourceVersion":"1","creationTimestamp":"x","deletionTimestamp":"y",` +
				`"managedFields":[],"annotations":{"kubectl.kubernetes.io/last-applied-configuration":"{}"}},"spec":{"finalizers":["kubernetes"]},"status":{"phase":"Terminating"}}`,
			`{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"web"}}`,
		},
		{
			`{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web","deletionTimestamp":"y","deletionGracePeriodSeconds":0,"finalizers":["foregroundDeletion","example.org/keep"]}}`,
			`{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"finalizers":["example.org/keep"],"name":"web"}}`,
		},
		{
			`{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web","finalizers":["orphan"]}}`,
			`{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web"}}`,
		},
		{
			`{"apiVersion":"v1","kind":"Service","metadata":{"name":"a"},"spec":{"clusterIP":"10.0.0.1","clusterIPs":["10.0.0.1"],"healthCheckNodePort":30000,"ports":[{"port":80,"nodePort":30001}]}}`,
			`{"apiVersion":"v1","kind":"Service","metadata":{"name":"a"},"spec":{"ports":[{"port":80}]}}`,
		},
		{
			`{"apiVersion":"v1","kind":"Service","metadata":{"annotations":{"kubectl.kubernetes.io/last-applied-configuration":` +
				`"{\"spec\":{\"ports\":[{\"port\":80,\"nodePort\":30001}]}}"}},"spec":{"clusterIP":"None","ports":[{"port":80,"protocol":"TCP","nodePort":30001},{"port":81,"nodePort":30002}]}}`,
			`{"apiVersion":"v1","kind":"Service","metadata":{},"spec":{"clusterIP":"None","ports":[{"nodePort":30001,"port":80,"protocol":"TCP"},{"port":81}]}}`,
		},
		{
			`{"apiVersion":"batch/v1","kind":"Job","metadata":{"labels":{"controller-uid":"u","app":"a"}},"spec":{"selector":{},"template":{"metadata":{"labels":{"batch.kubernetes.io/controller-uid":"u"}}}}}`,
			`{"apiVersion":"batch/v1","kind":"Job","metadata":{"labels":{"app":"a"}},"spec":{"template":{"metadata":{}}}}`,
		},
		{
			`{"apiVersion":"v1","kind":"Pod","spec":{"nodeName":"n","priority":0,"containers":[{"name":"a","volumeMounts":[{"name":"kube-api-access-x"}]}],` +
				`"volumes":[{"name":"kube-api-access-x","projected":{}},{"name":"data"}]}}`,
			`{"apiVersion":"v1","kind":"Pod","spec":{"containers":[{"name":"a"}],"volumes":[{"name":"data"}]}}`,
		},
		{ // Kubernetes before 1.21
			`{"apiVersion":"v1","kind":"Pod","spec":{"serviceAccountName":"bot","containers":[{"name":"a","volumeMounts":[{"name":"bot-token-x7k2p"},{"name":"bot-token-mine"}]}],` +
				`"volumes":[{"name":"bot-token-x7k2p","secret":{"secretName":"bot-token-x7k2p"}},{"name":"bot-token-mine","secret":{"secretName":"bot-token-mine2"}}]}}`,
			`{"apiVersion":"v1","kind":"Pod","spec":{"containers":[{"name":"a","volumeMounts":[{"name":"bot-token-mine"}]}],"serviceAccountName":"bot",` +
				`"volumes":[{"name":"bot-token-mine","secret":{"secretName":"bot-token-mine2"}}]}}`,
		},
		{
			`{"apiVersion":"v1","kind":"Secret","metadata":{"name":"ci","annotations":{"kubernetes.io/service-account.name":"bot","kubernetes.io/service-account.uid":"u"},` +
				`"labels":{"kubernetes.io/legacy-token-last-used":"2026-01-01"}},"data":{"token":"eA==","ca.crt":"eA==","namespace":"eA=="},"type":"kubernetes.io/service-account-token"}`,
			`{"apiVersion":"v1","kind":"Secret","metadata":{"annotations":{"kubernetes.io/service-account.name":"bot"},"name":"ci"},"type":"kubernetes.io/service-account-token"}`,
		},
		{
			`{"apiVersion":"v1","kind":"Secret","metadata":{"name":"ci"},"data":{"token":"eA=="},"type":"Opaque"}`,
			`{"apiVersion":"v1","data":{"token":"eA=="},"kind":"Secret","metadata":{"name":"ci"},"type":"Opaque"}`,
		},
		{
			`{"apiVersion":"v1","kind":"PersistentVolumeClaim","metadata":{"annotations":{"pv.kubernetes.io/bind-completed":"yes","pv.kubernetes.io/bound-by-controller":"yes"}},"spec":{"volumeName":"pvc-1"}}`,
			`{"apiVersion":"v1","kind":"PersistentVolumeClaim","metadata":{}}`,
		},
		{
			`{"apiVersion":"v1","kind":"PersistentVolumeClaim","spec":{"volumeName":"disk-1"}}`,
			`{"apiVersion":"v1","kind":"PersistentVolumeClaim","spec":{"volumeName":"disk-1"}}`,
		},
		{
			`{"apiVersion":"v1","kind":"PersistentVolume","spec":{"claimRef":{"name":"a","uid":"u","resourceVersion":"1"}}}`,
			`{"apiVersion":"v1","kind":"PersistentVolume","spec":{"claimRef":{"name":"a"}}}`,
		},
		{
			`{"apiVersion":"v1","kind":"ServiceAccount","metadata":{"name":"a"},"secrets":[{"name":"a-token-x"},{"name":"mine"}]}`,
			`{"apiVersion":"v1","kind":"ServiceAccount","metadata":{"name":"a"},"secrets":[{"name":"mine"}]}`,
		},
	} {
		object := parse(t, c.text)
		before, err := kube.MarshalJSON(object.Fields, false)
		if err != nil {
			t.Fatal(err)
		}
		got, err := kube.MarshalJSON(Strip(object, Options{}), false)
		if err != nil || strings.TrimSpace(string(got)) != c.want {
			t.Errorf("got  %s, %v\nwant %s", got, err, c.want)
		}
		if after, err := kube.MarshalJSON(object.Fields, false); err != nil || string(after) != string(before) {
			t.Errorf("the object itself changed: %s", after)
		}
	}
	const service = `{"apiVersion":"v1","kind":"Service","metadata":{},"spec":{"clusterIP":"10.0.0.1","ports":[{"nodePort":30001,"port":80}]}}`
	got, err := kube.MarshalJSON(Strip(parse(t, service), Options{KeepAddresses: true}), false)
	if err != nil || strings.TrimSpace(string(got)) != service {
		t.Errorf("with addresses: %s, %v", got, err)
	}
}

func TestObjectsAreInTheOrderInWhichTheyCanBeApplied(t *testing.T) {
	want := []string{
		"apiextensions.k8s.io/v1 CustomResourceDefinition", "v1 Namespace", "v1 PersistentVolumeClaim", "rbac.authorization.k8s.io/v1 Role",
		"v1 ServiceAccount", "rbac.authorization.k8s.io/v1 RoleBinding", "v1 Secret", "v1 ConfigMap", "v1 Service", "apps/v1 Deployment",
		"serving.example.com/v1 Service", "admissionregistration.k8s.io/v1 ValidatingWebhookConfiguration",
	}
	var objects []kube.Object
	for _, name := range want {
		version, kind, _ := strings.Cut(name, " ")
		objects = append([]kube.Object{parse(t, `{"apiVersion":"`+version+`","kind":"`+kind+`","metadata":{"name":"a"}}`)}, objects...)
	}
	objects = outlines(objects)
	slices.SortFunc(objects, Order)
	for i, object := range objects {
		if got := object.APIVersion + " " + object.Kind; got != want[i] {
			t.Errorf("place %d: %s, want %s", i, got, want[i])
		}
	}
}

func TestNeededDefinitionsNamespacesAndVolumesAreNamed(t *testing.T) {
	catalog, err := kube.NewDecoder(nil).NewCatalog()
	if err != nil {
		t.Fatal(err)
	}
	definition := parse(t, `{"apiVersion":"apiextensions.k8s.io/v1","kind":"CustomResourceDefinition","metadata":{"name":"widgets.example.com"},`+
		`"spec":{"group":"example.com","scope":"Namespaced","names":{"plural":"widgets","kind":"Widget"}}}`)
	catalog.AddCRD(definition.Fields)
	objects := []kube.Object{
		parse(t, `{"apiVersion":"example.com/v1","kind":"Widget","metadata":{"namespace":"web","name":"a"}}`),
		parse(t, `{"apiVersion":"v1","kind":"PersistentVolumeClaim","metadata":{"namespace":"web","name":"data"},"spec":{"storageClassName":"fast","volumeName":"disk"}}`),
		parse(t, `{"apiVersion":"extensions/v1beta1","kind":"Ingress","metadata":{"namespace":"web","name":"old"}}`),
		parse(t, `{"apiVersion":"gone.example.com/v1","kind":"Gone","metadata":{"name":"a"}}`),
	}
	objects = outlines(objects)
	needs := NeedsOf(objects, catalog)
	if !slices.Equal(needs.CRDs, []string{"Gone of gone.example.com/v1", "widgets.example.com"}) || !slices.Equal(needs.Namespaces, []string{"web"}) {
		t.Errorf("got %+v", needs)
	}
	want := Volume{Kind: "PersistentVolumeClaim", Namespace: "web", Name: "data", StorageClass: "fast"}
	if !slices.Equal(needs.Volumes, []Volume{want}) {
		t.Errorf("volumes %+v", needs.Volumes)
	}
	if needs := NeedsOf(append(objects, definition), catalog); slices.Contains(needs.CRDs, "widgets.example.com") {
		t.Errorf("with its definition: %+v", needs)
	}
}
