package source

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/snapshot"
)

// taken is an archive to make: its node, minutes after midnight, cluster and that cluster's predecessors.
type taken struct {
	node    string
	minute  int
	cluster snapshot.ID
	from    []snapshot.ID
	keys    snapshot.Count
}

func (x taken) name(t *testing.T) snapshot.Name {
	t.Helper()
	n, err := snapshot.NewName(snapshot.RollingSet, x.node, time.Date(2026, 1, 1, 0, x.minute, 0, 0, time.UTC))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// put writes archives into a directory. Their databases are none, which does not matter here.
func put(t *testing.T, dir string, all ...taken) {
	t.Helper()
	for _, x := range all {
		n := x.name(t)
		var out bytes.Buffer
		w, err := snapshot.NewWriter(&out)
		if err != nil {
			t.Fatal(err)
		}
		raw := make([]byte, 4096)
		sum := sha256.Sum256(raw)
		if _, err := w.Write(append(raw, sum[:]...)); err != nil {
			t.Fatal(err)
		}
		_, err = w.Finish(snapshot.Manifest{
			Name: n.String(), CreatedAt: n.Time, Node: n.Node, Source: snapshot.Source{ClusterID: x.cluster, Predecessors: x.from, Keys: x.keys},
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, n.String()), out.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestLatestIsOfOneHistoryOnly(t *testing.T) {
	const a, b, c = 0xaa, 0xbb, 0xcc
	for name, test := range map[string]struct {
		all      []taken
		recorded []snapshot.Restored
		clusters []string // that are named in the refusal; nil: the newest snapshot is opened
	}{
		"one cluster, several nodes":      {all: []taken{{"n1", 1, a, nil, snapshot.Count{}}, {"n2", 2, a, nil, snapshot.Count{}}, {"n1", 3, a, nil, snapshot.Count{}}}},
		"two clusters, one node name":     {all: []taken{{"n1", 1, a, nil, snapshot.Count{}}, {"n1", 2, b, nil, snapshot.Count{}}, {"n1", 3, a, nil, snapshot.Count{}}}, clusters: []string{"aa", "bb"}},
		"another cluster's are all older": {all: []taken{{"n1", 1, b, nil, snapshot.Count{}}, {"n1", 3, a, nil, snapshot.Count{}}}, clusters: []string{"aa", "bb"}},
		"three clusters":                  {all: []taken{{"n1", 1, a, nil, snapshot.Count{}}, {"n2", 2, b, nil, snapshot.Count{}}, {"n3", 3, c, nil, snapshot.Count{}}}, clusters: []string{"aa", "bb", "cc"}},
		"restored":                        {all: []taken{{"n1", 1, a, nil, snapshot.Count{}}, {"n2", 2, a, nil, snapshot.Count{}}, {"n1", 3, b, []snapshot.ID{a}, snapshot.Count{}}}},
		"restored twice":                  {all: []taken{{"n1", 1, a, nil, snapshot.Count{}}, {"n1", 3, b, []snapshot.ID{a}, snapshot.Count{}}, {"n1", 5, c, []snapshot.ID{b, a}, snapshot.Count{}}}},
		"restored twice from the same":    {all: []taken{{"n1", 1, a, nil, snapshot.Count{}}, {"n1", 3, b, []snapshot.ID{a}, snapshot.Count{}}, {"n1", 5, c, []snapshot.ID{a}, snapshot.Count{}}}},
		"restored, as the directory records": {
			all:      []taken{{"n1", 1, a, nil, snapshot.Count{}}, {"n1", 3, b, nil, snapshot.Count{}}},
			recorded: []snapshot.Restored{{ClusterID: b, Predecessors: []snapshot.ID{a}}},
		},
		"restored, and a stranger":       {all: []taken{{"n1", 1, a, nil, snapshot.Count{}}, {"n1", 3, b, []snapshot.ID{a}, snapshot.Count{}}, {"n1", 2, c, nil, snapshot.Count{}}}, clusters: []string{"bb", "cc"}},
		"a copy that lives on alongside": {all: []taken{{"n1", 1, a, nil, snapshot.Count{}}, {"n1", 2, b, []snapshot.ID{a}, snapshot.Count{}}, {"n1", 3, a, nil, snapshot.Count{}}}, clusters: []string{"aa", "bb"}},
		"the newest one's is not known":  {all: []taken{{"n1", 1, a, nil, snapshot.Count{}}, {"n1", 2, b, nil, snapshot.Count{}}, {"n1", 3, 0, nil, snapshot.Count{}}}, clusters: []string{"aa", "bb"}},
		"clusters are not known":         {all: []taken{{"n1", 1, 0, nil, snapshot.Count{}}, {"n1", 2, 0, nil, snapshot.Count{}}}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			put(t, dir, test.all...)
			for _, r := range test.recorded {
				if err := snapshot.NewDir(dir).RecordRestore(r); err != nil {
					t.Fatal(err)
				}
			}
			newest := test.all[0]
			for _, x := range test.all {
				if x.minute > newest.minute {
					newest = x
				}
			}
			for _, from := range []config.Place{config.Anywhere, config.Local} {
				for _, ref := range []string{snapshot.Latest, snapshot.RollingSet} {
					o, err := Open(t.Context(), Request{Reference: ref, Dir: dir, From: from})
					if test.clusters == nil {
						if err != nil {
							t.Fatal(err)
						}
						if o.Snapshot != newest.name(t) {
							t.Errorf("%s: opened %s", ref, o.Snapshot)
						}
						_ = o.File.Close() // only read
						continue
					}
					if !errors.Is(err, config.ErrUsage) {
						t.Fatalf("%s: got %v, want a refusal", ref, err)
					}
					if n := strings.Count(err.Error(), "cluster "); n != len(test.clusters) {
						t.Errorf("%s: names %d clusters: %v", ref, n, err)
					}
					for _, id := range test.clusters {
						if !strings.Contains(err.Error(), "cluster "+id+", newest rolling_n") {
							t.Errorf("%s: does not name cluster %s: %v", ref, id, err)
						}
					}
				}
				// A full name is no question.
				o, err := Open(t.Context(), Request{Reference: test.all[0].name(t).String(), Dir: dir, From: from})
				if err != nil {
					t.Fatal(err)
				}
				_ = o.File.Close() // only read
			}
		})
	}
}

// A damaged newest snapshot is of any cluster: it is opened, and whoever reads it reports the damage. It does not hide that there are two.
func TestDamagedNewestIsNotPassedOver(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, taken{"n1", 1, 0xaa, nil, snapshot.Count{}}, taken{"n1", 3, 0xaa, nil, snapshot.Count{}})
	newest := taken{"n1", 3, 0xaa, nil, snapshot.Count{}}.name(t)
	if err := os.Truncate(filepath.Join(dir, newest.String()), 100); err != nil {
		t.Fatal(err)
	}
	o, err := Open(t.Context(), Request{Reference: snapshot.Latest, Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if o.Snapshot != newest {
		t.Errorf("opened %s", o.Snapshot)
	}
	_ = o.File.Close() // only read
	put(t, dir, taken{"n2", 2, 0xbb, nil, snapshot.Count{}})
	if _, err := Open(t.Context(), Request{Reference: snapshot.Latest, Dir: dir}); !errors.Is(err, config.ErrUsage) {
		t.Errorf("got %v", err)
	}
}

func TestInsteadIsTheNextOlderIntactOneOfTheCluster(t *testing.T) {
	const a, b = 0xaa, 0xbb
	damaged := taken{"n1", 9, a, nil, snapshot.Count{}}
	older := taken{"n2", 3, a, nil, snapshot.Count{}}
	cut := func(t *testing.T, dir string, x taken) {
		t.Helper()
		if err := os.Truncate(filepath.Join(dir, x.name(t).String()), 100); err != nil {
			t.Fatal(err)
		}
	}
	flip := func(t *testing.T, dir string, x taken) {
		t.Helper()
		path := filepath.Join(dir, x.name(t).String())
		data, err := os.ReadFile(path)
		if err == nil {
			data[8] ^= 1
			err = os.WriteFile(path, data, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, test := range map[string]struct {
		others []taken
		spoil  func(*testing.T, string, taken)
		want   taken // of no node: nothing
	}{
		"one that is intact": {[]taken{older, {"n1", 1, a, nil, snapshot.Count{}}, {"n1", 10, a, nil, snapshot.Count{}}}, cut, older},
		"not one that is damaged too": {[]taken{older, {"n1", 5, a, nil, snapshot.Count{}}}, func(t *testing.T, dir string, x taken) {
			flip(t, dir, x)
			flip(t, dir, taken{"n1", 5, a, nil, snapshot.Count{}})
		}, older},
		"not another cluster's":                {[]taken{older, {"n1", 5, b, nil, snapshot.Count{}}}, flip, older},
		"of the cluster it was restored from":  {[]taken{{"n1", 1, b, nil, snapshot.Count{}}, older, {"n1", 10, a, []snapshot.ID{b}, snapshot.Count{}}}, flip, older},
		"none of two if its own is not known":  {[]taken{older, {"n1", 5, b, nil, snapshot.Count{}}}, cut, taken{}},
		"none":                                 {nil, flip, taken{}},
		"none from later than the damaged one": {[]taken{{"n1", 10, a, nil, snapshot.Count{}}}, cut, taken{}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			put(t, dir, append(test.others, damaged)...)
			test.spoil(t, dir, damaged)
			for ref, argument := range map[string]string{snapshot.Latest: "", filepath.Join(dir, damaged.name(t).String()): dir + "/"} {
				r := Request{Reference: ref, Dir: dir}
				in := config.Local
				if r.isPath() {
					r.Dir, in = t.TempDir(), config.Anywhere
				}
				got, ok := r.Instead(t.Context(), damaged.name(t), in)
				switch {
				case test.want.node == "":
					if ok {
						t.Errorf("%s: got %+v, want nothing", ref, got)
					}
				case !ok || got.Copy || got.Name != test.want.name(t) || strings.Join(got.Arguments, " ") != argument+got.Name.String():
					t.Errorf("%s: got %+v, %t", ref, got, ok)
				}
			}
		})
	}
}
