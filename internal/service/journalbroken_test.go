package service

import (
	"os"
	"path/filepath"
	"testing"

	"etcd-rolling-backup/internal/etcdtest"
)

// Somebody removes a segment while the daemon runs. What follows it can't be restored, so a new snapshot is taken, from which the journal goes on.
func TestJournalAsksForASnapshotWhereASegmentWasRemoved(t *testing.T) {
	b := newJournalBed(t, etcdtest.Options{UnsafeNoFsync: true})
	client := etcdtest.Dial(t, b.cluster)
	b.start()
	b.waitForBases(1)
	for n := 1; n <= 3; n++ {
		puts(t, client, 5)
		b.reaches(client)
		eventually(t, func() bool { return len(b.segments()) >= n })
	}
	for i, removed := range []int{0, 1} { // the first one behind the snapshot, and a later one
		before := b.segments()
		at := 0
		for before[at].Last <= b.bases()[i] {
			at++
		}
		must(t, os.Remove(filepath.Join(b.dir.Path(), before[at+removed].String())))
		puts(t, client, 5)
		b.waitForBases(i + 2)
		n := len(b.segments())
		eventually(t, func() bool { // several are behind the new one
			puts(t, client, 5)
			b.reaches(client)
			return len(b.segments()) >= n+3
		})
	}
	head := b.reaches(client)
	b.stop()
	if n := b.lines("journal interrupted"); n > 0 {
		t.Errorf("it was interrupted %d times", n)
	}
	b.wantAll(client, b.bases()[2], head)
}
