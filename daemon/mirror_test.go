package daemon_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"etcd-rolling-backup/daemon"
	"etcd-rolling-backup/retention"
	"etcd-rolling-backup/snapshot"
)

var (
	errBucketDown = errors.New("bucket is down")
	errLocked     = errors.New("held by a lock")
)

// memBucket keeps sizes in memory. The real ones are tested in s3 and internal/e2e; this one fails on demand.
type memBucket struct {
	objects map[string]int64
	locked  map[string]bool
	whole   map[string][]byte // what some hold
	puts    []string
	budget  int // calls that still work; -1: all
}

func newMemBucket() *memBucket {
	return &memBucket{objects: map[string]int64{}, locked: map[string]bool{}, budget: -1}
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

func (b *memBucket) List(context.Context) ([]snapshot.Entry, error) {
	var out []snapshot.Entry
	for key, size := range b.objects {
		n, err := snapshot.ParseName(key)
		if err != nil {
			return nil, err
		}
		out = append(out, snapshot.Entry{Name: n, Size: size})
	}
	slices.SortFunc(out, func(x, y snapshot.Entry) int { return y.Name.Time.Compare(x.Name.Time) })
	return out, b.spend()
}

func (b *memBucket) PutArchive(ctx context.Context, n snapshot.Name, a *snapshot.Archive, _ func(done, total int64)) error {
	if err := b.spend(); err != nil {
		return err
	}
	err := a.VerifyChecksum(ctx)
	if err == nil {
		b.objects[n.String()] = a.Size
		b.puts = append(b.puts, n.String())
	}
	return err
}

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

// Tail gives the end of what was filled in whole, and fails of the rest.
func (b *memBucket) Tail(_ context.Context, n snapshot.Name) ([]byte, int64, error) {
	a, ok := b.whole[n.String()]
	if !ok {
		return nil, 0, errBucketDown
	}
	return a[max(0, len(a)-snapshot.TailSize):], int64(len(a)), nil
}

func (b *memBucket) Sweep(context.Context, func(snapshot.Name) bool, time.Duration) (int, error) {
	return 0, b.spend()
}

// oneSector is a member whose whole database is 512 random bytes.
type oneSector struct{}

func (oneSector) Source() snapshot.Source { return snapshot.Source{Revision: 7, Healthy: true} }

func (oneSector) Stream(_ context.Context, w io.Writer, _ func(int64)) error {
	db := make([]byte, 512)
	for i := range db {
		db[i] = byte(rand.Uint32())
	}
	sum := sha256.Sum256(db)
	_, err := w.Write(append(db, sum[:]...))
	return err
}

// archives makes a directory with one real archive, and gives it the names of the others.
func archives(t *testing.T, names ...snapshot.Name) *snapshot.Dir {
	t.Helper()
	dir := snapshot.NewDir(t.TempDir())
	taken, err := snapshot.Take(t.Context(), oneSector{}, dir, snapshot.TakeOptions{Set: "first", Node: "x", Stall: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	first := filepath.Join(dir.Path(), taken.Name.String())
	data, err := os.ReadFile(first)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(first); err != nil {
		t.Fatal(err)
	}
	for _, n := range names {
		if err := os.WriteFile(filepath.Join(dir.Path(), n.String()), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

var midnight = time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC)

// hourly names a rolling snapshot of the node for each hour after midnight.
func hourly(t *testing.T, node string, of ...int) []snapshot.Name {
	t.Helper()
	var out []snapshot.Name
	for _, h := range of {
		out = append(out, name(t, snapshot.RollingSet, node, midnight.Add(time.Duration(h)*time.Hour)))
	}
	return out
}

func (b *memBucket) fill(names ...snapshot.Name) {
	for _, n := range names {
		b.objects[n.String()] = 1
	}
}

func mirrorOptions(keep int) daemon.MirrorOptions {
	return daemon.MirrorOptions{
		Node: node, Policy: retention.Policy{Last: keep}, Locked: func(err error) bool { return errors.Is(err, errLocked) },
	}
}

var today = midnight.Add(48 * time.Hour)

func (b *memBucket) has(t *testing.T, want ...snapshot.Name) {
	t.Helper()
	var texts, got []string
	for _, n := range want {
		texts = append(texts, n.String())
	}
	for key := range b.objects {
		got = append(got, key)
	}
	slices.Sort(texts)
	slices.Sort(got)
	if !slices.Equal(got, texts) {
		t.Errorf("the bucket holds\n%q\nwant\n%q", got, texts)
	}
}

func TestMirrorBringsWhatIsMissingNewestFirstAndPrunesTheRest(t *testing.T) {
	manual := name(t, "before-upgrade", node, midnight)
	dir := archives(t, append(hourly(t, node, 1, 2, 3, 4, 5), manual)...)
	b := newMemBucket()
	others := append(hourly(t, "node-a-b", 1, 2, 3, 4, 5), name(t, "manual", node, midnight.Add(-time.Hour)))
	b.fill(append(others, hourly(t, node, 0)...)...)
	done, err := daemon.Mirror(t.Context(), dir, b, mirrorOptions(3), today)
	if err != nil {
		t.Fatal(err)
	}
	want := append(hourly(t, node, 5, 4, 3), manual)
	b.has(t, append(others, want...)...)
	if !slices.Equal(done.Uploaded, want) || len(done.Removed) != 1 || done.Waiting != 0 {
		t.Errorf("done: %+v", done)
	}
	b.puts = nil
	if again, err := daemon.Mirror(t.Context(), dir, b, mirrorOptions(3), today); err != nil || len(b.puts)+len(again.Removed) != 0 {
		t.Errorf("a second pass did %+v, %v", again, err)
	}
}

func TestMirrorPrunesNothingBeforeTheNewestArrived(t *testing.T) {
	dir := archives(t, hourly(t, node, 5)...)
	b := newMemBucket()
	b.fill(hourly(t, node, 1, 2, 3)...)
	b.budget = 1 // the list
	done, err := daemon.Mirror(t.Context(), dir, b, mirrorOptions(1), today)
	if !errors.Is(err, errBucketDown) || done.Waiting != 1 || !done.Listed {
		t.Errorf("%+v, %v", done, err)
	}
	b.budget = 0
	if done, err := daemon.Mirror(t.Context(), dir, b, mirrorOptions(1), today); !errors.Is(err, errBucketDown) || done.Listed {
		t.Errorf("%+v, %v", done, err)
	}
	b.has(t, hourly(t, node, 1, 2, 3)...)
}

func TestMirrorPassesOverADamagedFile(t *testing.T) {
	dir := archives(t, hourly(t, node, 1, 2, 3)...)
	path := filepath.Join(dir.Path(), hourly(t, node, 3)[0].String())
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	data[20] ^= 1
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	b := newMemBucket()
	b.fill(hourly(t, node, 0)...)
	o, e := mirrorOptions(3), &ears{origin: today}
	o.Recorder = e
	done, err := daemon.Mirror(t.Context(), dir, b, o, today)
	if !errors.Is(err, snapshot.ErrDamaged) || done.Waiting != 1 {
		t.Errorf("%+v, %v", done, err)
	}
	told := fmt.Sprintf("damaged local 0s %q ", filepath.Base(path))
	if !slices.ContainsFunc(e.heard, func(s string) bool { return strings.HasPrefix(s, told) }) {
		t.Errorf("heard %q, want %q", e.heard, told)
	}
	b.has(t, hourly(t, node, 0, 1, 2)...) // the newest is not there: nothing goes
}

func TestMirrorPutsAnObjectOfAnotherSizeAnew(t *testing.T) {
	dir := archives(t, hourly(t, node, 1)...)
	b := newMemBucket()
	b.fill(hourly(t, node, 1)...)
	if done, err := daemon.Mirror(t.Context(), dir, b, mirrorOptions(1), today); err != nil || len(done.Uploaded) != 1 {
		t.Errorf("%+v, %v", done, err)
	}
}

func TestMirrorRespectsLocksAndCountsThem(t *testing.T) {
	dir := archives(t, hourly(t, node, 5)...)
	b := newMemBucket()
	b.fill(hourly(t, node, 1, 2)...)
	b.locked[hourly(t, node, 1)[0].String()] = true
	done, err := daemon.Mirror(t.Context(), dir, b, mirrorOptions(1), today)
	if err != nil || done.Locked != 1 || len(done.Removed) != 1 {
		t.Errorf("%+v, %v", done, err)
	}
	b.has(t, hourly(t, node, 1, 5)...)
}

func TestMirrorRemovesOrphansButTheNewestOfEachNode(t *testing.T) {
	for _, after := range []time.Duration{0, 40 * time.Hour, 44 * time.Hour} {
		t.Run(fmt.Sprint(after), func(t *testing.T) {
			b := newMemBucket()
			gone, living := hourly(t, "gone", 1, 2, 5), hourly(t, "living", 1, 45)
			manual := name(t, "manual", "gone", midnight)
			b.fill(slices.Concat(gone, living, []snapshot.Name{manual})...)
			o := mirrorOptions(1)
			o.OrphanAfter = after
			if _, err := daemon.Mirror(t.Context(), archives(t), b, o, today); err != nil {
				t.Fatal(err)
			}
			if after == 40*time.Hour { // the newest is 43 hours old
				gone = gone[2:]
			}
			b.has(t, slices.Concat(gone, living, []snapshot.Name{manual})...)
		})
	}
}

// However often the bucket fails and wherever, the mirror converges once it works, never without the newest of what was
// there, and never touches another node's snapshots.
func TestMirrorConverges(t *testing.T) {
	all := hourly(t, node, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9)
	foreign := hourly(t, "other", 0, 1, 2)
	rapid.Check(t, func(rt *rapid.T) {
		keep := rapid.IntRange(1, 6).Draw(rt, "keep")
		b := newMemBucket()
		b.fill(foreign...)
		count := 0
		for i := range rapid.IntRange(1, 5).Draw(rt, "cycles") {
			count = min(len(all), count+rapid.IntRange(1, 3).Draw(rt, "new"))
			dir := archives(t, all[:count]...)
			before := newestOf(b)
			b.budget = rapid.IntRange(0, 8).Draw(rt, fmt.Sprint("budget", i))
			if _, err := daemon.Mirror(t.Context(), dir, b, mirrorOptions(keep), today); err != nil && !errors.Is(err, errBucketDown) {
				rt.Fatal(err)
			}
			if after := newestOf(b); after.Before(before) {
				rt.Fatalf("the newest in the bucket went from %s to %s", before, after)
			}
		}
		b.budget = -1
		if _, err := daemon.Mirror(t.Context(), archives(t, all[:count]...), b, mirrorOptions(keep), today); err != nil {
			rt.Fatal(err)
		}
		b.has(t, append(slices.Clone(foreign), all[max(0, count-keep):count]...)...)
	})
}

func newestOf(b *memBucket) time.Time {
	var newest time.Time
	for key := range b.objects {
		if n, err := snapshot.ParseName(key); err == nil && n.Rolling(node) && n.Time.After(newest) {
			newest = n.Time
		}
	}
	return newest
}

// stubborn is a bucket in which some objects can't be removed.
type stubborn struct {
	*memBucket
	stays map[string]bool
	tried int
}

func (b *stubborn) Remove(ctx context.Context, n snapshot.Name) error {
	b.tried++
	if b.stays[n.String()] {
		return fmt.Errorf("remove %s: %w", n, errBucketDown)
	}
	return b.memBucket.Remove(ctx, n)
}

func TestMirrorGivesOneErrorForWhatItCannotRemove(t *testing.T) {
	names := hourly(t, node, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0)
	for name, tc := range map[string]struct{ stay, tried, left int }{
		"one":  {1, 9, 2},
		"two":  {2, 9, 3},
		"all":  {9, 3, 10},
		"none": {0, 9, 1},
	} {
		t.Run(name, func(t *testing.T) {
			b := &stubborn{memBucket: newMemBucket(), stays: map[string]bool{}}
			b.fill(names...)
			for _, n := range names[1:][:tc.stay] {
				b.stays[n.String()] = true
			}
			_, err := daemon.Mirror(t.Context(), archives(t), b, mirrorOptions(1), today)
			if (err != nil) != (tc.stay > 0) || err != nil && strings.Count(err.Error(), "remove") != 1 {
				t.Errorf("error: %v", err)
			}
			if b.tried != tc.tried || len(b.objects) != tc.left {
				t.Errorf("%d removals tried and %d objects left, want %d and %d", b.tried, len(b.objects), tc.tried, tc.left)
			}
		})
	}
}
