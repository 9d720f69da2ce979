package s3_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/minio/minio-go/v7"

	"etcd-rolling-backup/internal/s3test"
	"etcd-rolling-backup/s3"
	"etcd-rolling-backup/snapshot"
)

// crowd stores 24 snapshots of each of 100 nodes, some with a label, and what other programs have.
func crowd(t *testing.T, target s3test.Target, c s3.Config) []string {
	t.Helper()
	var keys []string
	for i := range 100 {
		for h := range 24 {
			set := snapshot.RollingSet
			if h == 7 {
				set = "before-upgrade"
			}
			keys = append(keys, name(t, set, fmt.Sprintf("node-%03d", i), h).String())
		}
	}
	for _, node := range []string{"node", "node-007.a", "node-007-a", "Node-007", "node-0070"} {
		keys = append(keys, name(t, snapshot.RollingSet, node, 0).String(), name(t, "zz", node, 0).String())
	}
	keys = append(keys, "etcd-snapshot-1.zip", "2026-11-21T00:00:00Z_etcd.zip", "zzz.zip", "notes.txt", "deeper/"+keys[0], "rolling/"+keys[0])
	for i := range keys {
		keys[i] = c.Folder + "/" + keys[i]
	}
	s3test.PutMany(t, target, c.Bucket, []byte("x"), keys...)
	return keys
}

// Whatever else is there, the snapshots of a node, with any label, take few requests, on each make of server.
func TestListNodesFindsAllOfThemAndSkipsOthers(t *testing.T) {
	t.Parallel()
	makes := map[string]s3test.Target{"MinIO": server.Target, "gofakes3": s3test.RunFake(t).Target}
	for what, target := range makes {
		t.Run(what, func(t *testing.T) {
			faults := s3test.RunHTTPFaults(t, target)
			b, c := bed(t, faults.Target)
			keys := crowd(t, target, c)
			all, err := b.List(t.Context())
			must(t, err)
			for _, nodes := range [][]string{{"node-007"}, {"node-000"}, {"node-099"}, {"node-050", "node-003", "node"}, {"Node-007"}, {"nobody"}, nil} {
				var want []snapshot.Entry
				for _, e := range all {
					if e.Name.Node == "" || slices.Contains(nodes, e.Name.Node) {
						want = append(want, e)
					}
				}
				before := len(faults.Requests())
				got, others, err := b.ListNodes(t.Context(), nodes)
				must(t, err)
				if !slices.Equal(got, want) || !others {
					t.Errorf("%q: %d snapshots (others: %v), want %d", nodes, len(got), others, len(want))
				}
				if n := len(faults.Requests()) - before; n > 3+2*len(nodes) {
					t.Errorf("%q: %d requests", nodes, n)
				}
			}
			if len(all) != len(keys)-3 {
				t.Errorf("listed %d of %d", len(all), len(keys))
			}
		})
	}
}

// The old versions of a node's snapshots are found likewise.
func TestListNodesOfAVersionedBucket(t *testing.T) {
	t.Parallel()
	c := config(t, server.Target, s3test.Bucket(t, server.Target, s3test.BucketOptions{Versioning: true}))
	keys := []string{rolling(t, 0).String(), rolling(t, 1).String(), name(t, snapshot.RollingSet, "node-b", 0).String()}
	root := s3test.Dial(t, server.Target)
	for _, key := range keys {
		s3test.PutMany(t, server.Target, c.Bucket, []byte("x"), c.Folder+"/"+key)
		must(t, root.RemoveObject(t.Context(), c.Bucket, c.Folder+"/"+key, minio.RemoveObjectOptions{}))
	}
	c.Versions = true
	got, others, err := open(t, c).ListNodes(t.Context(), []string{"node-a"})
	if err != nil || len(got) != 2 || !others {
		t.Errorf("%v, others: %v, %v", got, others, err)
	}
}

// A walk sees the keys of all folders, in their order.
func TestWalkSeesAllFolders(t *testing.T) {
	t.Parallel()
	b, c := bed(t, server.Target)
	n := rolling(t, 0).String()
	keys := []string{"backups/a/" + n, "backups/a/c/" + n, "backups/b/readme", "backups/" + n, "elsewhere/" + n}
	s3test.PutMany(t, server.Target, c.Bucket, []byte("x"), keys...)
	walk := func(b *s3.Bucket) (out []string) {
		must(t, b.Walk(t.Context(), func() { out = nil }, func(f s3.Found) { out = append(out, fmt.Sprintf("%s %v", f.Folder, f.Foreign)) }))
		slices.Sort(out)
		return out
	}
	want := []string{"backups false", "backups/a false", "backups/a/c false", "backups/b true"}
	if got := walk(b); !slices.Equal(got, want) {
		t.Errorf("walked %q", got)
	}
	if got := walk(b.In("")); len(got) != 5 {
		t.Errorf("from the top, walked %q", got)
	}
	for _, folder := range []string{"backups/a", "backups/a/c", "elsewhere"} {
		if tail, _, err := b.In(folder).Tail(t.Context(), rolling(t, 0)); err != nil || string(tail) != "x" {
			t.Errorf("%q: %q, %v", folder, tail, err)
		}
	}
	must(t, server.AddUser(t.Context(), "bk-walk", userSecret, s3test.MinimalPolicy(c.Bucket, "backups/")))
	err := open(t, config(t, server.As("bk-walk", userSecret), c.Bucket)).In("").Walk(context.Background(), func() {}, func(s3.Found) {})
	wantError(t, err, s3.ErrPermission, "allow s3:ListBucket")
	if strings.Contains(err.Error(), "backups/") {
		t.Errorf("%v", err)
	}
}
