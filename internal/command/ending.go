package command

import (
	"context"
	"slices"

	"etcd-rolling-backup/snapshot/browse"
	"etcd-rolling-backup/snapshot/kube"
)

// ending is a namespace or a definition of custom resources that was being deleted at the revision. What is in it is deleted before it,
// so that some of that may be gone while it is still there.
type ending struct {
	what  string // as it is shown
	key   string
	holds func(kube.Key) bool
}

// ending finds out whether the object of a key is one.
func (o *objects) ending(key kube.Key, kv browse.KeyValue) (e ending, ok bool) {
	switch (kube.Key{Group: key.Group, Resource: key.Resource}).ResourceName() {
	case "namespaces":
		e = ending{"namespace " + key.Name, key.Text, func(k kube.Key) bool { return k.Namespace == key.Name }}
	case "customresourcedefinitions.apiextensions.k8s.io":
		e = ending{"CustomResourceDefinition " + key.Name, key.Text, func(k kube.Key) bool { return k.ResourceName() == key.Name }}
	default:
		return e, false
	}
	return e, o.isBeingDeleted(kv)
}

func (o *objects) isBeingDeleted(kv browse.KeyValue) bool {
	x, _ := o.decoder.Decode(string(kv.Key), kv.Value)
	return kube.Field(x.Fields, fieldMetadata, "deletionTimestamp") != nil
}

// concerns reports that one of the objects is in it, or is itself that.
func (e ending) concerns(o *objects, all []outline) bool {
	return slices.ContainsFunc(all, func(x outline) bool {
		key, _ := o.parse([]byte(x.key))
		return x.key == e.key || e.holds(key)
	})
}

// began returns the revision at which the deletion that was under way at a revision began; false: that was compacted.
func (e ending) began(ctx context.Context, d *browse.DB, o *objects, revision int64) (began int64, found bool, err error) {
	err = d.History(ctx, []byte(e.key), func(x browse.Change) error {
		switch {
		case x.Revision > revision:
		case x.Deleted || !o.isBeingDeleted(x.KeyValue):
			began = 0
		case began == 0:
			began = x.Revision
		}
		return nil
	})
	return began, began > d.Retained().Oldest, err
}
