package service

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"etcd-rolling-backup/daemon"
	"etcd-rolling-backup/daemon/mirror"
	"etcd-rolling-backup/daemon/status"
	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/internal/s3test"
	"etcd-rolling-backup/internal/source"
	"etcd-rolling-backup/internal/storetest"
	"etcd-rolling-backup/retention"
	"etcd-rolling-backup/s3"
	"etcd-rolling-backup/snapshot"
)

// costBed is a bucket whose requests are counted, and a directory.
type costBed struct {
	faults *s3test.HTTPFaults
	bucket *s3.Config
	dir    *snapshot.Dir
	status *status.Tracker
	known  *mirror.Segments
}

func newCostBed(t *testing.T) *costBed {
	t.Helper()
	server := s3test.Run(t, s3test.Options{})
	b := &costBed{faults: s3test.RunHTTPFaults(t, server.Target), dir: snapshot.NewDir(filepath.Join(t.TempDir(), "store")), known: &mirror.Segments{}}
	must(t, b.dir.Prepare())
	b.status = status.New(status.Options{Mirror: true, Ranges: journalRanges(b.dir)})
	keys := t.TempDir()
	b.bucket = &s3.Config{
		Endpoint: b.faults.URL(), Bucket: s3test.Bucket(t, server.Target, s3test.BucketOptions{}), Folder: "fleet",
		AccessKeyFile: filepath.Join(keys, "access"), SecretKeyFile: filepath.Join(keys, "secret"),
	}
	must(t, os.WriteFile(b.bucket.AccessKeyFile, []byte(server.AccessKey), 0o600))
	must(t, os.WriteFile(b.bucket.SecretKeyFile, []byte(server.SecretKey), 0o600))
	return b
}

// save puts a new archive into the directory.
func (b *costBed) save(t *testing.T, n snapshot.Name) {
	t.Helper()
	must(t, os.WriteFile(filepath.Join(b.dir.Path(), n.String()), storetest.Archive(t, n, 20<<10), 0o600))
}

// pass is one of a daemon of node n1 that keeps three. It returns the requests by method, and the objects that were removed.
func (b *costBed) pass(t *testing.T, orphanAfter time.Duration) (map[string]int, []snapshot.Name) {
	t.Helper()
	before := len(b.faults.Requests())
	o := MirrorOptions(config.Config{Store: config.Store{Node: "n1"}, Mirror: config.Mirror{Policy: retention.Policy{Last: 3}, OrphanAfter: orphanAfter}})
	o.Journal.Known = b.known
	o.Status, o.Lineage = b.status, func() snapshot.Lineage { return snapshot.Lineage{Cluster: 1} }
	done, err := MirrorOnce(t.Context(), b.bucket, b.dir, o)
	must(t, err)
	count := map[string]int{}
	for _, r := range b.faults.Requests()[before:] {
		count[r.Method]++
	}
	return count, done.Removed
}

// strangers are the keys of 6000 objects of other nodes, some of whose names begin like n1, and of other programs.
func strangers(folder string) []string {
	var keys []string
	nodes := []string{"n", "n1-a", "n1.a", "n10", "N1", "0"}
	for i := range 243 {
		nodes = append(nodes, fmt.Sprintf("node-%03d", i))
	}
	at := time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC)
	for _, node := range nodes {
		for h := range 24 {
			keys = append(keys, fmt.Sprintf("%s/rolling_%s_%s.db.zst", folder, node, at.Add(time.Duration(h)*time.Hour).Format("20060102T150405Z")))
		}
	}
	for i := range 24 {
		keys = append(keys, fmt.Sprintf("%s/c-%d.zip", folder, i))
	}
	return keys
}

// What other nodes have in the same folder costs nothing: a pass needs the same requests with 6000 foreign objects as with none.
// A new snapshot takes 7: LIST, HEAD, PUT, HEAD, HEAD and DELETE of the one that is pruned, and LIST of unfinished uploads.
func TestMirrorPassNextTo6000ForeignObjectsTakes7Requests(t *testing.T) {
	b := newCostBed(t)
	var counts []map[string]int
	for i, foreign := range [][]string{nil, strangers("fleet")} {
		s3test.PutMany(t, b.faults.Target, b.bucket.Bucket, []byte("x"), foreign...)
		for h := range 4 {
			b.save(t, storetest.Name(t, snapshot.RollingSet, "n1", 4*i+h))
			count, _ := b.pass(t, 0)
			counts = append(counts, count)
		}
	}
	want := map[string]int{http.MethodGet: 2, http.MethodHead: 3, http.MethodPut: 1, http.MethodDelete: 1}
	for _, i := range []int{3, 4, 5, 6, 7} {
		if fmt.Sprint(counts[i]) != fmt.Sprint(want) {
			t.Errorf("pass %d took %v, want %v", i, counts[i], want)
		}
	}
	// With a snapshot that somebody took with a label, there is one more prefix.
	b.save(t, storetest.Name(t, "before-upgrade", "n1", 0))
	b.pass(t, 0)
	if count, _ := b.pass(t, 0); fmt.Sprint(count) != fmt.Sprint(map[string]int{http.MethodGet: 4}) {
		t.Errorf("with a label: %v", count)
	}
	must(t, b.dir.Remove(t.Context(), storetest.Name(t, "before-upgrade", "n1", 0)))
	b.pass(t, 0)
	if n := len(b.status.State().Places[status.S3].Copies); n != 4 {
		t.Errorf("the status knows %d snapshots of this node in S3, not 3 and the one with a label, which the disk no longer has", n)
	}
}

// A drill from S3 looks for this node's newest snapshot: a few listings, however many other nodes there are, and the snapshot.
func TestDrillFromS3NextTo6000ForeignObjectsListsFewPages(t *testing.T) {
	b := newCostBed(t)
	s3test.PutMany(t, b.faults.Target, b.bucket.Bucket, []byte("x"), strangers("fleet")...)
	for h := range 3 {
		b.save(t, storetest.Name(t, snapshot.RollingSet, "n1", h))
	}
	b.pass(t, 0)
	before := len(b.faults.Requests())
	var report daemon.DrillReport
	cfg := config.Config{Store: config.Store{Node: "n1", Dir: b.dir.Path()}, S3: b.bucket}
	o, err := source.Open(t.Context(), drillRequest(cfg, config.S3, b.status, &report))
	must(t, err)
	must(t, o.File.Close())
	if want := storetest.Name(t, snapshot.RollingSet, "n1", 2); o.Snapshot != want || report.Name != want {
		t.Errorf("%s, reported as %s", o.Snapshot, report.Name)
	}
	if n := len(b.faults.Requests()) - before; n > 5 {
		t.Errorf("%d requests", n)
	}
}

// To find orphans, all nodes must be listed. A daemon does that once a day. The first pass also looks for what was saved manually, and for a journal.
func TestMirrorListsAllNodesOncePerDayAndOnlyForOrphans(t *testing.T) {
	b := newCostBed(t)
	s3test.PutMany(t, b.faults.Target, b.bucket.Bucket, []byte("x"), strangers("fleet")...)
	b.save(t, storetest.Name(t, snapshot.RollingSet, "n1", 0))
	for i, x := range []struct {
		orphanAfter time.Duration
		lists       int
	}{{0, 5}, {10000 * 24 * time.Hour, 8}, {10000 * 24 * time.Hour, 2}, {0, 2}} {
		if count, _ := b.pass(t, x.orphanAfter); count[http.MethodGet] != x.lists {
			t.Errorf("pass %d: %v, want %d listings", i, count, x.lists)
		}
	}
}

// A policy may allow to list the folder only as a whole. Then the pass costs more, and works.
func TestMirrorWithKeysThatMayListOnlyTheWholeFolder(t *testing.T) {
	b := newCostBed(t)
	b.faults.Set(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if p := r.URL.Query().Get("prefix"); r.URL.Query().Has("list-type") && p != "fleet/" {
			w.Header().Set("Content-Type", "application/xml")
			w.WriteHeader(http.StatusForbidden)
			_, _ = fmt.Fprint(w, "<Error><Code>AccessDenied</Code><Message>Access Denied.</Message></Error>")
			return
		}
		next.ServeHTTP(w, r)
	})
	s3test.PutMany(t, b.faults.Target, b.bucket.Bucket, []byte("x"), strangers("fleet")[:100]...)
	for h := range 4 {
		b.save(t, storetest.Name(t, snapshot.RollingSet, "n1", h))
	}
	if _, removed := b.pass(t, 0); len(removed) != 0 {
		t.Errorf("removed %v", removed)
	}
	b.save(t, storetest.Name(t, snapshot.RollingSet, "n1", 4))
	if _, removed := b.pass(t, 0); len(removed) != 1 {
		t.Errorf("removed %v, not the oldest of this node", removed)
	}
}
