package snapshot_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.etcd.io/bbolt"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/server/v3/lease/leasepb"
	"google.golang.org/protobuf/proto"

	"etcd-rolling-backup/snapshot"
)

// messageSize is that of etcd's snapshot stream.
const messageSize = 32 << 10

var seed = flag.Uint64("seed", 0, "seed of the random damage, as a failed run logged it")

func TestMain(m *testing.M) {
	flag.Parse()
	if dir := os.Getenv(holdEnv); dir != "" {
		os.Exit(holdPartial(dir))
	}
	os.Exit(m.Run())
}

// random uses another seed in each run; repeat a failure with -seed.
func random(t testing.TB) *rand.Rand {
	t.Helper()
	s := *seed
	if s == 0 {
		s = rand.Uint64()
	}
	t.Logf("go test -seed %d", s)
	return rand.New(rand.NewPCG(s, 0))
}

// keysIn returns how many keys exist in an etcdDatabase with that many revisions.
func keysIn(revisions int) int { return min(revisions, keyRing) }

// keyRing is the number of keys that an etcdDatabase writes in turn.
const keyRing = 1000

// etcdDatabase builds a database like etcd 3.6, with revisions 2 to revisions+1: the same buckets, keys and values, no free list
// on disk, free pages in between.
func etcdDatabase(t testing.TB, revisions int) []byte {
	t.Helper()
	return database(t, asEtcd(), etcdBuckets, func(tx *bbolt.Tx) error {
		r := rand.New(rand.NewPCG(1, 2))
		for i := range revisions {
			key := fmt.Appendf(nil, "/registry/configmaps/default/config-%d", i%keyRing)
			if err := putRevision(tx, revisionKey(int64(i)+2), key, partlyRandom(r, 1+r.IntN(600))); err != nil {
				return err
			}
			if i%10 == 0 {
				text, err := proto.Marshal(&leasepb.Lease{ID: r.Int64(), TTL: r.Int64()})
				if err := errors.Join(err, tx.Bucket([]byte("lease")).Put(partlyRandom(r, 8), text)); err != nil {
					return err
				}
			}
		}
		return tx.Bucket([]byte("meta")).Put([]byte("consistent_index"), binary.BigEndian.AppendUint64(nil, uint64(revisions)+7))
	})
}

// etcdBuckets makes the buckets of etcd's backend.
func etcdBuckets(tx *bbolt.Tx) error {
	for _, name := range []string{
		"alarm", "auth", "authRoles", "authUsers", "cluster", "key", "lease", "members", "members_removed", "meta",
	} {
		if _, err := tx.CreateBucketIfNotExists([]byte(name)); err != nil {
			return err
		}
	}
	return nil
}

// putRevision writes an entry of etcd's bucket "key".
func putRevision(tx *bbolt.Tx, revision, key, value []byte) error {
	text, err := proto.Marshal(&mvccpb.KeyValue{Key: key, Value: value, Version: 1})
	if err != nil {
		return err
	}
	return tx.Bucket([]byte("key")).Put(revision, text)
}

// database gives the bytes of a bbolt database that fills wrote, one transaction each, with free pages in between.
func database(t testing.TB, o *bbolt.Options, fills ...func(*bbolt.Tx) error) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "db")
	db, err := bbolt.Open(path, 0o600, o)
	must(t, err)
	must(t, db.Update(func(tx *bbolt.Tx) error {
		b, err := tx.CreateBucket([]byte("gone"))
		if err != nil {
			return err
		}
		return b.Put([]byte("page"), make([]byte, 10_000))
	}))
	for _, fill := range fills {
		must(t, db.Update(fill))
	}
	must(t, db.Update(func(tx *bbolt.Tx) error { return tx.DeleteBucket([]byte("gone")) }))
	var out bytes.Buffer
	must(t, db.View(func(tx *bbolt.Tx) error {
		_, err := tx.WriteTo(&out)
		return err
	}))
	must(t, db.Close())
	return out.Bytes()
}

// revisionKey is the key of etcd's bucket "key": main and sub revision.
func revisionKey(main int64) []byte {
	b := binary.BigEndian.AppendUint64(nil, uint64(main))
	return append(append(b, '_'), make([]byte, 8)...)
}

// partlyRandom returns n bytes that zstd compresses to about half.
func partlyRandom(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		if b[i] = 'a' + byte(i%16); i%16 < 8 {
			b[i] = byte(r.Uint32())
		}
	}
	return b
}

// withDigest returns what etcd sends for a database.
func withDigest(db []byte) []byte {
	sum := sha256.Sum256(db)
	return append(bytes.Clone(db), sum[:]...)
}

// nameA is the name of the tests' snapshots.
func nameA() snapshot.Name {
	return snapshot.Name{Set: snapshot.RollingSet, Node: "node-a", Time: time.Date(2026, 11, 21, 22, 0, 0, 0, time.UTC)}
}

// manifestA is a manifest of nameA as Take leaves it to Finish.
func manifestA(revision int64) snapshot.Manifest {
	n := nameA()
	return snapshot.Manifest{
		Name: n.String(), CreatedAt: n.Time, Node: n.Node, ToolVersion: "test", Source: sourceA(revision),
	}
}

func sourceA(revision int64) snapshot.Source {
	return snapshot.Source{
		ClusterID: 0xcdf818194e3a8c32, MemberID: 0x8e9e05c52164694d,
		Members: []snapshot.Member{{
			ID: 0x8e9e05c52164694d, Name: "a", PeerURLs: []string{"https://10.0.0.1:2380"}, ClientURLs: []string{"https://10.0.0.1:2379"},
		}},
		Revision: revision, RaftTerm: 3, RaftIndex: 1234, EtcdVersion: "3.6.4", StorageVersion: "3.6.0", Healthy: true,
	}
}

// archive packs what etcd sent.
func archive(t testing.TB, raw []byte, m snapshot.Manifest) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := snapshot.NewWriter(&out)
	must(t, err)
	must(t, inMessages(w, raw, messageSize))
	_, err = w.Finish(m)
	must(t, err)
	return out.Bytes()
}

// inMessages writes b in pieces of n bytes, the last one shorter.
func inMessages(w io.Writer, b []byte, n int) error {
	for len(b) > 0 {
		piece := b[:min(n, len(b))]
		if _, err := w.Write(piece); err != nil {
			return err
		}
		b = b[len(piece):]
	}
	return nil
}

// unpack reads an archive to its end, which verifies it.
func unpack(r io.ReaderAt, size int64) ([]byte, error) {
	a, err := snapshot.OpenArchive(r, size)
	if err != nil {
		return nil, err
	}
	raw, err := a.Raw()
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(raw)
	if err != nil {
		return nil, err
	}
	return b, raw.Close()
}

// bench is a file for one archive after the other, for Verify.
type bench struct {
	file     *os.File
	scratch  *snapshot.Dir
	minFree  int64
	progress func(done, total int64)
}

func newBench(t testing.TB) *bench {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "archive"))
	must(t, err)
	t.Cleanup(func() { must(t, f.Close()) })
	return &bench{file: f, scratch: snapshot.NewDir(t.TempDir())}
}

// verify puts the archive into the file and lets Verify read it.
func (b *bench) verify(ctx context.Context, archive []byte) (snapshot.Report, error) {
	if err := b.file.Truncate(0); err != nil {
		return snapshot.Report{}, err
	}
	if _, err := b.file.WriteAt(archive, 0); err != nil {
		return snapshot.Report{}, err
	}
	return verify(ctx, b.file, b.scratch, b.minFree, b.progress)
}

// verify unpacks the database into an anonymous temporary file.
func verify(ctx context.Context, f *os.File, scratch *snapshot.Dir, minFree int64, progress func(done, total int64)) (snapshot.Report, error) {
	db, err := scratch.Scratch()
	if err != nil {
		return snapshot.Report{}, err
	}
	return snapshot.Verify(ctx, f, db, scratch, minFree, progress)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
