package s3

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"

	"etcd-rolling-backup/snapshot"
)

// page is the length of a page of a listing.
const page = 1000

// ListNodes returns the folder's snapshots of some nodes, and those whose names do not say the node, newest first. others reports whether
// there are more. It needs a few requests for each set of names, however many other nodes use the folder: it skips what lies between two
// of the nodes. With it, it also skips names of other programs in which a set and an underscore come first.
func (b *Bucket) ListNodes(ctx context.Context, nodes []string) (entries []snapshot.Entry, others bool, err error) {
	wanted := func(n snapshot.Name) bool {
		if n.Node == "" || slices.Contains(nodes, n.Node) {
			return true
		}
		others = true
		return false
	}
	if b.cfg.Versions {
		entries, err = b.listVersions(ctx, wanted)
		return entries, others, err
	}
	err = b.do(ctx, listing(), func(ctx context.Context) error {
		return b.eitherVersion(minio.ListObjectsOptions{Prefix: b.prefix, MaxKeys: page}, func() { entries, others = nil, false },
			func(o minio.ListObjectsOptions) error {
				return b.skipping(ctx, o, nodes, func(e snapshot.Entry) bool {
					if wanted(e.Name) {
						entries = append(entries, e)
					}
					return len(entries) <= b.maxEntries
				})
			})
	})
	if err == nil && len(entries) > b.maxEntries {
		err = b.explain(ctx, listing(), b.tooMany())
	}
	if err != nil {
		return nil, false, err
	}
	return inOrder(entries), others, nil
}

// skipping visits the snapshots of the folder, but after each page skips those that are of none of the nodes.
func (b *Bucket) skipping(ctx context.Context, o minio.ListObjectsOptions, nodes []string, visit func(snapshot.Entry) bool) error {
	for more := true; more; {
		more = false
		seen := 0
		err := b.pages(ctx, o, func(i minio.ObjectInfo) bool {
			n, ok := b.nameOf(i.Key)
			if ok && !visit(snapshot.Entry{Name: n, Size: i.Size, Modified: i.LastModified}) {
				return false
			}
			if seen++; seen%page != 0 || !ok {
				return true
			}
			next, skips := nextOf(n, nodes)
			if skips {
				o.StartAfter, more = b.prefix+next, true
			}
			return !skips
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// nextOf returns a text that is before the next name of one of the nodes, and after all names between; false: the name is of one of them
// itself, or does not say a node.
func nextOf(n snapshot.Name, nodes []string) (next string, skips bool) {
	if n.Node == "" || slices.Contains(nodes, n.Node) {
		return "", false
	}
	next = n.Set + string(rune('_'+1)) // after the set
	for _, node := range nodes {
		if p := snapshot.Prefix(n.Set, node); p > n.String() && p < next {
			next = p
		}
	}
	return next, true
}

// Found is one key of a bucket.
type Found struct {
	Folder string // "": the top
	snapshot.Entry
	Foreign bool // it is not the name of a snapshot, and Entry is empty
}

// Walk visits all keys in the folder and in those below it, in the order of the keys, and keeps no more of them than a page. It skips the
// segments of journals. Before each try, it calls restart.
func (b *Bucket) Walk(ctx context.Context, restart func(), visit func(Found)) error {
	return b.do(ctx, listing(), func(ctx context.Context) error {
		return b.eitherVersion(minio.ListObjectsOptions{Prefix: b.prefix, Recursive: true}, restart, func(o minio.ListObjectsOptions) error {
			return b.withoutSegments(ctx, o, visit)
		})
	})
}

func (b *Bucket) withoutSegments(ctx context.Context, o minio.ListObjectsOptions, visit func(Found)) error {
	for more := true; more; {
		more = false
		segments := 0 // in a row
		err := b.pages(ctx, o, func(i minio.ObjectInfo) bool {
			folder, base := "", i.Key
			if at := strings.LastIndexByte(i.Key, '/'); at >= 0 {
				folder, base = i.Key[:at], i.Key[at+1:]
			}
			if _, err := snapshot.ParseSegmentName(base); err == nil && strings.HasSuffix("/"+folder+"/", "/"+segmentFolder) {
				if segments++; segments < page {
					return true
				}
				o.StartAfter, more = folder+string(rune('/'+1)), true // the first text after all keys in the folder
				return false
			}
			segments = 0
			n, err := snapshot.ParseName(base)
			found := Found{Folder: folder, Foreign: err != nil}
			if err == nil {
				found.Entry = snapshot.Entry{Name: n, Size: i.Size, Modified: i.LastModified}
			}
			visit(found)
			return true
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// In is the same bucket with another folder, as Walk names it.
func (b *Bucket) In(folder string) *Bucket {
	in := &Bucket{
		cfg: b.cfg, core: b.core, transport: b.transport, endpoint: b.endpoint, region: b.region, put: b.put, learned: b.learned, limit: b.limit,
		maxEntries: b.maxEntries, clockDifference: b.clockDifference, backoff: b.backoff,
	}
	if in.cfg.Folder = folder; folder != "" {
		in.prefix = folder + "/"
	}
	return in
}

// ServerTime is the time at the server, as far as its answers have said it; otherwise that of this machine.
func (b *Bucket) ServerTime() time.Time {
	skew, _ := b.transport.clock()
	return time.Now().Add(-skew)
}
