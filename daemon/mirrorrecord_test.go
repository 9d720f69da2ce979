package daemon_test

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"etcd-rolling-backup/daemon"
	"etcd-rolling-backup/metrics"
	"etcd-rolling-backup/snapshot"
)

// A pass tells what it has found before it works, and then each thing as it is done. Other nodes' snapshots are not told of,
// nor does what was taken with --no-mirror ever wait.
func TestRecorderHearsWhatAPassDoes(t *testing.T) {
	dir := archives(t, hourly(t, node, 1, 2, 3)...)
	for _, localOnly := range []bool{true, false} {
		_, err := snapshot.Take(t.Context(), oneSector{}, dir, snapshot.TakeOptions{
			Set: fmt.Sprint("set-", localOnly), Node: node, LocalOnly: localOnly, Stall: midnight.Sub(midnight.Add(-1e9)),
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	b := newMemBucket()
	b.fill(append(hourly(t, "gone", 0, 1), hourly(t, node, 0, 1)...)...)
	o := mirrorOptions(2)
	o.OrphanAfter = 1
	e := &ears{origin: midnight}
	o.Recorder = e
	done, err := daemon.Mirror(t.Context(), dir, b, o, today)
	if err != nil || len(done.Removed) != 3 || done.Waiting != 0 || !done.Listed {
		t.Fatalf("%+v, %v", done, err)
	}
	got := strings.Join(e.heard, "\n")
	for _, line := range []string{
		"recalled mirror 1h0m0s\n", "inventory s3: rolling_node-a_20261121T01 1/0@0, rolling_node-a_20261121T00 1/0@0\nwaiting: set-false",
		"uploaded set-false", "uploaded rolling_node-a_20261121T03", "uploaded rolling_node-a_20261121T02",
		"pruned s3: [\"rolling_node-a_20261121T010000Z.db.zst\" \"rolling_node-a_20261121T000000Z.db.zst\"]",
	} {
		if strings.Count(got, line) != 1 {
			t.Errorf("%q was not heard once:\n%s", line, got)
		}
	}
	if strings.Contains(got, "set-true") || strings.Contains(got, "gone") || len(e.heard) != 7 {
		t.Errorf("heard\n%s", got)
	}
}

func TestRecorderHearsWhatAnEndedPassHasDone(t *testing.T) {
	dir := archives(t, hourly(t, node, 1, 2)...)
	b := newMemBucket()
	b.budget = 2 // the list and one archive
	o, e := mirrorOptions(2), &ears{origin: midnight}
	o.Recorder = e
	if done, err := daemon.Mirror(t.Context(), dir, b, o, today); err == nil || done.Waiting != 1 {
		t.Fatalf("%+v, %v", done, err)
	}
	if n := len(e.heard); n != 3 || e.heard[0] != "inventory s3: " || !strings.HasPrefix(e.heard[2], "uploaded rolling_node-a_20261121T02") {
		t.Errorf("heard %q", e.heard)
	}
}

// What is to be spared is neither removed from the bucket nor kept from it, in the first pass as in each. Here an etcd shrank while S3 was
// away, and the bucket has the snapshot before the last large one.
func TestMirrorSpares(t *testing.T) {
	all := hourly(t, node, 0, 1, 2)
	dir := archives(t, all[1:]...)
	b := newMemBucket()
	b.fill(all[0])
	m := metrics.New(metrics.Options{Mirror: true, Now: func() time.Time { return today }})
	for i, n := range all[1:] {
		m.SnapshotDone(today, metrics.Snapshot{Name: n.String(), Time: n.Time, RawSize: 1000 - 900*int64(i), Revision: 5}, 0, 0)
	}
	m.Rebuilt()
	o := mirrorOptions(1)
	o.Recorder = m
	for range 2 {
		if _, err := daemon.Mirror(t.Context(), dir, b, o, today); err != nil {
			t.Error(err)
		}
		if keys := slices.Sorted(maps.Keys(b.objects)); !slices.Equal(keys, []string{all[1].String(), all[2].String()}) {
			t.Errorf("the bucket has %q", keys)
		}
	}
}

// A disk that is new learns from the newest in the bucket what to compare with, once, passing over a damaged one. As long as that can't be
// read nothing is removed there, and the pass has failed.
func TestNewDiskLearns(t *testing.T) {
	all := hourly(t, node, 0, 1, 2, 3)
	dir := archives(t, all[3])
	one, err := os.ReadFile(filepath.Join(dir.Path(), all[3].String()))
	if err != nil {
		t.Fatal(err)
	}
	b := newMemBucket()
	b.fill(all[:3]...)
	m := metrics.New(metrics.Options{Mirror: true, Now: func() time.Time { return today }})
	m.Rebuilt()
	m.SnapshotDone(today, metrics.Snapshot{Name: all[3].String(), Time: all[3].Time, RawSize: 100, Revision: 5}, 0, 0)
	o := mirrorOptions(1)
	o.Recorder = m
	done, err := daemon.Mirror(t.Context(), dir, b, o, today)
	if !errors.Is(err, errBucketDown) || len(done.Uploaded) != 1 || len(done.Removed) != 0 || !m.Blank() {
		t.Errorf("what is there can't be read: %+v, %v", done, err)
	}
	b.whole = map[string][]byte{all[2].String(): make([]byte, 1000), all[1].String(): one}
	done, err = daemon.Mirror(t.Context(), dir, b, o, today)
	if err != nil || !slices.Equal(done.Removed, []snapshot.Name{all[2], all[0]}) || m.Blank() {
		t.Errorf("one is damaged, one whole: %+v, %v", done, err)
	}
	if past := m.Past(); len(past) != 2 || past[0].Name != all[1].String() || past[0].RawSize != 544 || past[0].Revision != 7 {
		t.Errorf("known is %+v", past)
	}
}
