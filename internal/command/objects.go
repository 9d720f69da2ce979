package command

import (
	"context"
	"iter"
	"slices"
	"strings"

	"etcd-rolling-backup/snapshot/browse"
	"etcd-rolling-backup/snapshot/kube"
)

// objects reads what Kubernetes has in a snapshot.
type objects struct {
	decoder  *kube.Decoder
	catalog  *kube.Catalog
	prefixes []string // of its keys; none: the snapshot is not Kubernetes'
}

// newObjects learns the prefixes from all keys, and the custom resources from their definitions in the snapshot.
func newObjects(ctx context.Context, d *browse.DB, all *browse.List, decrypter kube.Decrypter) (o *objects, err error) {
	o = &objects{decoder: kube.NewDecoder(decrypter), prefixes: kube.Prefixes(all.Keys())}
	if o.catalog, err = o.decoder.NewCatalog(); err != nil {
		return nil, err
	}
	definitions, err := o.catalog.Find("customresourcedefinitions")
	if err != nil {
		return nil, err
	}
	for _, prefix := range definitions.Ranges(o.prefixes, "") {
		l, err := d.List(ctx, []byte(prefix), all.Revision())
		if err == nil {
			err = l.Each(ctx, func(kv browse.KeyValue) error {
				if x, _ := o.decoder.Decode(string(kv.Key), kv.Value); x.Fields != nil { // one that is damaged defines nothing
					o.catalog.AddCRD(x.Fields)
				}
				return nil
			})
		}
		if err != nil {
			return nil, err
		}
	}
	return o, nil
}

// isKubernetes reports that there are keys of an API server.
func (o *objects) isKubernetes() bool { return len(o.prefixes) > 0 }

// parse finds what a key names.
func (o *objects) parse(key []byte) (kube.Key, bool) {
	return o.catalog.ParseKey(string(key), o.prefixes)
}

// isSecret reports that the value is, or may be, that of a Secret.
func (o *objects) isSecret(key []byte) bool {
	k, _ := o.parse(key)
	return k.Resource == "secrets" && k.Group == "" || slices.ContainsFunc(o.prefixes, func(p string) bool {
		return strings.HasPrefix(string(key), p+"/secrets/")
	})
}

const (
	hiddenValue    = "***"
	lastApplied    = "kubectl.kubernetes.io/last-applied-configuration"
	fieldMetadata  = "metadata"
	fieldAnnotated = "annotations"
)

// hideSecret replaces the values of a Secret, also in the copy that kubectl apply keeps of it.
func hideSecret(fields map[string]any) {
	for _, name := range []string{"data", "stringData"} {
		data, _ := fields[name].(map[string]any)
		for key := range data {
			data[key] = hiddenValue
		}
	}
	if annotations, ok := kube.Field(fields, fieldMetadata, fieldAnnotated).(map[string]any); ok && annotations[lastApplied] != nil {
		annotations[lastApplied] = hiddenValue
	}
}

// isNoise reports keys that change all the time and mean nothing to a person: events, or leases, which are also the API servers' own.
func (o *objects) isNoise(key []byte) (events, leases bool) {
	k, ok := o.parse(key)
	if !ok {
		rest := string(key)
		for _, prefix := range o.prefixes {
			rest = strings.TrimPrefix(rest, prefix+"/")
		}
		return false, strings.HasPrefix(rest, "masterleases/") || strings.HasPrefix(rest, "peerserverleases/")
	}
	return k.Resource == "events" && (k.Group == "" || k.Group == "events.k8s.io"), k.Resource == "leases" && k.Group == "coordination.k8s.io"
}

// withoutNoise removes what the API server and controllers write into an object without a change of what somebody wants.
func withoutNoise(fields map[string]any) {
	delete(fields, "status")
	if metadata, ok := fields[fieldMetadata].(map[string]any); ok {
		delete(metadata, "managedFields")
	}
}

// add adds the prefixes of keys to those that are known.
func (o *objects) add(keys iter.Seq[string]) {
	o.prefixes = append(o.prefixes, kube.Prefixes(keys)...)
	slices.Sort(o.prefixes)
	o.prefixes = slices.Compact(o.prefixes)
}
