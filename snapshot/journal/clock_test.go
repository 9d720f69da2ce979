package journal_test

import (
	"sync/atomic"
	"testing"
	"time"

	"etcd-rolling-backup/internal/etcdtest"
	"etcd-rolling-backup/snapshot/journal"
)

// A clock that is set changes the times of the records, and nothing else: no segment ends earlier or later, and nothing is missing. A time that there was
// twice is the first one.
func TestClockThatIsSetChangesOnlyTheTimes(t *testing.T) {
	b := newBed(t, etcdtest.Options{UnsafeNoFsync: true})
	base, from := b.base()
	var ahead, seen atomic.Int64
	b.options.Clock = func(t time.Time) time.Time { return t.Add(time.Duration(ahead.Load())) }
	b.options.Seal, b.options.Seen = time.Hour, func(last, _ int64) { seen.Store(last) }
	b.record(from)
	type step struct {
		ahead      time.Duration
		revision   int64
		begin, end time.Time // by the right clock
	}
	steps := []step{{ahead: 0}, {ahead: 2 * time.Hour}, {ahead: time.Hour}, {ahead: -time.Hour}, {ahead: 0}, {ahead: 365 * 24 * time.Hour}, {ahead: 0}}
	for i := range steps {
		s := &steps[i]
		ahead.Store(int64(s.ahead))
		s.begin = time.Now()
		_, err := b.client.Put(t.Context(), "key", time.Now().String())
		must(t, err)
		s.revision = b.head()
		for limit := time.Now().Add(time.Minute); seen.Load() < s.revision; time.Sleep(5 * time.Millisecond) {
			if time.Now().After(limit) {
				t.Fatalf("the journal is at %d, not at %d", seen.Load(), s.revision)
			}
		}
		s.end = time.Now()
	}
	must(t, b.stop())
	names := b.names()
	if len(names) != 1 {
		t.Fatalf("%d segments", len(names))
	}
	b.equal(base, from)
	seg := open(t, b.store, names)[0]
	for i, s := range steps {
		at, err := journal.Received(t.Context(), seg, s.revision)
		must(t, err)
		if at.Before(s.begin.Add(s.ahead)) || at.After(s.end.Add(s.ahead)) {
			t.Errorf("step %d: received %v, want between %v and %v", i, at, s.begin.Add(s.ahead), s.end.Add(s.ahead))
		}
	}
	for i, want := range map[int]int{0: 0, 1: 4, 2: 0, 3: -1, 4: 0, 5: 6, 6: 0} { // which step is the last before the clock passes the time for the first time
		revision, _, err := journal.At(t.Context(), seg, steps[i].end.Add(steps[i].ahead))
		must(t, err)
		got := -1
		for j, s := range steps {
			if s.revision == revision {
				got = j
			}
		}
		if got != want {
			t.Errorf("the time of step %d restores step %d (revision %d), want %d", i, got, revision, want)
		}
	}
}
