package journal_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"etcd-rolling-backup/internal/etcdtest"
	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/journal"
)

// The disk fills while the database is written, early or late, with and without a compaction: that is said, it is no damage, and the merge ends.
func TestMergeReportsAFullDisk(t *testing.T) {
	b := newBed(t, etcdtest.Options{UnsafeNoFsync: true})
	values := func() {
		for i := range 200 {
			_, err := b.client.Put(t.Context(), fmt.Sprint("key-", i%150), strings.Repeat("v", 100_000))
			must(t, err)
		}
	}
	values()
	b.record(0)
	base, from := b.base()
	info, err := os.Stat(base)
	must(t, err)
	values()
	b.waitFor(b.head())
	whole := open(t, b.store, journal.Follow(b.names(), from))
	b.compact(b.head() - 180)
	written := open(t, b.store, journal.Follow(b.names(), from))
	b.compact(b.head() - 20)
	must(t, b.stop())
	compacted := open(t, b.store, journal.Follow(b.names(), from))
	merge := func(chain []*journal.Segment, more int64) error {
		disk := t.TempDir()
		must(t, unix.Mount("tmpfs", disk, "tmpfs", 0, fmt.Sprintf("size=%d,mode=0700", info.Size()+more)))
		_, err := journal.Merge(t.Context(), copied(t, base, disk), chain, 0)
		return errors.Join(err, unix.Unmount(disk, 0))
	}
	for name, chain := range map[string][]*journal.Segment{"whole": whole, "compacted early": written} {
		for _, more := range []int64{64 << 10, 1 << 20, 4 << 20, 8 << 20} {
			if err := merge(chain, more); !errors.Is(err, syscall.ENOSPC) || errors.Is(err, snapshot.ErrDamaged) {
				t.Errorf("%s, with room for %d bytes more than the snapshot: %v", name, more, err)
			}
		}
	}
	if err := merge(compacted, 64<<10); err != nil {
		t.Errorf("what the compaction removes makes no room: %v", err)
	}
}
