package rketools

import (
	"cmp"
	"context"
	"net/url"
	"slices"

	"etcd-rolling-backup/s3"
	"etcd-rolling-backup/snapshot"
)

// objectsOf lists the objects of one snapshot and of no other whose name only begins the same way. The one to download comes first: the
// uncompressed database before the zip, and an exact name before an escaped one.
func objectsOf(ctx context.Context, b *s3.Bucket, name string) ([]snapshot.Entry, error) {
	var found []snapshot.Entry
	for _, beginning := range slices.Compact([]string{name, url.QueryEscape(name)}) {
		objects, err := b.Named(ctx, beginning)
		if err != nil {
			return nil, err
		}
		for _, e := range objects {
			seen := slices.ContainsFunc(found, func(f snapshot.Entry) bool { return f.Name == e.Name })
			if _, fits := localName(name, e.Name.String()); fits && !seen {
				found = append(found, e)
			}
		}
	}
	rank := func(e snapshot.Entry) int {
		object := e.Name.String()
		local, _ := localName(name, object)
		rank := 0
		if object != local {
			rank += 2
		}
		if local != name {
			rank++
		}
		return rank
	}
	slices.SortStableFunc(found, func(a, b snapshot.Entry) int { return cmp.Compare(rank(a), rank(b)) })
	return found, nil
}

// localName is the name that an object of a snapshot gets here: the snapshot's, or that of its archive. Some tools escape the names of
// objects as in a query. false: the object is another snapshot's.
func localName(name, object string) (string, bool) {
	decoded, err := url.QueryUnescape(object)
	if err != nil {
		decoded = object
	}
	for _, local := range []string{object, decoded} {
		if local == name || local == name+zipSuffix {
			return local, true
		}
	}
	return "", false
}
