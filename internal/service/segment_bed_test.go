package service

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"etcd-rolling-backup/daemon/mirror"
	"etcd-rolling-backup/daemon/status"
	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/internal/storetest"
	"etcd-rolling-backup/retention"
	"etcd-rolling-backup/s3"
	"etcd-rolling-backup/snapshot"
)

// segmentBed is a node with a journal of some hours: each hour a snapshot, and two segments with 50 revisions each.
type segmentBed struct {
	*costBed
	node    string
	cluster snapshot.ID
	lineage snapshot.Lineage
	keep    time.Duration
	hours   int
	now     time.Time
}

func newSegmentBed(t *testing.T, node string, cluster snapshot.ID) *segmentBed {
	t.Helper()
	return &segmentBed{
		costBed: newCostBed(t), node: node, cluster: cluster, lineage: snapshot.Lineage{Cluster: cluster}, keep: 7 * 24 * time.Hour,
		now: time.Now().UTC().Truncate(time.Hour).Add(-10 * time.Hour),
	}
}

// neighbor is another node in the same folder.
func (b *segmentBed) neighbor(t *testing.T, node string, cluster snapshot.ID) *segmentBed {
	t.Helper()
	o := &segmentBed{costBed: &costBed{faults: b.faults, bucket: b.bucket, known: &mirror.Segments{}}, node: node, cluster: cluster, lineage: snapshot.Lineage{Cluster: cluster}, keep: b.keep, now: b.now}
	o.dir, o.status = snapshot.NewDir(filepath.Join(t.TempDir(), "store")), status.New(status.Options{Mirror: true})
	must(t, o.dir.Prepare())
	return o
}

// hour records one more.
func (b *segmentBed) hour(t *testing.T) (names []snapshot.SegmentName) {
	t.Helper()
	first, at := int64(100*b.hours+2), b.now.Add(time.Duration(b.hours)*time.Hour)
	n, err := snapshot.NewName(snapshot.RollingSet, b.node, at)
	must(t, err)
	must(t, os.WriteFile(filepath.Join(b.dir.Path(), n.String()), storetest.ArchiveAt(t, n, b.cluster, first-1), 0o600))
	for i := range int64(2) {
		of := storetest.SegmentOf{
			Node: b.node, Cluster: b.cluster, Begun: at.Add(time.Duration(i) * 30 * time.Minute), First: first + 50*i, Last: first + 50*i + 49,
			Value: fmt.Sprintf("%s of %s", b.node, b.cluster),
		}
		s, data := storetest.Segment(t, of)
		must(t, os.WriteFile(filepath.Join(b.dir.Path(), s.String()), data, 0o600))
		names = append(names, s)
	}
	b.hours++
	return names
}

func (b *segmentBed) options(last int) mirror.Options {
	o := MirrorOptions(config.Config{
		Store: config.Store{Node: b.node}, S3: b.bucket, Mirror: config.Mirror{Policy: retention.Policy{Last: last}}, Journal: config.Journal{On: true, Keep: b.keep},
	})
	o.Status, o.Lineage = b.status, func() snapshot.Lineage { return b.lineage }
	o.Journal.Status, o.Journal.Known = b.status, b.known
	return o
}

// look lets the status know the snapshots on the disk, as the daemon does.
func (b *segmentBed) look(t *testing.T) {
	t.Helper()
	l, err := b.dir.List()
	must(t, err)
	var copies []status.Copy
	for _, e := range l.Snapshots {
		m, err := b.dir.Manifest(e.Name)
		must(t, err)
		copies = append(copies, status.Copy{Name: e.Name, Size: e.Size, Modified: e.Modified, Facts: m.Facts()})
	}
	b.status.SetInventory(status.Local, copies, nil)
}

// mirror does a pass and then uploads segments.
func (b *segmentBed) mirror(t *testing.T, last int) (mirror.Result, mirror.Uploaded, error) {
	t.Helper()
	b.look(t)
	o := b.options(last)
	done, err := MirrorOnce(t.Context(), b.bucket, b.dir, o)
	if err != nil {
		return done, mirror.Uploaded{}, err
	}
	up, err := MirrorSegments(t.Context(), b.bucket, b.dir, o.Journal)
	return done, up, err
}

// stored returns the names of the node's segments in the bucket.
func (b *segmentBed) stored(t *testing.T) (out []string) {
	t.Helper()
	bucket, err := s3.Open(*b.bucket)
	must(t, err)
	defer bucket.Close()
	all, err := bucket.ListSegments(t.Context(), []string{b.node})
	must(t, err)
	for _, e := range all {
		out = append(out, e.Name.String())
	}
	return out
}

// size is that of segments on the disk, in bytes.
func (b *segmentBed) size(t *testing.T, names []snapshot.SegmentName) (bytes int64) {
	t.Helper()
	for _, n := range names {
		info, err := os.Stat(filepath.Join(b.dir.Path(), n.String()))
		must(t, err)
		bytes += info.Size()
	}
	return bytes
}

func texts(all ...[]snapshot.SegmentName) (out []string) {
	for _, n := range slices.Concat(all...) {
		out = append(out, n.String())
	}
	return out
}

func wantSegments(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: %q, not %q", what, got, want)
	}
}

// puts returns the segments that were sent, in order.
func (b *segmentBed) puts(from int) (out []string) {
	for _, r := range b.faults.Requests()[from:] {
		if r.Method == http.MethodPut && strings.Contains(r.Path, "/journal/") {
			out = append(out, filepath.Base(r.Path))
		}
	}
	return out
}
