package source

import (
	"fmt"
	"strings"
	"testing"

	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/snapshot"
)

// Whoever restores the newest snapshot after all keys were deleted must read which one still has them.
func TestNewestWithoutTheKeysIsOpenedWithAWarning(t *testing.T) {
	for name, test := range map[string]struct {
		keys []int64 // one snapshot a minute; below 0: not known
		want string  // in the warning; "": none
	}{
		"all keys are gone":               {[]int64{400, 500, 0, 0}, "has 0 keys, less than half of the 500 before: if nobody deleted them on purpose, use rolling_n1_20260101T000200Z.db.zst ("},
		"more than half are gone":         {[]int64{5000, 2499}, "has 2,499 keys, less than half of the 5,000 before"},
		"half are left":                   {[]int64{5000, 2500}, ""},
		"they are back":                   {[]int64{500, 0, 500}, ""},
		"the newest could not be counted": {[]int64{500, 0, -1}, "has 0 keys, less than half of the 500 before"},
		"none is counted":                 {[]int64{-1, -1}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for i, keys := range test.keys {
				x := taken{node: "n1", minute: i + 1, cluster: 0xaa, keys: snapshot.Counted(max(keys, 0))}
				if keys < 0 {
					x.keys = snapshot.Count{}
				}
				put(t, dir, x)
			}
			put(t, dir, taken{node: "n1", minute: 0, cluster: 0, keys: snapshot.Counted(9000)}) // of an unknown cluster
			var said []string
			o, err := Open(t.Context(), Request{
				Reference: snapshot.Latest, Dir: dir, From: config.Local, Notice: func(text string) { said = append(said, text) },
			})
			if err != nil {
				t.Fatal(err)
			}
			_ = o.File.Close() // only read
			if text := strings.Join(said, "\n"); test.want == "" && text != "" || !strings.Contains(text, test.want) {
				t.Errorf("said %q, want %q", text, test.want)
			}
		})
	}
}

// entries are snapshots of nodes, newest first, each with so many.
func entries(t *testing.T, nodes, each int) (out []snapshot.Entry) {
	t.Helper()
	for i := range each {
		for n := range nodes {
			out = append(out, snapshot.Entry{Name: taken{node: fmt.Sprintf("n%d", n), minute: -i}.name(t)})
		}
	}
	return out
}

func TestCandidatesOfACrowdAreFewAndOfFewNodesAll(t *testing.T) {
	for _, test := range []struct{ nodes, each, want, left int }{
		{3, 333, 999, 0},
		{250, 24, 24 + 249*3, 0},
		{1, 5000, closely + 1, 0},
		{2000, 2, allRead, 1001}, // of the chosen one's node both
	} {
		all := entries(t, test.nodes, test.each)
		chosen := all[0].Name
		got, left := candidates(all, chosen)
		if len(got) != test.want || left != test.left {
			t.Errorf("%+v: %d candidates, %d left", test, len(got), left)
		}
		if len(all) <= allRead {
			continue
		}
		of := map[string]int{}
		for _, e := range got {
			of[e.Name.Node]++
		}
		if got[0].Name != chosen || len(of) != min(test.nodes, allRead-of[chosen.Node]+1) {
			t.Errorf("%+v: begins with %s, of %d nodes", test, got[0].Name, len(of))
		}
	}
}

// A refusal must be readable: this host's cluster comes first, and not hundreds of others after it.
func TestRefusalNamesTheClusterOfThisHostFirst(t *testing.T) {
	dir := t.TempDir()
	for i := range 20 {
		put(t, dir, taken{node: fmt.Sprintf("n%d", i), minute: 100 - i, cluster: snapshot.ID(0xa0 + i)})
	}
	_, err := Open(t.Context(), Request{Reference: snapshot.Latest, Dir: dir, From: config.Local, Host: "n17"})
	several, ok := err.(*SeveralError) //nolint:errorlint // it is not wrapped here
	if !ok || len(several.Choices) != namedClusters || !several.Choices[0].Here || several.Choices[0].Cluster != 0xb1 || several.Choices[1].Here {
		t.Fatalf("got %v", err)
	}
	for _, words := range []string{"of 20 clusters", "cluster b1, newest rolling_n17_20260101T012300Z.db.zst", "it has snapshots of this host, n17", "and 12 more: list --node NAME"} {
		if !strings.Contains(err.Error(), words) {
			t.Errorf("does not say %q: %v", words, err)
		}
	}
}
