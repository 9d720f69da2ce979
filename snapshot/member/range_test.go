package member_test

import (
	"fmt"
	"testing"

	"etcd-rolling-backup/internal/etcdtest"
	"etcd-rolling-backup/snapshot/member"
)

// readKeys reads all keys, and calls meanwhile after each.
func readKeys(t *testing.T, k *member.Keys, meanwhile func()) map[string]string {
	t.Helper()
	got := map[string]string{}
	for {
		kv, err := k.Next(t.Context())
		must(t, err)
		if kv == nil {
			return got
		}
		got[string(kv.GetKey())] = string(kv.GetValue())
		meanwhile()
	}
}

// All keys are those of one revision, whatever is written and deleted while they are read.
func TestKeysAreReadAtOneRevision(t *testing.T) {
	const n = 300 // several answers
	c := etcdtest.Run(t, etcdtest.Options{UnsafeNoFsync: true})
	client := etcdtest.Dial(t, c)
	name := func(i int) string { return fmt.Sprintf("/key/%03d", i) }
	var revision int64
	for i := range n {
		r, err := client.Put(t.Context(), name(i), "before")
		must(t, err)
		revision = r.Header.Revision
	}
	k := connect(t, plain(c)).Keys([]byte("/key/"), answerLimit)
	last := n
	got := readKeys(t, k, func() {
		last--
		if last%2 == 0 {
			_, err := client.Delete(t.Context(), name(last))
			must(t, err)
			return
		}
		_, err := client.Put(t.Context(), name(last), "after")
		must(t, err)
	})
	if len(got) != n || k.Revision() != revision || k.MayBeBehind() {
		t.Errorf("%d keys at revision %d, want %d at %d", len(got), k.Revision(), n, revision)
	}
	for key, value := range got {
		if value != "before" {
			t.Errorf("%s is %s", key, value)
		}
	}
}

// Without quorum, the keys are those that this member has, and that is known.
func TestKeysAreReadWithoutQuorum(t *testing.T) {
	c := etcdtest.Run(t, etcdtest.Options{Members: 3, UnsafeNoFsync: true})
	putKeys(t, c, 40)
	etcdtest.Settle(t, c)
	for _, m := range c.Members[1:] {
		must(t, m.Kill())
	}
	k := connect(t, plain(c)).Keys(nil, silenceLimit)
	if got := readKeys(t, k, func() {}); len(got) != 40 || !k.MayBeBehind() {
		t.Errorf("%d keys, want 40; may be behind: %v", len(got), k.MayBeBehind())
	}
}
