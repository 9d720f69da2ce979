package mirror_test

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"etcd-rolling-backup/daemon/mirror"
	"etcd-rolling-backup/daemon/status"
	"etcd-rolling-backup/retention"
	"etcd-rolling-backup/snapshot"
)

const (
	node    = "node-a"
	cluster = snapshot.ID(0xa)
)

var (
	errBucketDown = errors.New("bucket is down")
	errLocked     = errors.New("held by a lock")

	midnight = time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC)
	today    = midnight.Add(23 * time.Hour)
)

// memBucket keeps objects in memory. The real ones are tested in s3 and internal/e2e; this one fails on demand.
type memBucket struct {
	tailing sync.Mutex // several ends are read at a time
	objects map[string][]byte
	locked  map[string]bool
	untold  map[string]error // what reading the end of one gives
	puts    []string
	tails   []string
	listed  [][]string                  // the prefixes of each listing
	before  func(n snapshot.Name) error // runs when an archive was given
	budget  int                         // calls that still work; -1: all
}

func newBucket() *memBucket {
	return &memBucket{objects: map[string][]byte{}, locked: map[string]bool{}, untold: map[string]error{}, budget: -1}
}

// fill puts archives there that are as large as those of the directory.
func (b *memBucket) fill(t *testing.T, names ...snapshot.Name) *memBucket {
	t.Helper()
	data := usual(t)
	for _, n := range names {
		b.objects[n.String()] = data
	}
	return b
}

func (b *memBucket) spend() error {
	if b.budget == 0 {
		return errBucketDown
	}
	if b.budget > 0 {
		b.budget--
	}
	return nil
}

// List implements mirror.Bucket.
func (b *memBucket) List(_ context.Context, prefixes ...string) ([]snapshot.Entry, error) {
	var out []snapshot.Entry
	b.listed = append(b.listed, prefixes)
	for key, data := range b.objects {
		if len(prefixes) > 0 && !slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(key, p) }) {
			continue
		}
		n, err := snapshot.ParseName(key)
		if err != nil {
			return nil, err
		}
		out = append(out, snapshot.Entry{Name: n, Size: int64(len(data))})
	}
	slices.SortFunc(out, snapshot.NewestFirst)
	return out, b.spend()
}

// PutArchive implements mirror.Bucket.
func (b *memBucket) PutArchive(ctx context.Context, n snapshot.Name, a *snapshot.Archive, replace bool, progress func(done, total int64)) error {
	b.puts = append(b.puts, n.String())
	if b.before != nil {
		if err := b.before(n); err != nil {
			return err
		}
	}
	if err := b.spend(); err != nil {
		return err
	}
	if err := a.VerifyChecksum(ctx); err != nil {
		return err
	}
	data, err := io.ReadAll(io.NewSectionReader(a, 0, a.Size))
	if there, ok := b.objects[n.String()]; ok && !replace {
		if !bytes.Equal(there, data) {
			return snapshot.ErrExists
		}
		return err
	}
	progress(a.Size, a.Size)
	b.objects[n.String()] = data
	return err
}

// Remove implements mirror.Bucket.
func (b *memBucket) Remove(_ context.Context, n snapshot.Name) error {
	if err := b.spend(); err != nil {
		return err
	}
	if b.locked[n.String()] {
		return errLocked
	}
	delete(b.objects, n.String())
	return nil
}

// Tail implements mirror.Bucket.
func (b *memBucket) Tail(_ context.Context, n snapshot.Name) ([]byte, int64, error) {
	b.tailing.Lock()
	defer b.tailing.Unlock()
	b.tails = append(b.tails, n.String())
	if err := errors.Join(b.spend(), b.untold[n.String()]); err != nil {
		return nil, 0, err
	}
	data := b.objects[n.String()]
	return data[max(0, len(data)-snapshot.TailSize):], int64(len(data)), nil
}

// Sweep implements mirror.Bucket.
func (b *memBucket) Sweep(context.Context, []string, func(snapshot.Name) bool, time.Duration) (int, error) {
	return 0, b.spend()
}

func (b *memBucket) wantHolds(t *testing.T, want ...snapshot.Name) {
	t.Helper()
	var got []string
	for key := range b.objects {
		got = append(got, key)
	}
	wantNames(t, "the bucket holds", got, want)
}

// wantNames compares without regard to the order.
func wantNames(t *testing.T, what string, got []string, want []snapshot.Name) {
	t.Helper()
	got, texts := slices.Sorted(slices.Values(got)), textsOf(want)
	slices.Sort(texts)
	if !slices.Equal(got, texts) {
		t.Errorf("%s\n%q, want\n%q", what, got, texts)
	}
}

func textsOf(names []snapshot.Name) []string {
	var out []string
	for _, n := range names {
		out = append(out, n.String())
	}
	return out
}

// member is an etcd whose database is so many sectors of random bytes.
type member struct {
	sectors  int
	revision int64
	cluster  snapshot.ID // 0: the usual one
	id       snapshot.ID

	predecessors []snapshot.ID
}

func (m member) Source() snapshot.Source {
	return snapshot.Source{ClusterID: cmp.Or(m.cluster, cluster), MemberID: m.id, Predecessors: m.predecessors, Revision: m.revision, Healthy: true}
}

func (m member) Stream(_ context.Context, w io.Writer, _ func(int64)) error {
	db := make([]byte, 512*m.sectors)
	for i := range db {
		db[i] = byte(rand.Uint32())
	}
	sum := sha256.Sum256(db)
	_, err := w.Write(append(db, sum[:]...))
	return err
}

// archiveOf is one of another cluster, with 4 sectors; its size differs from the usual one's by a few bytes.
func archiveOf(t *testing.T, id snapshot.ID, predecessors ...snapshot.ID) []byte {
	t.Helper()
	return taken(t, member{sectors: 4, revision: 7, cluster: id, predecessors: predecessors}, false)
}

// archive is one of a database with so many sectors and this revision.
func archive(t *testing.T, sectors int, revision int64, localOnly bool) []byte {
	t.Helper()
	return taken(t, member{sectors: sectors, revision: revision}, localOnly)
}

func taken(t *testing.T, m member, localOnly bool) []byte {
	t.Helper()
	dir := snapshot.NewDir(t.TempDir())
	o := snapshot.TakeOptions{Set: "any", Node: "x", LocalOnly: localOnly, Stall: time.Minute}
	taken, err := snapshot.Take(t.Context(), m, dir, o)
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(dir.Path(), taken.Name.String()))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

var usualArchive []byte

// usual is the archive that most names have here: a database of 4 sectors at revision 7.
func usual(t *testing.T) []byte {
	t.Helper()
	if usualArchive == nil { // no test is parallel
		usualArchive = archive(t, 4, 7, false)
	}
	return usualArchive
}

// directory is one with archives of these names.
func directory(t *testing.T, names ...snapshot.Name) *snapshot.Dir {
	t.Helper()
	dir := snapshot.NewDir(t.TempDir())
	for _, n := range names {
		put(t, dir, n, usual(t))
	}
	return dir
}

func put(t *testing.T, dir *snapshot.Dir, n snapshot.Name, data []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir.Path(), n.String()), data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// damaged is data with one byte changed in the part that holds the database.
func damaged(data []byte) []byte {
	data = slices.Clone(data)
	data[20] ^= 1
	return data
}

func name(t *testing.T, set, node string, at time.Time) snapshot.Name {
	t.Helper()
	n, err := snapshot.NewName(set, node, at)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// hourly names a rolling snapshot of the node for each hour after midnight.
func hourly(t *testing.T, node string, of ...int) []snapshot.Name {
	t.Helper()
	var out []snapshot.Name
	for _, h := range of {
		out = append(out, name(t, snapshot.RollingSet, node, midnight.Add(time.Duration(h)*time.Hour)))
	}
	return out
}

func options(keep int) mirror.Options {
	return mirror.Options{
		Node: node, Policy: retention.Policy{Last: keep}, Lineage: func() snapshot.Lineage { return snapshot.Lineage{Cluster: cluster} }, Locked: func(err error) bool { return errors.Is(err, errLocked) },
	}
}

// tracker is a status whose mirror has begun a pass today.
func tracker() *status.Tracker {
	s := status.New(status.Options{Mirror: true, Now: func() time.Time { return today }})
	s.Begin(status.Mirror, today)
	return s
}
