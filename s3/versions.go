package s3

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/minio/minio-go/v7"
	"golang.org/x/sync/errgroup"

	"etcd-rolling-backup/snapshot"
)

const (
	// keptVersions is how many versions of a name are considered: the first ones that were stored after the time in the name, and as many
	// of those before it, the last ones.
	keptVersions = 100
	// A listing of versions may have fewer names than one of objects, because each takes more memory, and more versions.
	fewerNames, moreVersions = 4, 10
	// versionReads is how many names are looked at side by side.
	versionReads = 8
)

// Loss says what happened to the name of a snapshot that only an old version has.
type Loss string

// The losses.
const (
	NotLost     Loss = ""            // the current version is the snapshot
	Deleted     Loss = "deleted"     // the current version is a delete marker
	Overwritten Loss = "overwritten" // the current version has other contents
)

// Version is the version of an object that has the snapshot.
type Version struct {
	ID       string
	Modified time.Time
	Loss     Loss
	// Choices, if there are any, are the versions between which a person must choose with Config.VersionID, in the order in which they
	// were stored: snapshots with different contents, or one that was stored too early.
	Choices []Candidate
}

// Candidate is a version that may be the snapshot.
type Candidate struct {
	ID       string    `json:"version_id"`
	Modified time.Time `json:"modified"`
	Size     int64     `json:"size"`
}

// versions has what the last List chose.
type versions struct {
	mu     sync.Mutex
	chosen map[snapshot.Name]Version
	// segments has the version of each segment that the last ListSegments chose.
	segments map[snapshot.SegmentName]string
}

// Version returns which version the last List chose; false: Config.Versions is off, or List has not seen the snapshot.
func (b *Bucket) Version(n snapshot.Name) (Version, bool) {
	b.versions.mu.Lock()
	defer b.versions.mu.Unlock()
	v, ok := b.versions.chosen[n]
	return v, ok
}

// readable is the object that Get and Tail read.
func (b *Bucket) readable(n snapshot.Name) object {
	o := b.objectOf(n)
	if v, ok := b.Version(n); ok {
		o.version = v.ID
	}
	return o
}

// history is what a bucket has of one name.
type history struct {
	name    snapshot.Name
	deleted bool     // the newest is a delete marker
	newest  stored   // without delete markers
	copies  []stored // likewise, newest first, at most keptVersions of the oldest
	early   []stored // stored before earliest: newest first, at most keptVersions of the newest

	earliest time.Time // the time in the name, as another clock may show it
	wanted   stored    // that Config.VersionID names
}

// stored is what a listing says of a version. minio.ObjectInfo has several times its size, and a listing may be long.
type stored struct {
	id, etag string
	size     int64
	modified time.Time
}

// listVersions lists each wanted snapshot with one of its versions; see choose.
func (b *Bucket) listVersions(ctx context.Context, wanted func(snapshot.Name) bool) ([]snapshot.Entry, error) {
	all, err := b.histories(ctx, wanted)
	if err != nil {
		return nil, err
	}
	entries := make([]snapshot.Entry, len(all))
	chosen := make([]Version, len(all))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(versionReads)
	for i, h := range all {
		group.Go(func() error {
			o, v, err := b.choose(ctx, h)
			entries[i], chosen[i] = snapshot.Entry{Name: h.name, Size: o.size, Modified: o.modified}, v
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	b.versions.mu.Lock()
	defer b.versions.mu.Unlock()
	b.versions.chosen = map[snapshot.Name]Version{}
	for i, e := range entries {
		b.versions.chosen[e.Name] = chosen[i]
	}
	slices.SortFunc(entries, snapshot.NewestFirst)
	return entries, nil
}

// histories returns those of all wanted names that have a version. Servers list the versions of a key newest first.
func (b *Bucket) histories(ctx context.Context, wanted func(snapshot.Name) bool) ([]*history, error) {
	var all map[snapshot.Name]*history
	seen := 0
	maxNames, maxSeen := b.maxEntries/fewerNames, b.maxEntries*moreVersions
	o := op{doing: "list versions", action: "s3:ListBucketVersions", long: true}
	err := b.do(ctx, o, func(ctx context.Context) error {
		all, seen = map[snapshot.Name]*history{}, 0
		return b.pages(ctx, minio.ListObjectsOptions{Prefix: b.prefix, WithVersions: true}, func(o minio.ObjectInfo) bool {
			if name, ok := b.nameOf(o.Key); ok && wanted(name) {
				seen++
				h := all[name]
				if h == nil {
					h = &history{name: name, deleted: o.IsDeleteMarker, earliest: name.Time.Add(-b.clockDifference)}
					all[name] = h
				}
				h.add(o, b.cfg.VersionID)
			}
			return len(all) <= maxNames && seen <= maxSeen
		})
	})
	if err != nil {
		return nil, err
	}
	if len(all) > maxNames || seen > maxSeen {
		return nil, b.explain(ctx, o, notS3("it lists more than %d versions or %d snapshots", maxSeen, maxNames))
	}
	var out []*history
	for _, h := range all {
		if h.newest.id != "" {
			out = append(out, h)
		}
	}
	return out, nil
}

func (h *history) add(o minio.ObjectInfo, wanted string) {
	if o.IsDeleteMarker {
		return
	}
	v := stored{id: o.VersionID, etag: o.ETag, size: o.Size, modified: o.LastModified}
	if h.newest.id == "" {
		h.newest = v
	}
	if v.id == wanted {
		h.wanted = v
	}
	switch {
	case h.isEarly(v) && len(h.early) < keptVersions:
		h.early = append(h.early, v)
	case h.isEarly(v):
	case len(h.copies) == keptVersions:
		h.copies = append(slices.Delete(h.copies, 0, 1), v)
	default:
		h.copies = append(h.copies, v)
	}
}

func (h *history) isEarly(o stored) bool { return o.modified.Before(h.earliest) }
