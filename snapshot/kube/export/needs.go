package export

import (
	"cmp"
	"slices"

	"etcd-rolling-backup/snapshot/kube"
)

// Needs is what exported objects need and what is not with them.
type Needs struct {
	CRDs       []string // names of definitions of custom resources: widgets.example.com
	Namespaces []string
	// Volumes have their data elsewhere: no snapshot of etcd holds it.
	Volumes []Volume
}

// Volume is a PersistentVolumeClaim or PersistentVolume.
type Volume struct {
	Kind, Namespace, Name string
	StorageClass          string
	// ProvisionedAgain is a claim that gets a new, empty volume when it is applied.
	ProvisionedAgain bool
}

// NeedsOf looks at the objects that are exported.
func NeedsOf(objects []kube.Object, catalog *kube.Catalog) Needs {
	var needs Needs
	has := map[string]bool{}
	for _, object := range objects {
		if object.Kind == "CustomResourceDefinition" || object.Kind == "Namespace" {
			has[object.Kind+text(object, "metadata", "name")] = true
		}
	}
	need := func(list *[]string, kind, name string) {
		if name != "" && !has[kind+name] {
			has[kind+name] = true
			*list = append(*list, name)
		}
	}
	for _, object := range objects {
		if resource, known := catalog.OfKind(object.APIVersion, object.Kind); known && resource.Custom {
			need(&needs.CRDs, "CustomResourceDefinition", resource.Name())
		} else if !known {
			need(&needs.CRDs, "CustomResourceDefinition", object.Kind+" of "+object.APIVersion)
		}
		need(&needs.Namespaces, "Namespace", text(object, "metadata", "namespace"))
		if kube.GroupOf(object.APIVersion) != "" {
			continue
		}
		switch object.Kind {
		case "PersistentVolumeClaim", "PersistentVolume":
			needs.Volumes = append(needs.Volumes, Volume{
				Kind: object.Kind, Namespace: text(object, "metadata", "namespace"), Name: text(object, "metadata", "name"),
				StorageClass: text(object, "spec", "storageClassName"),
				ProvisionedAgain: object.Kind == "PersistentVolumeClaim" &&
					(field(object, "metadata", "annotations", boundByController) != nil || text(object, "spec", "volumeName") == ""),
			})
		}
	}
	slices.Sort(needs.CRDs)
	slices.Sort(needs.Namespaces)
	slices.SortFunc(needs.Volumes, func(a, b Volume) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	return needs
}
