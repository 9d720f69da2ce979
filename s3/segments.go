package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/minio/minio-go/v7"

	"etcd-rolling-backup/snapshot"
)

// segmentFolder is where the segments of the journal are, in the folder of the snapshots. There may be thousands for each snapshot, so in
// the same folder they would make every listing of snapshots long.
const segmentFolder = "journal/"

// ListSegments returns the segments of the journal of some nodes, in the order of their first revisions; nil: of all nodes. What
// others have in the folder costs no request: unless the keys may list it only as a whole.
func (b *Bucket) ListSegments(ctx context.Context, nodes []string) ([]snapshot.SegmentEntry, error) {
	prefixes := []string{""}
	if nodes != nil {
		prefixes = nil
	}
	for _, node := range nodes {
		prefixes = append(prefixes, snapshot.SegmentPrefix(node))
	}
	if b.cfg.Versions {
		return b.segmentVersions(ctx, prefixes)
	}
	var all []snapshot.SegmentEntry
	for _, prefix := range prefixes {
		some, err := b.segmentsUnder(ctx, minio.ListObjectsOptions{Prefix: b.prefix + segmentFolder + prefix}, nodes)
		if errors.Is(err, ErrPermission) {
			all, wholeErr := b.segmentsUnder(ctx, minio.ListObjectsOptions{Prefix: b.prefix, Recursive: true}, nodes)
			if wholeErr != nil {
				return nil, err
			}
			return segmentsInOrder(all), nil
		}
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
	}
	return segmentsInOrder(all), nil
}

// segmentsInOrder sorts segments. A server may list a name twice.
func segmentsInOrder(all []snapshot.SegmentEntry) []snapshot.SegmentEntry {
	slices.SortFunc(all, func(a, b snapshot.SegmentEntry) int { return snapshot.CompareSegments(a.Name, b.Name) })
	return slices.CompactFunc(all, func(a, b snapshot.SegmentEntry) bool { return a.Name == b.Name })
}

func (b *Bucket) segmentsUnder(ctx context.Context, options minio.ListObjectsOptions, nodes []string) (all []snapshot.SegmentEntry, err error) {
	err = b.do(ctx, listing(), func(ctx context.Context) error {
		return b.eitherVersion(options, func() { all = nil }, func(options minio.ListObjectsOptions) error {
			return b.pages(ctx, options, func(o minio.ObjectInfo) bool {
				n, ok := b.segmentOf(o.Key)
				if ok && (nodes == nil || slices.Contains(nodes, n.Node)) {
					all = append(all, snapshot.SegmentEntry{Name: n, Size: o.Size, Modified: o.LastModified})
				}
				return len(all) <= b.maxEntries
			})
		})
	})
	if err == nil && len(all) > b.maxEntries {
		err = b.explain(ctx, listing(), notS3("it lists more than %d segments of the journal", b.maxEntries))
	}
	if err != nil {
		return nil, err
	}
	return all, nil
}

// segmentOf returns the segment of a key. Segments that are not complete are never in a bucket.
func (b *Bucket) segmentOf(key string) (snapshot.SegmentName, bool) {
	rest, ok := strings.CutPrefix(key, b.prefix+segmentFolder)
	n, err := snapshot.ParseSegmentName(rest)
	return n, ok && err == nil && n.Complete()
}

func (b *Bucket) objectOfSegment(n snapshot.SegmentName) object {
	return object{name: n.String(), key: b.prefix + segmentFolder + n.String()}
}

// PutSegment is [Bucket.PutArchive] for a segment of the journal.
func (b *Bucket) PutSegment(ctx context.Context, s *snapshot.SealedSegment, replace bool) error {
	return b.putSealed(ctx, b.objectOfSegment(s.Name), s, s.Size, replace, nil)
}

// GetSegment is [Bucket.Get] for a segment of the journal.
func (b *Bucket) GetSegment(ctx context.Context, n snapshot.SegmentName) (io.ReadCloser, int64, error) {
	return b.get(ctx, b.readableSegment(n))
}

// Sealed reads the manifest of a segment of the journal, with one request. A missing one wraps snapshot.ErrNotFound, a damaged one
// snapshot.ErrDamaged.
func (b *Bucket) Sealed(ctx context.Context, n snapshot.SegmentName) (*snapshot.SealedSegment, error) {
	tail, size, err := b.tailOf(ctx, b.readableSegment(n))
	if err != nil {
		return nil, err
	}
	s, err := snapshot.OpenSealedSegment(snapshot.TailReader(tail, size), size)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", n, err)
	}
	return s, nil
}

// RemoveSegment is [Bucket.Remove] for a segment of the journal.
func (b *Bucket) RemoveSegment(ctx context.Context, n snapshot.SegmentName) error {
	return b.remove(ctx, b.objectOfSegment(n))
}

// segmentVersions lists each segment with its oldest version that is not empty: nobody can know the name of a segment before it is stored, and
// the program stores each once, so what came later is not its work. Whether it is intact, the reader finds out.
func (b *Bucket) segmentVersions(ctx context.Context, prefixes []string) ([]snapshot.SegmentEntry, error) {
	all, ids := map[snapshot.SegmentName]snapshot.SegmentEntry{}, map[snapshot.SegmentName]string{}
	o := op{doing: "list versions", action: "s3:ListBucketVersions", long: true}
	for _, prefix := range prefixes {
		seen := 0
		err := b.do(ctx, o, func(ctx context.Context) error {
			seen = 0
			options := minio.ListObjectsOptions{Prefix: b.prefix + segmentFolder + prefix, WithVersions: true}
			return b.pages(ctx, options, func(o minio.ObjectInfo) bool { // of a key, the newest first
				if n, ok := b.segmentOf(o.Key); ok && !o.IsDeleteMarker && o.Size > 0 {
					all[n], ids[n] = snapshot.SegmentEntry{Name: n, Size: o.Size, Modified: o.LastModified}, o.VersionID
					seen++
				}
				return seen <= b.maxEntries
			})
		})
		if err == nil && seen > b.maxEntries {
			err = b.explain(ctx, o, notS3("it lists more than %d versions of segments of the journal", b.maxEntries))
		}
		if err != nil {
			return nil, err
		}
	}
	b.versions.mu.Lock()
	defer b.versions.mu.Unlock()
	b.versions.segments = ids
	return segmentsInOrder(slices.Collect(maps.Values(all))), nil
}

// readableSegment is the object that GetSegment and Sealed read.
func (b *Bucket) readableSegment(n snapshot.SegmentName) object {
	o := b.objectOfSegment(n)
	b.versions.mu.Lock()
	defer b.versions.mu.Unlock()
	o.version = b.versions.segments[n]
	return o
}
