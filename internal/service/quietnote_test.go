package service

import (
	"testing"
	"time"

	"etcd-rolling-backup/internal/etcdtest"
	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/journal"
)

// While nobody writes, a note says until when that is known. That makes no segment, and goes on after a restart, before anything is written.
func TestIdleJournalNotesUntilWhenNothingHasChanged(t *testing.T) {
	oldestAndNewest(t, func(t *testing.T, version string) {
		b := newJournalBed(t, etcdtest.Options{Version: version, UnsafeNoFsync: true})
		client := etcdtest.Dial(t, b.cluster)
		b.start()
		b.waitForBases(1)
		puts(t, client, 10)
		head := b.reaches(client)
		var q journal.Quiet
		ranges := 1
		noted := func(after time.Time) {
			t.Helper()
			eventually(t, func() bool {
				var note journal.QuietNote
				must(t, b.dir.ReadNote(snapshot.QuietNote("n1"), &note))
				if len(note) == 0 {
					return false
				}
				if q = note[len(note)-1]; !q.Until.After(after) {
					return false
				}
				if len(note) != ranges || q.Revision != head || q.Until.After(time.Now()) {
					t.Errorf("%+v, want %d, the last of revision %d", note, ranges, head)
				}
				return true
			})
		}
		noted(time.Now())
		segments := len(b.segments())
		noted(time.Now().Add(time.Second))
		b.stop()
		b.start()
		noted(time.Now().Add(time.Second))
		b.stop()
		if n := len(b.segments()); n != segments {
			t.Errorf("%d segments, %d before", n, segments)
		}
		names := b.segments()
		f, err := b.dir.OpenSegment(names[len(names)-1])
		must(t, err)
		defer f.Close()
		s, err := journal.OpenFile(t.Context(), f, names[len(names)-1])
		must(t, err)
		if !q.After(s.Manifest).Equal(q.Until) {
			t.Errorf("%+v is not of %+v", q, s.Manifest)
		}

		// A gap ends the range. What is known of its end is not forgotten.
		ended := q
		puts(t, client, 10)
		_, err = client.Compact(t.Context(), head+10)
		must(t, err)
		b.start()
		b.waitForBases(2)
		head, ranges = b.reaches(client), 2
		noted(time.Now())
		b.stop()
		b.start()
		noted(time.Now())
		var note journal.QuietNote
		must(t, b.dir.ReadNote(snapshot.QuietNote("n1"), &note))
		if !note.After(s.Manifest).Equal(ended.Until) {
			t.Errorf("%+v does not say that %+v", note, ended)
		}
	})
}
