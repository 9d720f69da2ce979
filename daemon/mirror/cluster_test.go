package mirror_test

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"etcd-rolling-backup/daemon/mirror"
	"etcd-rolling-backup/daemon/status"
	"etcd-rolling-backup/snapshot"
)

const (
	stranger = snapshot.ID(0xb)
	earlier  = snapshot.ID(0xe)
)

func (b *memBucket) fillOf(t *testing.T, id snapshot.ID, names ...snapshot.Name) *memBucket {
	t.Helper()
	data := archiveOf(t, id)
	for _, n := range names {
		b.objects[n.String()] = data
	}
	return b
}

func own(of ...snapshot.ID) func() snapshot.Lineage {
	return func() snapshot.Lineage { return snapshot.Lineage{Cluster: cluster, Predecessors: of} }
}

func TestMirrorLeavesObjectsOfAnotherClusterAlone(t *testing.T) {
	names := hourly(t, node, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9)
	theirs := []snapshot.Name{names[0], names[2], names[4], names[9]}
	dir, b, o := directory(t, names[7], names[8]), newBucket().fill(t, names...).fillOf(t, stranger, theirs...), options(2)
	o.Status = tracker()
	o.Status.SetCluster(o.Lineage())
	for range 2 {
		if _, err := mirror.Pass(t.Context(), dir, b, o, today); err != nil {
			t.Fatal(err)
		}
		b.wantHolds(t, append(slices.Clone(theirs), names[7], names[8])...)
	}
	s := o.Status.State().Places[status.S3]
	if len(s.Copies) != 2 || len(s.Others) != 4 {
		t.Errorf("%d copies, %d of another cluster", len(s.Copies), len(s.Others))
	}
	if n := len(b.tails); n != 10 {
		t.Errorf("asked %d times for the manifests of 10 objects", n)
	}
}

// Two clusters with the same schedule take their snapshots in the same second.
func TestObjectOfAnotherClusterWithTheSameNameIsNeitherReplacedNorRemoved(t *testing.T) {
	names := hourly(t, node, 0, 1, 2, 3)
	dir, b, o := directory(t, names...), newBucket().fillOf(t, stranger, names[:3]...), options(3)
	o.Status = tracker()
	o.Status.SetCluster(o.Lineage())
	before := maps.Clone(b.objects)
	done, err := mirror.Pass(t.Context(), dir, b, o, today)
	if !errors.Is(err, snapshot.ErrExists) || !strings.Contains(err.Error(), "--s3-folder") || mirror.IsFileError(err) {
		t.Error(err)
	}
	if !slices.Equal(done.Uploaded, names[3:]) || done.Pending != 3 || len(done.Removed) > 0 {
		t.Errorf("%+v", done)
	}
	for n, data := range before {
		if !slices.Equal(b.objects[n], data) {
			t.Errorf("%s has changed", n)
		}
	}
	// The policy removes the ones of the own names here, and nothing of the other cluster there.
	l, err := dir.List()
	if err != nil {
		t.Fatal(err)
	}
	pruned, err := mirror.Prune(t.Context(), dir, l, b, options(1), today, false)
	decisions := pruned.Decisions
	if err != nil || len(decisions) != 4 {
		t.Error(decisions, err)
	}
	b.wantHolds(t, names...)
}

// Of a directory that two clusters share, each daemon uploads its own rolling snapshots. What somebody took with a label goes wherever a
// daemon finds it.
func TestRollingSnapshotsOfAnotherClusterAreNotUploaded(t *testing.T) {
	names, labeled := hourly(t, node, 0, 1, 2), name(t, "before-upgrade", node, midnight)
	dir, b := directory(t, names[2]), newBucket()
	put(t, dir, names[0], archiveOf(t, earlier))
	put(t, dir, names[1], archiveOf(t, stranger))
	put(t, dir, labeled, archiveOf(t, stranger))
	o := options(3)
	o.Lineage = own(earlier)
	if done, err := mirror.Pass(t.Context(), dir, b, o, today); err != nil || done.Pending != 0 {
		t.Errorf("%+v, %v", done, err)
	}
	b.wantHolds(t, names[0], names[2], labeled)
}

// A file whose name is taken in the bucket can never be uploaded, so it takes no place in the bucket's policy.
func TestFileThatCannotBeUploadedTakesNoPlaceInTheBucket(t *testing.T) {
	names := hourly(t, node, 0, 1, 2, 3, 4)
	dir, b := directory(t, names...), newBucket().fill(t, names[:2]...).fillOf(t, stranger, names[2], names[4])
	if _, err := mirror.Pass(t.Context(), dir, b, options(2), today); !errors.Is(err, snapshot.ErrExists) {
		t.Error(err)
	}
	b.wantHolds(t, names[1:]...)
}

// A listing may be older than the object: then the server decides.
func TestObjectThatAppearsDuringThePassIsNotOverwritten(t *testing.T) {
	for who, id := range map[string]snapshot.ID{"another cluster's": stranger, "the same cluster's": cluster} {
		t.Run(who, func(t *testing.T) {
			n := hourly(t, node, 0)[0]
			dir, b, o := directory(t, n), newBucket(), options(3)
			theirs := archiveOf(t, id)
			b.before = func(snapshot.Name) error {
				b.objects[n.String()] = theirs
				return nil
			}
			done, err := mirror.Pass(t.Context(), dir, b, o, today)
			if !errors.Is(err, snapshot.ErrExists) || !slices.Equal(b.objects[n.String()], theirs) || len(done.Taken) > 0 != (id == cluster) || done.Pending != 1 {
				t.Errorf("%+v, %v", done, err)
			}
		})
	}
}

func TestMirrorRemovesNothingWhileItsClusterIsNotKnown(t *testing.T) {
	names := hourly(t, node, 0, 1, 2, 3)
	dir, b, o := directory(t, names[2:]...), newBucket().fill(t, names[:2]...), options(1)
	o.Lineage = nil
	if done, err := mirror.Pass(t.Context(), dir, b, o, today); err != nil || len(done.Removed) > 0 {
		t.Errorf("%+v, %v", done, err)
	}
	b.wantHolds(t, names...)
}

func TestBucketKeepsHistoryFromBeforeARestore(t *testing.T) {
	names := hourly(t, node, 0, 1, 2, 3, 4, 5, 6, 7)
	dir, b, o := directory(t, names[4:]...), newBucket().fillOf(t, earlier, names[:4]...), options(2)
	o.Lineage = own(earlier)
	if _, err := mirror.Pass(t.Context(), dir, b, o, today); err != nil {
		t.Error(err)
	}
	b.wantHolds(t, names[2], names[3], names[4], names[6], names[7])
}

// Three clusters, one folder, one node name, passes in turn: each keeps what its own policy keeps.
func TestThreeClustersInOneFolderKeepTheirOwn(t *testing.T) {
	b := newBucket()
	type site struct {
		dir *snapshot.Dir
		o   mirror.Options
	}
	var sites []site
	var want []snapshot.Name
	for i, id := range []snapshot.ID{cluster, stranger, 0xc} {
		s := site{directory(t), options(2)}
		s.o.Lineage = func() snapshot.Lineage { return snapshot.Lineage{Cluster: id} }
		for h := range 5 {
			n := name(t, snapshot.RollingSet, node, midnight.Add(time.Duration(h)*time.Hour+time.Duration(i)*time.Minute))
			put(t, s.dir, n, archiveOf(t, id))
			if h >= 3 {
				want = append(want, n)
			}
		}
		sites = append(sites, s)
	}
	for range 3 {
		for _, s := range sites {
			if _, err := mirror.Pass(t.Context(), s.dir, b, s.o, today); err != nil {
				t.Error(err)
			}
		}
	}
	b.wantHolds(t, want...)
}

// After an upgrade the state knows no cluster: each object is read once, also by the next process.
func TestManifestsInTheBucketAreReadOnceAndRemembered(t *testing.T) {
	var of []int
	for h := range 22 {
		of = append(of, h)
	}
	names := hourly(t, node, of...)
	dir, b, o := directory(t, names[21]), newBucket().fill(t, names[:21]...), options(30)
	notes := snapshot.NewDir(t.TempDir())
	for range 3 {
		s, err := status.Open(notes, node, status.Options{Mirror: true, Now: func() time.Time { return today }})
		if err != nil {
			t.Fatal(err)
		}
		o.Status = s
		s.SetCluster(o.Lineage())
		if _, err := mirror.Pass(t.Context(), dir, b, o, today); err != nil {
			t.Fatal(err)
		}
		if err := s.Save(notes, node); err != nil {
			t.Fatal(err)
		}
	}
	asked := slices.Sorted(slices.Values(b.tails))
	wantNames(t, "asked for", asked, names[:21])
}

// While S3 answers no reads, nothing of this node is removed, whatever is known of others.
func TestNothingUnreadIsRemoved(t *testing.T) {
	names := hourly(t, node, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9)
	dir, b := directory(t, names[9]), newBucket().fill(t, names[:9]...)
	b.fillOf(t, stranger, names[2])
	b.untold[names[2].String()], b.untold[names[5].String()] = errBucketDown, errBucketDown
	done, err := mirror.Pass(t.Context(), dir, b, options(2), today)
	if !errors.Is(err, errBucketDown) || !slices.Equal(done.Uploaded, names[9:]) {
		t.Errorf("%+v, %v", done, err)
	}
	b.wantHolds(t, names[2], names[5], names[8], names[9])
}

func TestOrphansInTheBucketAreThoseOfTheOwnCluster(t *testing.T) {
	mine, gone, foreign := hourly(t, node, 22), hourly(t, "gone", 1, 2, 3), hourly(t, "foreign", 1, 2, 3)
	b, o := newBucket().fill(t, slices.Concat(mine, gone)...).fillOf(t, stranger, foreign...), options(2)
	o.OrphanAfter, o.Status = 10*time.Hour, tracker()
	for range 2 {
		if _, err := mirror.Pass(t.Context(), directory(t, mine...), b, o, today); err != nil {
			t.Error(err)
		}
		b.wantHolds(t, slices.Concat(mine, gone[2:], foreign)...)
	}
	if n := len(b.tails); n != 7 {
		t.Errorf("asked %d times for the manifests of 7 objects: %q", n, b.tails)
	}
}
