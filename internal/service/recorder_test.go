package service

import (
	"testing"

	"etcd-rolling-backup/internal/etcdtest"
)

// The first daemon opens the watch, then takes a snapshot that the journal continues. The next one continues both.
func TestJournalContinuesAfterARestartWithoutAGap(t *testing.T) {
	for _, version := range etcdtest.Versions() {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			b := newJournalBed(t, etcdtest.Options{Version: version, UnsafeNoFsync: true})
			client := etcdtest.Dial(t, b.cluster)
			puts(t, client, 5)
			b.start()
			b.waitForBases(1)
			puts(t, client, 50)
			b.reaches(client)
			b.stop()
			puts(t, client, 30)
			b.start()
			puts(t, client, 20)
			head := b.reaches(client)
			b.stop()
			if bases := b.bases(); len(bases) != 1 || len(b.ranges()) != 1 {
				t.Fatalf("snapshots at %v, ranges %v", bases, b.ranges())
			}
			b.wantAll(client, b.bases()[0], head)
			if b.lines("journal begins") != 1 || b.lines("journal continues") != 1 || b.lines("journal stopped") != 2 || b.lines("snapshot saved") != 1 {
				t.Error("other lines in the log")
			}
		})
	}
}
