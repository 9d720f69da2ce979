package export

import "etcd-rolling-backup/snapshot/kube"

// Annotations and labels that say what controllers made.
const (
	mirrorPod         = "kubernetes.io/config.mirror"
	endpointsChanged  = "endpoints.kubernetes.io/last-change-trigger-time"
	boundByController = "pv.kubernetes.io/bound-by-controller"
	apiServiceManaged = "kube-aggregator.kubernetes.io/automanaged"
	sliceManaged      = "endpointslice.kubernetes.io/managed-by"
	endpointsManaged  = "endpoints.kubernetes.io/managed-by"
	tokenAccount      = "kubernetes.io/service-account.name"
)

// tokenType is the type of a Secret with a token of a service account.
const tokenType = "kubernetes.io/service-account-token"

// Outline keeps of an object what Select, Order and NeedsOf look at. With it, many objects can be looked at, and written one after the
// other, without all of them in memory.
func Outline(object kube.Object) kube.Object {
	fields := map[string]any{}
	for _, path := range [][]string{
		{"type"},
		{"metadata", "name"},
		{"metadata", "namespace"},
		{"metadata", "uid"},
		{"metadata", "ownerReferences"},
		{"metadata", "annotations", mirrorPod},
		{"metadata", "annotations", endpointsChanged},
		{"metadata", "annotations", boundByController},
		{"metadata", "annotations", tokenAccount},
		{"metadata", "labels", apiServiceManaged},
		{"metadata", "labels", sliceManaged},
		{"metadata", "labels", endpointsManaged},
		{"spec", "service"},
		{"spec", "selector"},
		{"spec", "storageClassName"},
		{"spec", "volumeName"},
		{"status", "phase"},
		{"status", "conditions"},
	} {
		value := field(object, path...)
		if value == nil {
			continue
		}
		inside := fields
		for _, name := range path[:len(path)-1] {
			next, ok := inside[name].(map[string]any)
			if !ok {
				next = map[string]any{}
				inside[name] = next
			}
			inside = next
		}
		inside[path[len(path)-1]] = value
	}
	object.Fields, object.Value = fields, nil
	return object
}
