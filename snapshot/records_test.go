package snapshot_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.etcd.io/bbolt"
	"go.etcd.io/etcd/api/v3/authpb"
	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/protobuf/proto"

	"etcd-rolling-backup/internal/etcdtest"
	"etcd-rolling-backup/snapshot"
)

// What etcd can't decode when it starts is damage, although pages and digests are right.
func TestVerifyFindsEntriesThatEtcdCannotRead(t *testing.T) {
	for what, change := range etcdtest.Unreadable() {
		db := database(t, asEtcd(), etcdBuckets, func(tx *bbolt.Tx) error { return putRevision(tx, revisionKey(2), []byte("/a"), []byte("1")) }, change)
		b := newBench(t)
		_, err := b.verify(t.Context(), archive(t, withDigest(db), manifestA(1)))
		if !errors.Is(err, snapshot.ErrDamaged) || !strings.Contains(err.Error(), "etcd can't read") || len(err.Error()) > 500 {
			t.Errorf("%s: %v, want ErrDamaged in a few words", what, err)
		}
		f, openErr := os.Create(filepath.Join(t.TempDir(), "db"))
		must(t, openErr)
		_, writeErr := f.Write(db)
		must(t, writeErr)
		alone := snapshot.ViewDatabase(f, func(tx *bbolt.Tx) error { return snapshot.CheckDatabase(t.Context(), f, tx) })
		if alone == nil || err == nil || alone.Error() != err.Error() {
			t.Errorf("%s: the check alone says %v, verify %v", what, alone, err)
		}
	}
}

// etcd's own entries of every kind are accepted, also the one without a key with which etcdutl raises the revision.
func TestVerifyAcceptsWhatEtcdWrites(t *testing.T) {
	put := func(tx *bbolt.Tx, bucket, key string, m proto.Message) error {
		text, err := proto.Marshal(m)
		return errors.Join(err, tx.Bucket([]byte(bucket)).Put([]byte(key), text))
	}
	raw := func(tx *bbolt.Tx, bucket, key, value string) error {
		return tx.Bucket([]byte(bucket)).Put([]byte(key), []byte(value))
	}
	alarm, err := proto.Marshal(&etcdserverpb.AlarmMember{MemberID: 7, Alarm: etcdserverpb.AlarmType_NOSPACE})
	must(t, err)
	db := database(t, asEtcd(), etcdBuckets, func(tx *bbolt.Tx) error {
		return errors.Join(
			putRevision(tx, revisionKey(2), []byte("/a"), []byte("1")),
			tx.Bucket([]byte("key")).Put(revisionKey(1_000_000_002), []byte{}),
			tx.Bucket([]byte("meta")).Put([]byte("scheduledCompactRev"), revisionKey(1_000_000_002)),
			tx.Bucket([]byte("alarm")).Put(alarm, nil),
			put(tx, "authUsers", "root", &authpb.User{Name: []byte("root"), Roles: []string{"root"}}),
			put(tx, "authRoles", "root", &authpb.Role{Name: []byte("root")}),
			raw(tx, "auth", "authRevision", "12345678"), raw(tx, "cluster", "clusterVersion", "3.6.0"), raw(tx, "cluster", "downgrade", `{"target-version":"","enabled":false}`),
			raw(tx, "members", "8e9e05c52164694d", `{"id":10276657743932975437,"peerURLs":["http://localhost:2380"],"name":"default"}`),
			raw(tx, "members_removed", "8e9e05c52164694e", "removed"), raw(tx, "meta", "storageVersion", "3.6.0"),
		)
	})
	r, err := newBench(t).verify(t.Context(), archive(t, withDigest(db), manifestA(1)))
	if err != nil || r.Keys != 1 || r.Revision != 1_000_000_002 {
		t.Errorf("%+v, %v; want 1 key at the raised revision", r, err)
	}
}
