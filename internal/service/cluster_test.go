package service

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sirupsen/logrus"

	"etcd-rolling-backup/daemon"
	"etcd-rolling-backup/daemon/status"
	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/internal/etcdtest"
	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/member"
)

// standIn is a member of some cluster with an empty database.
type standIn snapshot.Source

func (m standIn) Source() snapshot.Source { return snapshot.Source(m) }

func (m standIn) Stream(_ context.Context, w io.Writer, _ func(int64)) error {
	database := make([]byte, 512)
	sum := sha256.Sum256(database)
	_, err := w.Write(append(database, sum[:]...))
	return err
}

// take puts a rolling snapshot of n1 into the directory and dates it so many hours back.
func take(t *testing.T, dir *snapshot.Dir, hours int, id snapshot.ID, predecessors ...snapshot.ID) {
	t.Helper()
	n, err := snapshot.NewName(snapshot.RollingSet, "n1", time.Now().Add(-time.Duration(hours)*time.Hour))
	must(t, err)
	file, err := os.Create(dir.Path() + "/" + n.String())
	must(t, err)
	w, err := snapshot.NewWriter(file)
	must(t, err)
	source := snapshot.Source{ClusterID: id, Predecessors: predecessors, Revision: 1}
	must(t, standIn(source).Stream(t.Context(), w, nil))
	_, err = w.Finish(snapshot.Manifest{Name: n.String(), CreatedAt: n.Time, Node: n.Node, Source: source})
	must(t, errors.Join(err, file.Close()))
}

func TestManualPruneIsForTheOnlyClusterOrTheGivenOne(t *testing.T) {
	const a, b, parent = snapshot.ID(0xa), snapshot.ID(0xb), snapshot.ID(0xe)
	type shot struct {
		hours int
		id    snapshot.ID
		from  []snapshot.ID
	}
	for name, c := range map[string]struct {
		shots   []shot
		saved   snapshot.ID // by the daemon
		given   snapshot.ID
		want    snapshot.ID
		from    []snapshot.ID
		refused bool
	}{
		"nothing there":                      {},
		"one cluster":                        {shots: []shot{{1, a, nil}, {2, a, nil}}, want: a},
		"and its predecessor":                {shots: []shot{{1, a, []snapshot.ID{parent}}, {2, parent, nil}}, want: a, from: []snapshot.ID{parent}},
		"and a living predecessor":           {shots: []shot{{1, a, []snapshot.ID{parent}}, {2, parent, nil}, {3, a, nil}}, refused: true},
		"two clusters":                       {shots: []shot{{1, a, nil}, {2, b, nil}}, refused: true},
		"one of two is given":                {shots: []shot{{1, a, nil}, {2, b, nil}}, given: b, want: b},
		"a restored one is given":            {shots: []shot{{1, a, []snapshot.ID{parent}}, {2, b, nil}}, given: a, want: a, from: []snapshot.ID{parent}},
		"the daemon's, and one that ended":   {shots: []shot{{1, a, nil}, {2, b, nil}}, saved: a, want: a},
		"the daemon's, and one that goes on": {shots: []shot{{1, b, nil}, {2, a, nil}}, saved: a, refused: true},
		"the daemon's, before it took any":   {shots: []shot{{1, b, nil}}, saved: a, want: a},
		"the daemon's is not the given one":  {shots: []shot{{1, b, nil}, {2, a, nil}}, saved: a, given: b, want: b},
	} {
		t.Run(name, func(t *testing.T) {
			dir := snapshot.NewDir(t.TempDir())
			var copies []status.Copy
			for _, s := range c.shots {
				take(t, dir, s.hours, s.id, s.from...)
			}
			l, err := dir.List()
			must(t, err)
			for _, e := range l.Snapshots {
				m, err := dir.Manifest(e.Name)
				must(t, err)
				copies = append(copies, status.Copy{Name: e.Name, Size: e.Size, Facts: m.Facts()})
			}
			if c.saved != 0 {
				tr := status.New(status.Options{})
				tr.SetCluster(snapshot.Lineage{Cluster: c.saved})
				tr.SetInventory(status.Local, copies, nil)
				must(t, tr.Save(dir, "n1"))
			}
			got, err := ManualLineage(t.Context(), config.Config{Store: config.Store{Dir: dir.Path(), Node: "n1"}}, c.given, false)
			if c.refused {
				if !errors.Is(err, config.ErrUsage) || !strings.Contains(err.Error(), "--cluster") {
					t.Error(err)
				}
				return
			}
			if err != nil || got.Cluster != c.want || !slices.Equal(got.Predecessors, c.from) {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
}

// What a cluster was restored from is known from the record, from the state, or from the last snapshot.
func TestSnapshotsSayWhatTheirClusterWasRestoredFrom(t *testing.T) {
	c := etcdtest.Run(t, etcdtest.Options{UnsafeNoFsync: true})
	dir := snapshot.NewDir(t.TempDir())
	tk := &taker{
		member: func() (member.Config, error) {
			return member.Config{Endpoints: []string{c.Members[0].Endpoint}, Timeout: 5 * time.Second}, nil
		},
		role: daemon.RoleAny, dir: dir, name: &memberName{}, options: snapshot.TakeOptions{Set: snapshot.RollingSet, Node: "n1", Stall: 10 * time.Second},
	}
	takes := func(when string, want ...snapshot.ID) snapshot.ID {
		t.Helper()
		taken, err := tk.Take(t.Context(), logrus.New(), func() {})
		must(t, err)
		if !slices.Equal(taken.Manifest.Predecessors, want) {
			t.Errorf("%s: predecessors %v, want %v", when, taken.Manifest.Predecessors, want)
		}
		return taken.Manifest.ClusterID
	}
	id := takes("no restore")
	must(t, dir.RecordRestore(snapshot.Restored{ClusterID: id, Predecessors: []snapshot.ID{0xe, 0xf}}))
	takes("a recorded restore", 0xe, 0xf)
	must(t, os.Remove(dir.Path()+"/.restored.json"))
	takes("without the record", 0xe, 0xf)
	tk.status = status.New(status.Options{})
	tk.status.SetCluster(snapshot.Lineage{Cluster: id, Predecessors: []snapshot.ID{0x9}})
	takes("as the state knows", 0x9)
	must(t, os.WriteFile(dir.Path()+"/.restored.json", []byte("{"), 0o600))
	takes("a damaged record", 0x9)
}

// Another cluster's daemon with the same node name has taken this second and the next ones.
func TestSnapshotWaitsForASecondThatIsFree(t *testing.T) {
	dir := snapshot.NewDir(t.TempDir())
	now := time.Now()
	for s := range 3 {
		n, err := snapshot.NewName(snapshot.RollingSet, "n1", now.Add(time.Duration(s)*time.Second))
		must(t, err)
		must(t, os.WriteFile(dir.Path()+"/"+n.String(), []byte("theirs"), 0o600))
	}
	tk := &taker{dir: dir}
	o := snapshot.TakeOptions{Set: snapshot.RollingSet, Node: "n1", Stall: time.Minute}
	taken, err := tk.store(t.Context(), standIn{ClusterID: 1}, o)
	if err != nil || taken.Name.Time.Before(now.Add(2*time.Second)) {
		t.Errorf("%s, %v", taken.Name, err)
	}
	stopped, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := tk.store(stopped, standIn{ClusterID: 1}, o); err == nil {
		t.Error("it was stopped, and took one")
	}
}

// A wrong name of a node is refused where others have snapshots, unless the run is for what those have left.
func TestManualRunForANodeWithoutSnapshotsIsRefused(t *testing.T) {
	const typo = "node n2 has no snapshot in "
	for name, c := range map[string]struct {
		store config.Store
		empty bool
		saved bool // the daemon of that node has run here
		want  string
	}{
		"given":                     {store: config.Store{Node: "n2", NodeGiven: true}, want: typo},
		"given with orphans":        {store: config.Store{Node: "n2", NodeGiven: true, OrphanAfter: time.Hour}, want: typo},
		"the host's":                {store: config.Store{Node: "n2"}, want: "node n2, the name of this host, has no snapshot in "},
		"the host's with orphans":   {store: config.Store{Node: "n2", OrphanAfter: time.Hour}},
		"of an empty directory":     {store: config.Store{Node: "n2", NodeGiven: true}, empty: true},
		"before its first snapshot": {store: config.Store{Node: "n2", NodeGiven: true}, saved: true},
		"right":                     {store: config.Store{Node: "n1", NodeGiven: true}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := snapshot.NewDir(t.TempDir())
			if !c.empty {
				take(t, dir, 1, 0xa)
			}
			if c.saved {
				s := status.New(status.Options{})
				s.SetCluster(snapshot.Lineage{Cluster: 0xa})
				must(t, s.Save(dir, c.store.Node))
			}
			c.store.Dir = dir.Path()
			_, err := ManualLineage(t.Context(), config.Config{Store: c.store}, 0, false)
			switch {
			case c.want == "":
				must(t, err)
			case !errors.Is(err, config.ErrUsage) || !strings.Contains(err.Error(), c.want+dir.Path()+": set --node to the node that is meant: n1"):
				t.Errorf("%v, want %s", err, c.want)
			}
		})
	}
}
