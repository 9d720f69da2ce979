package browse_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"

	"etcd-rolling-backup/internal/etcdtest"
	"etcd-rolling-backup/snapshot/browse"
)

// What is read is what etcdctl reads, at every revision that a server of that version retains: with keys that were deleted and created again,
// in transactions, with leases that ended, and after a compaction.
func TestEveryRevisionIsAsEtcdctlReadsIt(t *testing.T) {
	for _, version := range etcdtest.Versions() {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			c := etcdtest.Run(t, etcdtest.Options{Version: version, UnsafeNoFsync: true})
			newest := churn(t, etcdtest.Dial(t, c))
			compacted := newest - 40
			_, err := etcdtest.Dial(t, c).Compact(t.Context(), compacted, clientv3.WithCompactPhysical())
			must(t, err)
			d := open(t, take(t, c.Members[0]))
			if r := d.Retained(); r.Oldest != compacted || r.Newest != newest {
				t.Errorf("it retains %+v, the server %d to %d", r, compacted, newest)
			}
			before := map[string]browse.KeyValue{}
			for revision := compacted; revision <= newest; revision++ {
				before = wantSame(t, c, d, revision, before)
			}
			for _, revision := range []int64{1, compacted - 1, newest + 1, -1} {
				if _, err := d.List(t.Context(), nil, revision); !errors.Is(err, browse.ErrRevision) {
					t.Errorf("revision %d: %v", revision, err)
				}
			}
		})
	}
}

// churn makes each kind of change, and returns the last revision.
func churn(t *testing.T, client *clientv3.Client) int64 {
	t.Helper()
	r := rand.New(rand.NewPCG(1, 2))
	var last int64
	lease, err := client.Grant(t.Context(), 3600)
	must(t, err)
	key := func() string {
		return []string{"/a", "/a/b", "/a/c", "/a/c/\xff\xfe", "/b/\x1b[31m", "/c", "\"quoted", "plain", "/a/bb", "/z"}[r.IntN(10)]
	}
	for i := range 150 {
		value := fmt.Sprintf("%d\x00%s", i, bytes.Repeat([]byte("v"), r.IntN(6000)))
		var ops []clientv3.Op
		switch i % 5 {
		case 0:
			ops = []clientv3.Op{clientv3.OpDelete(key())}
		case 1:
			ops = []clientv3.Op{clientv3.OpPut("/txn/a", value), clientv3.OpPut("/txn/b", value), clientv3.OpDelete("/a", clientv3.WithPrefix())}
		case 2:
			ops = []clientv3.Op{clientv3.OpPut(key(), value, clientv3.WithLease(lease.ID))}
		default:
			ops = []clientv3.Op{clientv3.OpPut(key(), value)}
		}
		if i == 120 { // all its keys go in one revision
			_, err := client.Revoke(t.Context(), lease.ID)
			must(t, err)
			lease, err = client.Grant(t.Context(), 3600)
			must(t, err)
		}
		answer, err := client.Txn(t.Context()).Then(ops...).Commit()
		must(t, err)
		last = answer.Header.Revision
	}
	return last
}

// wantSame compares all keys at a revision with etcdctl's, and what was deleted since the revision before.
func wantSame(t *testing.T, c *etcdtest.Cluster, d *browse.DB, revision int64, before map[string]browse.KeyValue) map[string]browse.KeyValue {
	t.Helper()
	text, err := c.Etcdctl(t.Context(), "get", "", "--from-key", fmt.Sprintf("--rev=%d", revision), "--write-out=json")
	must(t, err)
	var answer struct {
		Kvs []struct {
			Key, Value []byte
			Created    int64 `json:"create_revision"`
			Modified   int64 `json:"mod_revision"`
			Version    int64
			Lease      int64
		}
	}
	must(t, json.Unmarshal(text, &answer))
	l, err := d.List(t.Context(), nil, revision)
	must(t, err)
	got := keys(t, l)
	if len(got) != len(answer.Kvs) {
		t.Fatalf("revision %d has %d keys, etcdctl finds %d", revision, len(got), len(answer.Kvs))
	}
	now := map[string]browse.KeyValue{}
	for i, x := range answer.Kvs {
		want := browse.KeyValue{Key: x.Key, Value: x.Value, Created: x.Created, Modified: x.Modified, Version: x.Version, Lease: x.Lease}
		if fmt.Sprint(got[i]) != fmt.Sprint(want) {
			t.Errorf("revision %d: key %q is %v, etcdctl has %v", revision, x.Key, got[i], want)
		}
		single, err := d.Get(t.Context(), x.Key, revision)
		must(t, err)
		if fmt.Sprint(single) != fmt.Sprint(want) {
			t.Errorf("revision %d: get %q is %v, etcdctl has %v", revision, x.Key, single, want)
		}
		now[string(x.Key)] = want
	}
	for key, last := range before {
		if _, exists := now[key]; !exists {
			wantDeleted(t, d, []byte(key), revision, last)
		}
	}
	return now
}

// wantDeleted demands that the key was deleted at the revision, and that its last value is where it is said to be.
func wantDeleted(t *testing.T, d *browse.DB, key []byte, revision int64, last browse.KeyValue) {
	t.Helper()
	if kv, err := d.Get(t.Context(), key, revision); !errors.Is(err, browse.ErrNoKey) {
		t.Errorf("revision %d: deleted key %q is there: %v, %v", revision, key, kv, err)
	}
	x, found, err := d.Deletion(t.Context(), key, revision)
	must(t, err)
	if !found || x.Revision != revision || fmt.Sprint(x.Last) != fmt.Sprint(last) {
		t.Errorf("revision %d: %q was deleted: %v, %+v", revision, key, found, x)
	}
	if kv, err := d.Get(t.Context(), key, revision-1); err != nil || fmt.Sprint(kv) != fmt.Sprint(last) {
		t.Errorf("revision %d: the value of %q is %v, %v", revision-1, key, kv, err)
	}
}

// The history of a key has each of its revisions, which are those that reading it at each revision finds.
func TestHistoryHasEveryRetainedRevision(t *testing.T) {
	c := etcdtest.Run(t, etcdtest.Options{UnsafeNoFsync: true})
	client := etcdtest.Dial(t, c)
	newest := churn(t, client)
	compacted := newest - 60
	_, err := client.Compact(t.Context(), compacted, clientv3.WithCompactPhysical())
	must(t, err)
	d := open(t, take(t, c.Members[0]))
	deletions := 0
	for _, key := range []string{"/a", "/a/c/\xff\xfe", "/txn/a", "\"quoted", "/never"} {
		var want []string
		before := int64(0)
		for revision := compacted; revision <= newest; revision++ {
			kv, err := d.Get(t.Context(), []byte(key), revision)
			switch {
			case errors.Is(err, browse.ErrNoKey) && before != 0:
				want, before = append(want, fmt.Sprintf("%d deleted", revision)), 0
				deletions++
			case err == nil && kv.Modified != before:
				want, before = append(want, fmt.Sprintf("%d %d %s", kv.Modified, kv.Version, kv.Value)), kv.Modified
			}
		}
		var got []string
		must(t, d.History(t.Context(), []byte(key), func(x browse.Change) error {
			if x.Deleted {
				got = append(got, fmt.Sprintf("%d deleted", x.Revision))
			} else {
				got = append(got, fmt.Sprintf("%d %d %s", x.Revision, x.Version, x.Value))
			}
			return nil
		}))
		if len(got) > 0 && got[0] == fmt.Sprintf("%d deleted", compacted) {
			got = got[1:] // a deletion at the compaction's own revision, which only some versions of etcd keep
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%q: the history is %q, want %q", key, got, want)
		}
	}
	if deletions == 0 {
		t.Error("no key was deleted")
	}
}
