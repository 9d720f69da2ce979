package mirror_test

import (
	"archive/zip"
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"etcd-rolling-backup/daemon/mirror"
	"etcd-rolling-backup/daemon/status"
	"etcd-rolling-backup/retention"
	"etcd-rolling-backup/snapshot"
)

// The names of rke-tools do not say the node, and several nodes upload into one folder.

const mine, theirs = snapshot.ID(1), snapshot.ID(2)

// nodeless names rolling zips for some hours after midnight.
func nodeless(t *testing.T, hours ...int) []snapshot.Name {
	t.Helper()
	var out []snapshot.Name
	for _, h := range hours {
		n, err := snapshot.RollingZip(midnight.Add(time.Duration(h) * time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, n)
	}
	return out
}

// zipOf is what a member's daemon saves under a name.
func zipOf(t *testing.T, n snapshot.Name, m member) []byte {
	t.Helper()
	dir := snapshot.NewDir(t.TempDir())
	_, err := snapshot.Take(t.Context(), m, dir, snapshot.TakeOptions{Stall: time.Minute, Named: func(time.Time) (snapshot.Name, error) { return n, nil }})
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(dir.Path(), n.String()))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// originalZip is one of rke-tools.
func originalZip(t *testing.T) []byte {
	t.Helper()
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	_, err := w.Create("/backup/x")
	if err := errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// nodelessBed has in the bucket what two members of this cluster, a stranger and rke-tools have uploaded, each an old and a newer one, and
// in the directory the newest of all.
func nodelessBed(t *testing.T, of ...member) (*snapshot.Dir, *memBucket, mirror.Options) {
	t.Helper()
	b := newBucket()
	for i, m := range of {
		for _, n := range nodeless(t, i, 10+i) {
			b.objects[n.String()] = zipOf(t, n, m)
		}
	}
	for _, n := range nodeless(t, 8, 18) {
		b.objects[n.String()] = originalZip(t)
	}
	dir, newest := directory(t), nodeless(t, 20)[0]
	put(t, dir, newest, zipOf(t, newest, member{sectors: 4, revision: 7, id: mine}))
	o := options(1)
	o.Node, o.Policy, o.Status = "", retention.Policy{Within: 12 * time.Hour}, tracker()
	o.Status.SetCluster(o.Lineage())
	return dir, b, o
}

func passes(t *testing.T, dir *snapshot.Dir, b *memBucket, o mirror.Options) {
	t.Helper()
	for range 2 {
		if _, err := mirror.Pass(t.Context(), dir, b, o, today); err != nil {
			t.Fatal(err)
		}
	}
}

func TestFolderOfSeveralNodesIsPrunedByAge(t *testing.T) {
	dir, b, o := nodelessBed(t, member{sectors: 4, revision: 7, id: mine}, member{sectors: 4, revision: 7, id: theirs})
	passes(t, dir, b, o)
	b.wantHolds(t, nodeless(t, 10, 11, 18, 20)...)
	if n := len(b.tails); n != 6 {
		t.Errorf("%d requests for the manifests of 6 objects", n)
	}
}

func TestSnapshotsWithoutManifestAgeOutNextToThoseOfAnotherCluster(t *testing.T) {
	dir, b, o := nodelessBed(t, member{sectors: 4, revision: 7, id: mine}, member{sectors: 4, revision: 7, id: theirs, cluster: stranger})
	passes(t, dir, b, o)
	b.wantHolds(t, nodeless(t, 1, 10, 11, 18, 20)...)
}

// The IDs of a cluster and its members may be those of another one, which had the same addresses.
func TestBucketWithoutFolderIsPrunedOfWhatThisDaemonUploadedAlone(t *testing.T) {
	dir, b, o := nodelessBed(t, member{sectors: 4, revision: 7, id: mine}, member{sectors: 4, revision: 7, id: mine})
	o.OnlySent = true
	passes(t, dir, b, o)
	b.wantHolds(t, nodeless(t, 0, 1, 8, 10, 11, 18, 20)...)
	old := nodeless(t, 0)[0]
	o.Status.Uploaded(status.Copy{Name: old, Size: int64(len(b.objects[old.String()]))}, 0)
	passes(t, dir, b, o)
	b.wantHolds(t, nodeless(t, 1, 8, 10, 11, 18, 20)...)
	later := nodeless(t, 40)[0]
	put(t, dir, later, zipOf(t, later, member{sectors: 4, revision: 7, id: mine}))
	if _, err := mirror.Pass(t.Context(), dir, b, o, later.Time.Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	b.wantHolds(t, nodeless(t, 1, 8, 10, 11, 18, 40)...) // the first pass has uploaded the one of 20
}

func TestNothingIsPrunedBeforeTheOwnNewestHasArrived(t *testing.T) {
	dir, b, o := nodelessBed(t, member{sectors: 4, revision: 7, id: mine})
	newer := nodeless(t, 21)[0] // of another node
	b.objects[newer.String()] = zipOf(t, newer, member{sectors: 4, revision: 7, id: theirs})
	b.before = func(snapshot.Name) error { return errBucketDown }
	before := len(b.objects)
	if _, err := mirror.Pass(t.Context(), dir, b, o, today); !errors.Is(err, errBucketDown) || len(b.objects) != before {
		t.Errorf("%v; %d objects are left of %d", err, len(b.objects), before)
	}
	b.before = nil
	passes(t, dir, b, o)
	b.wantHolds(t, nodeless(t, 10, 18, 20, 21)...)
}

func TestObjectOfAnotherNodeOfTheSameSecondStays(t *testing.T) {
	dir, b, o := nodelessBed(t)
	newest := nodeless(t, 20)[0]
	first := zipOf(t, newest, member{sectors: 9, revision: 7, id: theirs})
	b.objects[newest.String()] = first
	passes(t, dir, b, o)
	if !bytes.Equal(b.objects[newest.String()], first) || len(b.puts) > 0 {
		t.Errorf("it was uploaded: %q", b.puts)
	}
	if s := o.Status.State(); len(s.Mirror.Pending) > 0 || s.Jobs[status.Mirror].Failures > 0 {
		t.Errorf("the status has %+v", s.Mirror)
	}
	b.wantHolds(t, nodeless(t, 18, 20)...)

	// It appears during the pass.
	delete(b.objects, newest.String())
	b.before = func(snapshot.Name) error { b.objects[newest.String()] = first; return nil }
	passes(t, dir, b, o)
	if !bytes.Equal(b.objects[newest.String()], first) {
		t.Error("it was replaced")
	}
}

// What a user or `save --once` has named, and the database that rke-tools leaves next to a zip, are not the mirror's.
func TestOnlyRollingZipsAreUploaded(t *testing.T) {
	dir, b, o := nodelessBed(t)
	for _, file := range []string{"snap1.zip", "2026-11-21T19:00:00Z_manual-important.zip", "2026-11-21T19:00:00Z_etcd"} {
		n, err := snapshot.OtherName(file)
		if err != nil {
			t.Fatal(err)
		}
		put(t, dir, n, usual(t))
	}
	passes(t, dir, b, o)
	if !slices.Equal(b.puts, textsOf(nodeless(t, 20))) {
		t.Errorf("uploaded %q", b.puts)
	}
}
