package journal_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
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
	values()
	b.waitFor(b.head())
	whole := open(t, b.store, journal.Follow(b.names(), from))
	b.compact(b.head() - 20)
	must(t, b.stop())
	compacted := open(t, b.store, journal.Follow(b.names(), from))
	for name, chain := range map[string][]*journal.Segment{"whole": whole, "compacted": compacted} {
		for _, size := range []string{"64k", "1m", "8m", "14m"} {
			disk := t.TempDir()
			must(t, unix.Mount("tmpfs", disk, "tmpfs", 0, "size="+size+",mode=0700"))
			in, err := os.Open(base)
			must(t, err)
			out, err := os.Create(filepath.Join(disk, "merged"))
			must(t, err)
			_, err = journal.Merge(t.Context(), in, chain, 0, out)
			if !errors.Is(err, syscall.ENOSPC) || errors.Is(err, snapshot.ErrDamaged) {
				t.Errorf("%s, a disk of %s: %v", name, size, err)
			}
			must(t, unix.Unmount(disk, 0))
		}
	}
}
