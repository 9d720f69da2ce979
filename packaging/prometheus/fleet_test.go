package prometheus_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"etcd-rolling-backup/metrics"
)

const gib = int64(1) << 30

// node is one daemon's metrics behind a real listener.
type node struct {
	*metrics.Metrics
	address string
	began   time.Time
	old     metrics.Snapshot // of an ill one, which it keeps
	waiting metrics.Snapshot // of an ill one, for S3
}

// serve answers for m until the test ends.
func serve(t *testing.T, m *metrics.Metrics) node {
	t.Helper()
	s, err := metrics.Open(t.Context(), metrics.ServerOptions{Addr: "127.0.0.1:0", Handler: m.Handler()})
	must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return node{Metrics: m, address: s.Addr().String(), began: time.Now()}
}

func everything(free int64) metrics.Options {
	return metrics.Options{
		Version: "1.2.3", Mirror: true, Verify: true, Drill: true,
		FreeBytes: func() (int64, error) { return free, nil }, MinFree: gib,
	}
}

func taken(at time.Time, raw, revision int64) metrics.Snapshot {
	name := "rolling_node_" + at.UTC().Format("20060102T150405Z") + ".db.zst"
	return metrics.Snapshot{Name: name, Time: at, Size: raw / 5, RawSize: raw, Revision: revision}
}

// wellNode is a daemon that was started anew a moment ago: the past is known, and nothing was done since.
func wellNode(t *testing.T) node {
	t.Helper()
	m := metrics.New(everything(40 * gib))
	old := taken(time.Now().Add(-2*time.Hour), gib, 1000)
	for _, p := range []metrics.Place{metrics.Local, metrics.S3} {
		m.Inventory(p, []metrics.Snapshot{old})
	}
	m.SnapshotDone(old.Time, old, 0, 0)
	m.MirrorDone(old.Time, 0)
	m.Verified(old.Time, old.Name, 0)
	m.Rebuilt()
	m.Started(time.Now())
	m.Schedule(metrics.Snapshots, time.Now().Add(time.Hour), time.Hour)
	m.Schedule(metrics.Drill, time.Now().Add(24*time.Hour), 7*24*time.Hour)
	return serve(t, m)
}

// works does one of everything; trouble is some that was overcome.
func (n node) works(trouble bool) {
	now := time.Now()
	if trouble {
		n.Failed(metrics.Snapshots, now, "", metrics.Unreachable, "etcd does not answer")
		n.Failed(metrics.Mirror, now, "", metrics.Connection, "no route")
		n.Skipped(metrics.Drill, now, metrics.Busy)
	}
	x := taken(now, gib+gib/50, 1500)
	n.Attempt(metrics.Snapshots, now)
	n.SnapshotDone(now, x, 4*time.Second, 300*time.Millisecond)
	n.Member(now, 2*gib, true, nil)
	n.Pruned(metrics.Local, "rolling_node_20200101T000000Z.db.zst")
	n.Attempt(metrics.Mirror, now)
	n.Uploaded(x, 6*time.Second)
	n.Waiting(nil)
	n.MirrorDone(now, 1)
	n.Verified(now, x.Name, 8*time.Second)
	n.Drilled(now, x.Name, 35*time.Second)
}

// illNode has every trouble that one can have. The trouble of shrinking comes with shrinks.
func illNode(t *testing.T) node {
	t.Helper()
	m := metrics.New(everything(gib / 2))
	old := taken(time.Now().Add(-20*24*time.Hour), 4*gib, 1000)
	for _, p := range []metrics.Place{metrics.Local, metrics.S3} {
		m.Inventory(p, []metrics.Snapshot{old})
	}
	m.SnapshotDone(old.Time, old, 0, 0)
	m.Verified(old.Time, old.Name, 0)
	m.Drilled(old.Time, old.Name, 0)
	var starts []time.Time
	for i := range 6 {
		starts = append(starts, time.Now().Add(time.Duration(i-6)*time.Minute))
	}
	m.Started(starts...)
	m.Schedule(metrics.Snapshots, time.Now().Add(-3*time.Hour), time.Hour)
	m.Schedule(metrics.Drill, time.Now().Add(-2*24*time.Hour), 7*24*time.Hour)
	m.Rebuilt()
	for range 3 {
		m.Failed(metrics.Snapshots, time.Now(), "", metrics.Unreachable, "etcd does not answer")
		m.Failed(metrics.Mirror, time.Now(), "", metrics.Connection, "no route")
	}
	m.Failed(metrics.Verify, time.Now(), old.Name, metrics.Damaged, "page 17")
	m.Failed(metrics.Drill, time.Now(), old.Name, metrics.Contents, "three keys less")
	waiting := taken(time.Now().Add(-19*24*time.Hour), 4*gib, 1001)
	m.Waiting([]metrics.Snapshot{old, waiting})
	m.Member(time.Now(), 2*gib, false, []string{"NOSPACE"})
	n := serve(t, m)
	n.old, n.waiting = old, waiting
	return n
}

// shrinks gives the node a snapshot that is much smaller and older, by its revision, than the one it has told of, and prunes one that
// waits for S3.
func (n node) shrinks() {
	n.Pruned(metrics.Local, n.waiting.Name)
	n.Inventory(metrics.Local, []metrics.Snapshot{taken(n.began, gib, 900), n.old})
}

// blindNode has not reached S3 since its start.
func blindNode(t *testing.T) node {
	t.Helper()
	m := metrics.New(everything(40 * gib))
	m.Inventory(metrics.Local, nil)
	m.Rebuilt()
	m.Schedule(metrics.Snapshots, time.Now().Add(time.Hour), time.Hour)
	return serve(t, m)
}

func addresses(nodes ...node) []string {
	var out []string
	for _, n := range nodes {
		out = append(out, n.address)
	}
	return slices.Clip(out)
}
