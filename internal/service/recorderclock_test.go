package service

import (
	"bytes"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	logtest "github.com/sirupsen/logrus/hooks/test"

	"etcd-rolling-backup/internal/etcdtest"
	"etcd-rolling-backup/internal/storetest"
	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/journal"
)

// A machine without a battery starts with any time, and gets the right one when the daemon records already. Snapshots of both are what they are,
// and the next daemon continues what was recorded last.
func TestJournalContinuesWhenTheClockIsSetBack(t *testing.T) {
	b := newJournalBed(t, etcdtest.Options{UnsafeNoFsync: true})
	client := etcdtest.Dial(t, b.cluster)
	var ahead, looks atomic.Int64
	b.clock = func(t time.Time) time.Time {
		looks.Add(1)
		return t.Add(time.Duration(ahead.Load()))
	}
	ahead.Store(int64(365 * 24 * time.Hour))
	b.cfg.Journal.MaxBehind = 40
	b.start()
	b.waitForBases(1)
	puts(t, client, 10)
	b.reaches(client)

	ahead.Store(0)
	puts(t, client, 30)
	b.takes()
	puts(t, client, 30)
	b.reaches(client)
	before := looks.Load()
	eventually(t, func() bool { return looks.Load() >= before+4 }) // while nobody writes, at each look at the newest snapshot
	b.stop()
	if bases := b.bases(); len(bases) != 2 {
		t.Errorf("snapshots at %v, want the first one and that of the test", bases)
	}

	puts(t, client, 10)
	b.start()
	head := b.reaches(client)
	b.stop()
	if len(b.ranges()) != 1 || b.lines("journal begins again") > 0 {
		t.Errorf("ranges %v", b.ranges())
	}
	b.wantAll(client, b.bases()[0], head)
}

// The name of the segment that was recorded last is not the latest, after a clock was set back.
func TestJournalContinuesTheSegmentThatWasRecordedLast(t *testing.T) {
	now := time.Now().UTC().Truncate(time.Second)
	type segment struct {
		first, last int64
		begun       time.Duration // before now
		value       string        // its history
	}
	for name, c := range map[string]struct {
		all  []segment // each continues the one before it, if that has the same value
		last int64
	}{
		"in order":                  {[]segment{{1, 10, 3 * time.Hour, "a"}, {11, 20, 2 * time.Hour, "a"}}, 20},
		"set back an hour":          {[]segment{{1, 10, time.Hour, "a"}, {11, 20, 2 * time.Hour, "a"}, {21, 30, 119 * time.Minute, "a"}}, 30},
		"set back a year":           {[]segment{{1, 10, -365 * 24 * time.Hour, "a"}, {11, 20, time.Hour, "a"}, {21, 30, 30 * time.Minute, "a"}}, 30},
		"always ahead":              {[]segment{{1, 10, -2 * time.Hour, "a"}, {11, 20, -time.Hour, "a"}}, 20},
		"restored":                  {[]segment{{1, 10, 3 * time.Hour, "a"}, {11, 20, 2 * time.Hour, "a"}, {6, 10, time.Hour, "b"}}, 10},
		"restored, by a fast clock": {[]segment{{1, 10, 3 * time.Hour, "a"}, {11, 20, 2 * time.Hour, "a"}, {6, 10, -time.Hour, "b"}, {11, 15, time.Hour, "b"}}, 15},
	} {
		t.Run(name, func(t *testing.T) {
			dir := snapshot.NewDir(filepath.Join(t.TempDir(), "store"))
			must(t, dir.Prepare())
			digests := map[string]string{}
			for _, s := range c.all {
				n, data := storetest.Segment(t, storetest.SegmentOf{
					Node: "n1", Cluster: 1, Begun: now.Add(-s.begun), First: s.first, Last: s.last, Value: s.value, Before: digests[s.value],
				})
				must(t, os.WriteFile(filepath.Join(dir.Path(), n.String()), data, 0o600))
				opened, err := journal.Open(bytes.NewReader(data), int64(len(data)))
				must(t, err)
				digests[s.value] = opened.LastDigest
			}
			log, _ := logtest.NewNullLogger()
			r := newRecorder(nil, nil, dir, "test", log)
			l, err := dir.List()
			must(t, err)
			must(t, r.resume(t.Context(), "n1", l))
			if r.at.last != c.last {
				t.Errorf("the journal continues behind revision %d, want %d", r.at.last, c.last)
			}
		})
	}
}
