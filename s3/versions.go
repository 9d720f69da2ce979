package s3

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/minio/minio-go/v7"
	"golang.org/x/sync/errgroup"

	"etcd-rolling-backup/snapshot"
)

const (
	// keptVersions is how many versions of a name are considered: the oldest ones.
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
}

// versions has what the last List chose.
type versions struct {
	mu     sync.Mutex
	chosen map[snapshot.Name]Version
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
}

// stored is what a listing says of a version. minio.ObjectInfo has several times its size, and a listing may be long.
type stored struct {
	id, etag string
	size     int64
	modified time.Time
}

// listVersions lists each snapshot with one of its versions. The program stores a name once, so the original is the oldest version that
// is a snapshot: whatever a stolen key has stored later, even with the manifest of the original, does not take its place.
func (b *Bucket) listVersions(ctx context.Context) ([]snapshot.Entry, error) {
	all, err := b.histories(ctx)
	if err != nil {
		return nil, err
	}
	entries := make([]snapshot.Entry, len(all))
	chosen := make([]Version, len(all))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(versionReads)
	for i, h := range all {
		group.Go(func() error {
			o, err := b.choose(ctx, h)
			entries[i] = snapshot.Entry{Name: h.name, Size: o.size, Modified: o.modified}
			chosen[i] = Version{ID: o.id, Modified: o.modified, Loss: h.loss(o)}
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

func (h *history) loss(o stored) Loss {
	switch {
	case h.deleted:
		return Deleted
	case o.id != h.newest.id:
		return Overwritten
	}
	return NotLost
}

// histories returns those of all names that have a version. Servers list the versions of a key newest first.
func (b *Bucket) histories(ctx context.Context) ([]*history, error) {
	var all map[snapshot.Name]*history
	seen := 0
	maxNames, maxSeen := b.maxEntries/fewerNames, b.maxEntries*moreVersions
	o := op{doing: "list versions", action: "s3:ListBucketVersions", long: true}
	err := b.do(ctx, o, func(ctx context.Context) error {
		all, seen = map[snapshot.Name]*history{}, 0
		return b.pages(ctx, minio.ListObjectsOptions{Prefix: b.prefix, WithVersions: true}, func(o minio.ObjectInfo) bool {
			if name, ok := b.nameOf(o.Key); ok {
				seen++
				h := all[name]
				if h == nil {
					h = &history{name: name, deleted: o.IsDeleteMarker}
					all[name] = h
				}
				h.add(o)
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
		if len(h.copies) > 0 {
			out = append(out, h)
		}
	}
	return out, nil
}

func (h *history) add(o minio.ObjectInfo) {
	if o.IsDeleteMarker {
		return
	}
	v := stored{id: o.VersionID, etag: o.ETag, size: o.Size, modified: o.LastModified}
	if len(h.copies) == 0 {
		h.newest = v
	}
	if len(h.copies) == keptVersions {
		h.copies = slices.Delete(h.copies, 0, 1)
	}
	h.copies = append(h.copies, v)
}

// choose returns the oldest version that is a snapshot, or the newest one with the same contents; if none is, the newest of all.
func (b *Bucket) choose(ctx context.Context, h *history) (stored, error) {
	if len(h.copies) == 1 {
		return h.newest, nil
	}
	for _, o := range slices.Backward(h.copies) {
		at := b.objectOf(h.name)
		at.version = o.id
		ok, err := b.isSnapshot(ctx, at, h.name)
		switch {
		case err != nil:
			return o, err
		case !ok:
			continue
		}
		for _, same := range h.copies {
			if same.etag == o.etag && same.size == o.size {
				return same, nil
			}
		}
	}
	return h.newest, nil
}

// isSnapshot reads the manifest of one version of n, and compares the checksum that the server has computed, if there is one, with the manifest's.
func (b *Bucket) isSnapshot(ctx context.Context, o object, n snapshot.Name) (bool, error) {
	tail, size, err := b.tailOf(ctx, o)
	switch {
	case errors.Is(err, snapshot.ErrNotFound) || errors.Is(err, ErrArchived): // expired meanwhile, or not readable now
		return false, nil
	case err != nil:
		return false, err
	}
	a, err := snapshot.OpenArchive(snapshot.TailReader(tail, size), size)
	if errors.Is(err, snapshot.ErrNoManifest) { // all that is known of another program's zip
		return n.Zip(), nil
	}
	if err != nil {
		return false, nil //nolint:nilerr // another version may be one
	}
	sum, known := a.CRC32C()
	if !known {
		return true, nil
	}
	stored, err := b.stat(ctx, "read the checksum of", o, true)
	if err != nil || len(stored.ChecksumCRC32C) == 0 || strings.Contains(stored.ChecksumCRC32C, "-") { // not every server has it
		return true, nil //nolint:nilerr // it is only one more proof
	}
	return stored.ChecksumCRC32C == base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, sum)), nil
}
