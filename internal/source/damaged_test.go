package source

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/internal/history"
	"etcd-rolling-backup/internal/storetest"
	"etcd-rolling-backup/snapshot"
)

// spoil damages the manifest of the segment with these revisions.
func (b *momentBed) spoil(revisions string) {
	b.Helper()
	path := b.segmentFile(revisions)
	data, err := os.ReadFile(path)
	if err != nil {
		b.Fatal(err)
	}
	data[len(data)-20] ^= 0xff
	if err := os.WriteFile(path, data, 0o600); err != nil {
		b.Fatal(err)
	}
}

func (b *momentBed) segmentFile(revisions string) string {
	b.Helper()
	found, err := filepath.Glob(filepath.Join(b.dir, "journal_n1_*_"+revisions+".jnl.zst"))
	if err != nil || len(found) != 1 {
		b.Fatalf("%q, %v", found, err)
	}
	return found[0]
}

// What can't be read stays so, also if it was read before to find the histories.
func TestDamagedSegmentEndsTheJournal(t *testing.T) {
	for name, harm := range map[string]func(b *momentBed){
		"damaged": func(b *momentBed) { b.spoil("821-830") },
		"of another name": func(b *momentBed) {
			from := b.segmentFile("821-830")
			if err := os.Rename(from, strings.Replace(from, "821-830", "821-835", 1)); err != nil {
				b.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newMomentBed(t)
			b.segment("n1", newCluster, -time.Hour, 700, 750)
			b.segment("n1", newCluster, time.Minute, 806, 810)
			b.segment("n1", newCluster, 2*time.Minute, 811, 820)
			b.segment("n1", newCluster, 3*time.Minute, 821, 830)
			harm(b)
			for _, reference := range []string{snapshot.Latest, b.base.String()} {
				o, _, err := b.opened(reference, "latest")
				if err != nil {
					t.Fatal(err)
				}
				if c := o.Journal; c == nil || c.Revision != 820 || c.Beyond < 830 {
					t.Errorf("%s is continued by %+v", reference, c)
				}
				if _, _, err := b.opened(reference, "822"); err == nil {
					t.Errorf("%s leads to a revision of the damaged segment", reference)
				}
			}
		})
	}
}

// A moment is reached from the snapshot before one that has lost its manifest.
func TestMomentIsReachedWithoutADamagedSnapshot(t *testing.T) {
	b := newMomentBed(t)
	b.segment("n1", newCluster, time.Minute, 806, 820)
	b.segment("n1", newCluster, time.Hour+time.Minute, 821, 830) // an hour later, after the damaged one
	newest := storetest.Name(t, snapshot.RollingSet, "n1", 1)
	b.write(newest.String(), storetest.ArchiveAt(t, newest, newCluster, 820)[:300])
	for at, want := range map[string]int64{"815": 815, "825": 825, "latest": 830} {
		o, notices, err := b.opened(snapshot.Latest, at)
		if err != nil {
			t.Errorf("--at %s: %v", at, err)
			continue
		}
		if o.Journal == nil || o.Journal.Revision != want || o.Snapshot != b.base || !strings.Contains(notices, newest.String()) || !strings.Contains(notices, "trying without it") {
			t.Errorf("--at %s: %s, continued by %+v, %q", at, o.Snapshot, o.Journal, notices)
		}
	}
	if _, _, err := b.opened(newest.String(), "825"); !errors.Is(err, snapshot.ErrDamaged) {
		t.Errorf("the damaged one by name: %v", err)
	}
}

// The newest state is not that of a snapshot that the journal can't continue, if the journal behind another one goes on until later. Where it does not, the
// snapshot is opened as it is, and what the others have is said.
func TestNewestStateWithoutTheNewestSnapshotsManifest(t *testing.T) {
	newest := storetest.Name(t, snapshot.RollingSet, "n1", 1) // an hour after the first one
	for name, damage := range map[string]func(whole []byte) []byte{
		"its end is cut off": func(whole []byte) []byte { return whole[:len(whole)-5] },
		"half of it":         func(whole []byte) []byte { return whole[:len(whole)/2] },
		"empty":              func([]byte) []byte { return nil },
	} {
		for _, gap := range []bool{false, true} {
			t.Run(fmt.Sprint(name, ", gap ", gap), func(t *testing.T) {
				b := newMomentBed(t)
				b.segment("n1", newCluster, 10*time.Second, 806, 812)
				if !gap {
					b.segment("n1", newCluster, 30*time.Second, 813, 820)
				}
				b.segment("n1", newCluster, time.Hour+time.Minute, 821, 830)
				b.write(newest.String(), damage(storetest.ArchiveAt(t, newest, newCluster, 820)))
				for _, at := range []string{"", "latest"} {
					o, notices, err := b.opened(snapshot.Latest, at)
					switch {
					case !gap:
						if err != nil || o.Snapshot != b.base || o.Journal == nil || o.Journal.Revision != 830 || !strings.Contains(notices, newest.String()) {
							t.Errorf("--at %q: %+v, %v, %q", at, o, err, notices)
						}
					case at == "latest":
						if !errors.Is(err, snapshot.ErrDamaged) || !strings.Contains(err.Error(), "--at 812 restores that") {
							t.Errorf("--at %q behind a gap: %v", at, err)
						}
					case err != nil || o.Snapshot != newest || o.Journal != nil || !strings.Contains(notices, "the journal can't continue it") || !strings.Contains(notices, "--at 812 restores that"):
						t.Errorf("behind a gap: %+v, %v, %q", o, err, notices)
					}
				}
				if o, _, err := b.opened(snapshot.Latest, "812"); err != nil || o.Journal.Revision != 812 {
					t.Errorf("what was proposed: %v", err)
				}
				if _, _, err := b.opened(newest.String(), "latest"); !errors.Is(err, snapshot.ErrDamaged) || !strings.Contains(err.Error(), "without its name") {
					t.Errorf("by name: %v", err)
				}
			})
		}
	}
}

// A revision that a refusal proposes can be restored: a segment with an altered record ends the journal before it.
func TestRefusalProposesWhatIsIntact(t *testing.T) {
	b := newMomentBed(t)
	b.segment("n1", newCluster, time.Minute, 806, 810)
	b.segment("n1", newCluster, 2*time.Minute, 811, 820)
	b.segment("n1", newCluster, 3*time.Minute, 830, 840)
	path := b.segmentFile("811-820")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	data[100] ^= 0xff
	b.write(filepath.Base(path), data)
	for _, at := range []string{"835", "900", b.after(3*time.Minute + time.Second)} {
		_, notices, err := b.opened(snapshot.Latest, at)
		if !errors.Is(err, ErrMoment) || !strings.Contains(err.Error(), "--at 810 restores") || !strings.Contains(notices, "811-820") {
			t.Errorf("--at %s: %v, %q", at, err, notices)
		}
	}
	if o, _, err := b.opened(snapshot.Latest, "810"); err != nil || o.Journal.Revision != 810 {
		t.Errorf("what was proposed: %v", err)
	}
}

// Where the first segment behind the newest snapshot is missing, the snapshot alone is not the newest state that is recorded.
func TestNewestSnapshotBeforeAGapIsNotCalledTheEnd(t *testing.T) {
	b := newMomentBed(t)
	b.segment("n1", newCluster, 2*time.Minute, 811, 820)
	for _, at := range []string{"", "latest"} {
		o, _, err := b.opened(snapshot.Latest, at)
		if err != nil {
			t.Fatal(err)
		}
		if c := o.Journal; c == nil || c.Revision != baseRevision || c.Beyond != 820 {
			t.Errorf("--at %q: continued by %+v", at, c)
		}
	}
	_, _, err := b.opened(snapshot.Latest, b.after(time.Hour))
	if err == nil || !strings.Contains(err.Error(), "--at 805 restores the last revision before it") || strings.Contains(err.Error(), "--at 820") {
		t.Errorf("after the end: %v", err)
	}
}

// A row of which nothing can be read may be of any cluster: it shows no restore.
func TestUnreadableSegmentIsNoRestore(t *testing.T) {
	b := newMomentBed(t)
	before := storetest.Name(t, snapshot.RollingSet, "n1", -2)
	b.segment("n1", newCluster, -2*time.Hour, 701, 750)
	b.segment("n1", newCluster, -time.Hour, 780, 790)
	b.segment("n1", newCluster, time.Minute, 806, 820)
	b.spoil("780-790")
	all := b.ranges(map[snapshot.Name]history.Snapshot{before: {Cluster: newCluster, Revision: 700}, b.base: {Cluster: newCluster, Revision: baseRevision}})
	for _, r := range all {
		if r.Restored || (r.Err != nil) != (r.First == 780) {
			t.Errorf("%d-%d: restored %t, %v", r.First, r.Last, r.Restored, r.Err)
		}
	}
	if len(all) != 3 {
		t.Errorf("%d rows", len(all))
	}
}

// The highest revision is not lower because something can't be read, or does not say its cluster.
func TestHighestRevisionCountsWhatCannotBeRead(t *testing.T) {
	b := newMomentBed(t)
	b.segment("n1", newCluster, -time.Hour, 7_000_000_000, 7_000_000_010)
	b.spoil("7000000000-7000000010")
	raw := filepath.Join(t.TempDir(), "old.db")
	if err := os.WriteFile(raw, []byte("not an archive"), 0o600); err != nil {
		t.Fatal(err)
	}
	for reference, want := range map[string]int64{snapshot.Latest: 7_000_000_010, raw: 5_000_000_000} {
		o, err := Open(t.Context(), Request{
			Reference: reference, Dir: b.dir, At: &config.At{Base: true}, FindHighest: true, Replaced: Replaced{newCluster, 5_000_000_000},
		})
		if err != nil {
			t.Fatal(err)
		}
		if o.Highest != want {
			t.Errorf("%s: %d, not %d", reference, o.Highest, want)
		}
		_ = o.File.Close() // it was only read
	}
}
