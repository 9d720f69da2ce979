// Package export prepares objects of a snapshot for `kubectl apply`: what to leave out and why, what to strip from the rest, in which order
// to apply it, and what it needs that is not in it. It is a function of the objects given.
package export

import (
	"cmp"
	"slices"
	"strings"

	"etcd-rolling-backup/snapshot/kube"
)

// Options say what differs from the usual export.
type Options struct {
	WithOwned     bool // objects that a controller would make again, too
	KeepAddresses bool // addresses and ports that a cluster assigned
}

// Reason says why an object is left out.
type Reason string

// The reasons.
const (
	Node       Reason = "nodes register themselves"
	Event      Reason = "events are history"
	Lease      Reason = "leases are renewed by their holders"
	Attachment Reason = "attachments of volumes belong to running nodes"
	MirrorPod  Reason = "mirror pods are made by the kubelet"
	Finished   Reason = "finished, it would run again"
	Managed    Reason = "the cluster makes it itself"
	Token      Reason = "tokens of service accounts are issued again"
	Owned      Reason = "its owner is exported and makes it again"
)

// Select returns the reason for which each object is left out, in their order; empty for those to export.
func Select(objects []kube.Object, options Options) []Reason {
	reasons := make([]Reason, len(objects))
	selecting := map[string]bool{} // services that find their pods themselves
	for _, object := range objects {
		if object.APIVersion == "v1" && object.Kind == "Service" && field(object, "spec", "selector") != nil {
			selecting[place(object)] = true
		}
	}
	for i, object := range objects {
		reasons[i] = reasonOf(object)
		if object.APIVersion == "v1" && object.Kind == "Endpoints" && selecting[place(object)] {
			reasons[i] = Managed
		}
	}
	if options.WithOwned {
		return reasons
	}
	byUID := map[string]int{}
	for i, object := range objects {
		if uid := text(object, "metadata", "uid"); uid != "" {
			byUID[uid] = i
		}
	}
	// An owner that is left out itself for being owned makes its objects again all the same: a Deployment, its ReplicaSet, the pods.
	exported := slices.Clone(reasons)
	for i, object := range objects {
		if owner, found := byUID[controllerOf(object)]; found && reasons[i] == "" && owner != i && exported[owner] == "" {
			reasons[i] = Owned
		}
	}
	return reasons
}

func reasonOf(object kube.Object) Reason {
	group := kube.GroupOf(object.APIVersion)
	annotated := func(name string) bool { return field(object, "metadata", "annotations", name) != nil }
	labeled := func(name string) string { return text(object, "metadata", "labels", name) }
	switch group + "/" + object.Kind {
	case "/Service":
		if isAPIServer(object) {
			return Managed
		}
	case "/Node", "storage.k8s.io/CSINode":
		return Node
	case "/Event", "events.k8s.io/Event":
		return Event
	case "coordination.k8s.io/Lease", "coordination.k8s.io/LeaseCandidate":
		return Lease
	case "storage.k8s.io/VolumeAttachment":
		return Attachment
	case "/Pod":
		if annotated(mirrorPod) {
			return MirrorPod
		}
		if phase := text(object, "status", "phase"); phase == "Succeeded" || phase == "Failed" {
			return Finished
		}
	case "batch/Job":
		for _, condition := range list(object, "status", "conditions") {
			if kind, _ := condition["type"].(string); condition["status"] == "True" && (kind == "Complete" || kind == "Failed") {
				return Finished
			}
		}
	case "apiregistration.k8s.io/APIService":
		if labeled(apiServiceManaged) != "" || field(object, "spec", "service") == nil {
			return Managed
		}
	case "discovery.k8s.io/EndpointSlice":
		if labeled(sliceManaged) != "" || isAPIServer(object) {
			return Managed
		}
	case "/Endpoints":
		if annotated(endpointsChanged) || labeled(endpointsManaged) != "" || isAPIServer(object) {
			return Managed
		}
	case "/ConfigMap":
		if text(object, "metadata", "name") == "kube-root-ca.crt" {
			return Managed
		}
	case "/Secret":
		account := text(object, "metadata", "annotations", tokenAccount)
		if text(object, "type") == tokenType && isGeneratedToken(text(object, "metadata", "name"), account) {
			return Token
		}
	case "internal.apiserver.k8s.io/StorageVersion", "/RangeAllocation", "networking.k8s.io/IPAddress":
		return Managed
	}
	return ""
}

// isAPIServer reports the service of the API servers and their addresses, which they write themselves: those of an old cluster lead nowhere.
func isAPIServer(object kube.Object) bool { return place(object) == "default/kubernetes" }

// isGeneratedToken reports the Secret that clusters before Kubernetes 1.24 made for each service account. One with a name that a person
// gave it is made by nobody else.
func isGeneratedToken(name, account string) bool {
	suffix, ok := strings.CutPrefix(name, cmp.Or(account, "default")+"-token-")
	const generated = 5
	return ok && len(suffix) == generated
}

// controllerOf returns the UID of the owner that makes an object, or nothing.
func controllerOf(object kube.Object) string {
	for _, owner := range list(object, "metadata", "ownerReferences") {
		if uid, _ := owner["uid"].(string); owner["controller"] == true {
			return uid
		}
	}
	return ""
}

// order has the kinds in the order in which they can be applied; others come after them. An object whose admission looks at others comes
// after those.
func order() []string {
	return []string{
		"CustomResourceDefinition", "Namespace", "StorageClass", "PriorityClass", "PersistentVolume", "PersistentVolumeClaim", "ClusterRole",
		"Role", "ServiceAccount", "ClusterRoleBinding", "RoleBinding", "Secret", "ConfigMap", "LimitRange", "Pod", "ReplicaSet", "Service",
	}
}

// last has the kinds that come after all others, for they may refuse what is applied after them.
func last() []string {
	return []string{
		"APIService", "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding", "MutatingAdmissionPolicy",
		"MutatingAdmissionPolicyBinding", "MutatingWebhookConfiguration", "ValidatingWebhookConfiguration",
	}
}

// Order compares two objects by the order in which they can be applied, and within it by kind, namespace and name.
func Order(a, b kube.Object) int {
	if byKind := rank(a) - rank(b); byKind != 0 {
		return byKind
	}
	return strings.Compare(sortKey(a), sortKey(b))
}

func rank(object kube.Object) int {
	const rest = 1000
	if isBuiltIn(object) {
		if place := slices.Index(order(), object.Kind); place >= 0 {
			return place
		}
		if place := slices.Index(last(), object.Kind); place >= 0 {
			return rest + 1 + place
		}
	}
	return rest
}

// isBuiltIn reports whether a group is Kubernetes' own, for custom resources may have the same kinds.
func isBuiltIn(object kube.Object) bool {
	group := kube.GroupOf(object.APIVersion)
	return !strings.Contains(group, ".") || strings.HasSuffix(group, ".k8s.io")
}

func sortKey(object kube.Object) string {
	return strings.Join([]string{object.Kind, object.APIVersion, text(object, "metadata", "namespace"), text(object, "metadata", "name")}, "\x00")
}

// place is the namespace and name.
func place(object kube.Object) string {
	return text(object, "metadata", "namespace") + "/" + text(object, "metadata", "name")
}

func field(object kube.Object, path ...string) any { return kube.Field(object.Fields, path...) }

func text(object kube.Object, path ...string) string {
	value, _ := field(object, path...).(string)
	return value
}

// list returns the objects in a list of an object.
func list(object kube.Object, path ...string) []map[string]any {
	values, _ := field(object, path...).([]any)
	var found []map[string]any
	for _, value := range values {
		if value, ok := value.(map[string]any); ok {
			found = append(found, value)
		}
	}
	return found
}
