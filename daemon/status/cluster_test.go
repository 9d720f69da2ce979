package status_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"etcd-rolling-backup/daemon/status"
	"etcd-rolling-backup/internal/statustest"
	"etcd-rolling-backup/snapshot"
)

const (
	ours   = snapshot.ID(0xa)
	theirs = snapshot.ID(0xb)
	parent = snapshot.ID(0xe)
)

// of returns a copy that a cluster took so many hours before noon.
func of(id snapshot.ID, hours float64) status.Copy {
	c := statustest.Taken(noon.Add(-time.Duration(hours*float64(time.Hour))), 10*mib, 1000-int64(10*hours))
	c.Cluster = id
	return c
}

// shared is a state whose directory has such copies.
func shared(now *time.Time, l snapshot.Lineage, copies ...status.Copy) *status.Tracker {
	tr := status.New(local(now))
	tr.SetCluster(l)
	tr.SetInventory(status.Local, copies, nil)
	return tr
}

func TestSnapshotsOfAnotherClusterAreNotCounted(t *testing.T) {
	now := noon
	tr := shared(&now, snapshot.Lineage{Cluster: ours, Predecessors: []snapshot.ID{parent}}, of(theirs, .1), of(ours, 1), of(theirs, 2), of(ours, 3), of(parent, 5), of(0, 4))
	i := tr.State().Places[status.Local]
	if len(i.Copies) != 4 || len(i.Others) != 2 {
		t.Errorf("%d copies, %d others", len(i.Copies), len(i.Others))
	}
	if c, ok := tr.State().Newest(now); !ok || c.Cluster != ours {
		t.Errorf("newest %+v", c)
	}
	if tr.Stranger(status.Local, entryOf(i.Copies[0])) || !tr.Stranger(status.Local, entryOf(i.Others[0])) {
		t.Error("which are strangers is not known")
	}
}

func entryOf(c status.Copy) snapshot.Entry {
	return snapshot.Entry{Name: c.Name, Size: c.Size, Modified: c.Modified}
}

func TestLivingClusterInTheSamePlaceIsAProblem(t *testing.T) {
	now := noon
	for name, c := range map[string]struct {
		lineage snapshot.Lineage
		copies  []status.Copy
		want    []status.Code
	}{
		"alone":                   {snapshot.Lineage{Cluster: ours}, []status.Copy{of(ours, 1), of(ours, 2)}, nil},
		"not known yet":           {snapshot.Lineage{}, []status.Copy{of(ours, 1), of(theirs, 2)}, nil},
		"another one":             {snapshot.Lineage{Cluster: ours}, []status.Copy{of(theirs, .5), of(ours, 1)}, []status.Code{status.CodeOtherCluster}},
		"in the same second":      {snapshot.Lineage{Cluster: ours}, []status.Copy{of(ours, 2), of(theirs, 1), of(ours, 1)}, []status.Code{status.CodeOtherCluster}},
		"one that ended before":   {snapshot.Lineage{Cluster: ours}, []status.Copy{of(ours, 1), of(theirs, 2)}, nil},
		"one that ended long ago": {snapshot.Lineage{Cluster: ours}, []status.Copy{of(ours, 1), of(theirs, 24*9), of(ours, 24*20)}, nil},
		"an undone restore":       {snapshot.Lineage{Cluster: ours, Successors: []snapshot.ID{theirs}}, []status.Copy{of(ours, 1), of(theirs, 2), of(ours, 3)}, nil},
		"a restored copy":         {snapshot.Lineage{Cluster: ours, Successors: []snapshot.ID{theirs}}, []status.Copy{of(theirs, 1), of(ours, 2)}, []status.Code{status.CodeOtherCluster}},
		"a predecessor":           {snapshot.Lineage{Cluster: ours, Predecessors: []snapshot.ID{parent}}, []status.Copy{of(ours, 1), of(parent, 2)}, nil},
		"a living predecessor": {
			snapshot.Lineage{Cluster: ours, Predecessors: []snapshot.ID{parent}},
			[]status.Copy{of(ours, 1), of(parent, 2), of(ours, 3)},
			[]status.Code{status.CodeOtherCluster},
		},
	} {
		t.Run(name, func(t *testing.T) {
			tr := shared(&now, c.lineage, c.copies...)
			wantCodes(t, "at noon", tr, c.want...)
			if text := texts(tr.Problems()); len(c.want) > 0 && (!strings.Contains(text, "cluster a: give each cluster its own --dir") || strings.Contains(text, "\n")) {
				t.Error(text)
			}
		})
	}
}

func TestThreeClustersInOneBucketAreReported(t *testing.T) {
	now := noon
	tr := status.New(status.Options{Mirror: true, Now: func() time.Time { return now }})
	tr.SetCluster(snapshot.Lineage{Cluster: ours})
	tr.SetInventory(status.Local, []status.Copy{of(ours, 1)}, nil)
	tr.SetInventory(status.S3, []status.Copy{of(0, 1), of(0, .5), of(0, .2)}, nil)
	wantCodes(t, "before their manifests were read", tr)
	tr.SetManifests(status.S3, map[snapshot.Name]snapshot.Facts{of(0, 1).Name: of(ours, 1).Facts, of(0, .5).Name: of(theirs, .5).Facts, of(0, .2).Name: of(0xc, .2).Facts})
	wantCodes(t, "afterwards", tr, status.CodeOtherCluster, status.CodeOtherCluster)
	if text := texts(tr.Problems()); !strings.Contains(text, "--s3-folder") || !strings.Contains(text, "cluster, b,") || !strings.Contains(text, "cluster, c,") {
		t.Error(text)
	}
}

// The time of the first snapshot is remembered when it is gone, also by the next process.
func TestTimeOfTheFirstSnapshotOutlivesItAndARestart(t *testing.T) {
	now, n := noon, newNotes()
	tr := shared(&now, snapshot.Lineage{Cluster: ours}, of(ours, 9), of(ours, 1))
	tr.SetInventory(status.Local, []status.Copy{of(ours, 1)}, nil)
	save(t, tr, n)
	next := open(t, n, local(&now))
	next.SetCluster(snapshot.Lineage{Cluster: ours})
	for _, x := range []*status.Tracker{tr, next} {
		if l := x.Lineage(); !l.Since.Equal(of(ours, 9).Name.Time) {
			t.Errorf("since %s", l.Since)
		}
	}
}

// The saved state may be of a daemon that shares directory and node name: it counts once the member has confirmed it.
func TestClusterOfTheSavedStateMustBeConfirmed(t *testing.T) {
	now, n := noon, newNotes()
	tr := shared(&now, snapshot.Lineage{Cluster: ours, Predecessors: []snapshot.ID{parent}}, of(ours, 1))
	tr.End(status.Snapshot, now, status.Outcome{Reason: status.Unreachable, Message: "etcd is down"})
	save(t, tr, n)

	same := open(t, n, local(&now))
	if same.Lineage().Known() {
		t.Error("it counts without a word of the member")
	}
	same.SetCluster(snapshot.Lineage{Cluster: ours})
	if l := same.Lineage(); l.Cluster != ours || !slices.Equal(l.Predecessors, []snapshot.ID{parent}) || same.Job(status.Snapshot).Failures != 1 {
		t.Errorf("%+v, %+v", l, same.Job(status.Snapshot))
	}
	for what, c := range map[string]struct {
		member   snapshot.Lineage
		failures int
	}{
		"another cluster": {snapshot.Lineage{Cluster: theirs}, 0},
		"a successor":     {snapshot.Lineage{Cluster: theirs, Predecessors: []snapshot.ID{ours}}, 1},
	} {
		other := open(t, n, local(&now))
		other.SetCluster(c.member)
		if l, j := other.Lineage(), other.Job(status.Snapshot); l.Cluster != theirs || j.Failures != c.failures {
			t.Errorf("%s: %+v, %+v", what, l, j)
		}
	}
}

// A restore sets the revision back on purpose, but a new cluster next to an old one's snapshots may be an etcd that lost its data.
func TestLossIsLookedForInTheOwnHistoryAndInWhatEndedBefore(t *testing.T) {
	now := noon
	fell := of(ours, .1)
	fell.Revision = 5
	for name, c := range map[string]struct {
		lineage snapshot.Lineage
		copies  []status.Copy
		want    []status.Code
	}{
		"own":                        {snapshot.Lineage{Cluster: ours}, []status.Copy{fell, of(ours, .5)}, []status.Code{status.CodeRevisionFell}},
		"a recorded restore":         {snapshot.Lineage{Cluster: ours, Predecessors: []snapshot.ID{theirs}}, []status.Copy{fell, of(theirs, .5)}, nil},
		"a cluster that ended":       {snapshot.Lineage{Cluster: ours}, []status.Copy{fell, of(theirs, .5)}, []status.Code{status.CodeRevisionFell}},
		"a cluster that takes turns": {snapshot.Lineage{Cluster: ours}, []status.Copy{of(theirs, .05), fell, of(theirs, .5)}, []status.Code{status.CodeOtherCluster}},
	} {
		t.Run(name, func(t *testing.T) {
			wantCodes(t, "at noon", shared(&now, c.lineage, c.copies...), c.want...)
		})
	}
}

// Names have whole seconds, so the bucket can't hold two clusters' snapshots of one second.
func TestSecondsOfAnotherClusterInTheBucketAreTaken(t *testing.T) {
	now := noon
	tr := status.New(status.Options{Mirror: true, Now: func() time.Time { return now }})
	tr.SetCluster(snapshot.Lineage{Cluster: ours})
	var copies []status.Copy
	at := func(id snapshot.ID, hours, second int) {
		c := of(id, float64(hours))
		c.Name.Time = c.Name.Time.Truncate(time.Minute).Add(time.Duration(second) * time.Second)
		copies = append(copies, c)
	}
	for h := range 20 {
		at(ours, h, 7)
		at(theirs, h, h/10) // it had another schedule ten hours ago
	}
	tr.SetInventory(status.S3, copies, nil)
	tr.SetInventory(status.Local, []status.Copy{of(theirs, 1)}, nil)
	for second, want := range map[int]bool{0: true, 1: false, 2: false, 7: false} {
		if got := tr.SecondTaken(noon.Truncate(time.Minute).Add(time.Duration(second)*time.Second + time.Millisecond)); got != want {
			t.Errorf("second %d: taken %t", second, got)
		}
	}
	if (*status.Tracker)(nil).SecondTaken(noon) {
		t.Error("without a status a second is taken")
	}
}

// A name that another cluster has taken in the bucket is not a second fault.
func TestUploadsThatFailBecauseOfAnotherClusterAreOneProblem(t *testing.T) {
	now := noon
	for what, c := range map[string]struct {
		object status.Copy
		want   []status.Code
	}{
		"the same name":  {of(theirs, 1), []status.Code{status.CodeOtherCluster}},
		"other settings": {of(theirs, .5), []status.Code{status.CodeMirrorFailing, status.CodeOtherCluster}},
	} {
		tr := status.New(status.Options{Mirror: true, Now: func() time.Time { return now }})
		tr.SetCluster(snapshot.Lineage{Cluster: ours})
		tr.SetInventory(status.Local, []status.Copy{of(ours, 1), of(ours, 2)}, nil)
		tr.SetInventory(status.S3, []status.Copy{c.object}, nil)
		for range 5 {
			tr.Begin(status.Mirror, now)
			tr.End(status.Mirror, now, status.Outcome{Reason: status.Config, Message: "not uploaded"})
		}
		wantCodes(t, what, tr, c.want...)
		if text := texts(tr.Problems()); !strings.Contains(text, "not uploaded") {
			t.Errorf("%s: %s", what, text)
		}
	}
}
