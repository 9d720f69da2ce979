package prometheus_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"etcd-rolling-backup/daemon/status"
	"etcd-rolling-backup/metrics"
	"etcd-rolling-backup/snapshot"
)

const gib = int64(1) << 30

// node is one daemon's status behind a real listener.
type node struct {
	*status.Tracker
	address string
	began   time.Time
	old     status.Copy // of an unhealthy one, which it keeps
	waiting status.Copy // of an unhealthy one, not uploaded yet
}

// newNode answers until the test ends. What it was told before is its past.
func newNode(t *testing.T, free int64, tell func(tr *status.Tracker)) node {
	t.Helper()
	tr := status.New(status.Options{Mirror: true, Drill: true, JournalSegment: 30 * time.Second})
	tell(tr)
	m := metrics.New(metrics.Options{
		Version: "1.2.3", State: tr.State, Problems: tr.Problems, FreeBytes: func() (int64, error) { return free, nil }, MinFree: func() int64 { return gib },
	})
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
	return node{Tracker: tr, address: s.Addr().String(), began: time.Now()}
}

func taken(at time.Time, raw, revision int64) status.Copy {
	n := snapshot.Name{Set: snapshot.RollingSet, Node: "node", Time: at.UTC().Truncate(time.Second)}
	return status.Copy{Name: n, Size: raw / 5, Facts: snapshot.Facts{RawSize: raw, InUse: raw / 2, Revision: revision, Keys: snapshot.Counted(raw >> 20)}}
}

// everywhere says that these lie on the disk and in S3.
func everywhere(tr *status.Tracker, copies ...status.Copy) {
	for _, p := range status.Places() {
		tr.SetInventory(p, copies, nil)
	}
}

// journaled says that the journal has all changes until then on the disk, and until another time in S3.
func journaled(tr *status.Tracker, revision int64, until, inS3 time.Time) {
	tr.SetJournal(func(j *status.Journal) {
		j.Running, j.Since, j.Revision, j.At, j.Confirmed = true, until, revision, until, until
		j.Local = status.Segments{Bytes: gib, Revision: revision, At: until}
		j.Bucket = status.Segments{Bytes: gib, Revision: revision - 1, At: inS3}
		j.Waiting = status.Waiting{Known: true}
		j.Prove(status.Proof{At: until, From: revision - 50, To: revision})
	})
}

// wellNode is a daemon that was restarted a moment ago: the past is known, and nothing was done since.
func wellNode(t *testing.T) node {
	t.Helper()
	return newNode(t, 40*gib, func(tr *status.Tracker) {
		old := taken(time.Now().Add(-2*time.Hour), gib, 1000)
		tr.Start(old.Name)
		everywhere(tr, old)
		tr.Schedule(status.Snapshot, time.Now().Add(time.Hour), time.Hour)
		tr.Schedule(status.Drill, time.Now().Add(24*time.Hour), 7*24*time.Hour)
		journaled(tr, 1400, time.Now(), time.Now().Add(-31*time.Second))
	})
}

// works does one of everything; trouble is some that was overcome.
func (n node) works(trouble bool) {
	now := time.Now()
	if trouble {
		n.End(status.Snapshot, now, status.Outcome{Reason: status.Unreachable, Message: "etcd does not answer"})
		n.End(status.Mirror, now, status.Outcome{Reason: status.Connection, Message: "no route"})
		n.End(status.Drill, now, status.Outcome{Skipped: true, Reason: status.Busy})
	}
	x := taken(now, gib+gib/50, 1500)
	n.Begin(status.Snapshot, now)
	n.Saved(now, x, 4*time.Second, 300*time.Millisecond)
	n.SetMember(now, 2*gib, true, nil)
	n.Pruned(status.Local, now, []snapshot.Name{taken(now.Add(-20*24*time.Hour), gib, 1).Name}, nil)
	n.Begin(status.Mirror, now)
	n.SetPending(now, nil)
	n.Uploaded(x, 6*time.Second)
	n.Mirrored(now, 1)
	n.End(status.Verify, now, status.Outcome{Name: x.Name, Took: 8 * time.Second})
	journaled(n.Tracker, 1600, now, now.Add(-31*time.Second))
	n.End(status.Drill, now, status.Outcome{Name: x.Name, Took: 35 * time.Second, Keys: x.Keys, Resources: map[string]int64{"/registry/pods": 9}})
}

// illNode has every trouble that one can have. The trouble of shrinking comes with shrinks.
func illNode(t *testing.T) node {
	t.Helper()
	old := taken(time.Now().Add(-20*24*time.Hour), 4*gib, 1000)
	waiting := taken(time.Now().Add(-19*24*time.Hour), 4*gib, 1001)
	n := newNode(t, gib/2, func(tr *status.Tracker) {
		for range 6 {
			tr.Start(old.Name)
		}
		everywhere(tr, old)
		tr.End(status.Verify, old.Name.Time, status.Outcome{Name: old.Name})
		tr.End(status.Drill, old.Name.Time, status.Outcome{Name: old.Name, Resources: map[string]int64{"/registry/secrets": 9}})
		tr.End(status.Drill, time.Now(), status.Outcome{Name: old.Name, Resources: map[string]int64{}})
		tr.Schedule(status.Snapshot, time.Now().Add(-3*time.Hour), time.Hour)
		tr.Schedule(status.Drill, time.Now().Add(-2*24*time.Hour), 7*24*time.Hour)
		for range 3 {
			tr.End(status.Snapshot, time.Now(), status.Outcome{Reason: status.Unreachable, Message: "etcd does not answer"})
			tr.End(status.Mirror, time.Now(), status.Outcome{Reason: status.Connection, Message: "no route"})
		}
		tr.End(status.Verify, time.Now(), status.Outcome{Name: old.Name, Reason: status.Damaged, Message: "page 17"})
		tr.End(status.Drill, time.Now(), status.Outcome{Name: old.Name, Reason: status.Contents, Message: "three keys less"})
		tr.SetPending(time.Now(), []snapshot.Name{old.Name, waiting.Name})
		tr.SetMember(time.Now(), 2*gib, false, []string{"NOSPACE"})
		journaled(tr, 1400, time.Now(), time.Now().Add(-2*time.Hour))
		tr.SetJournal(func(j *status.Journal) {
			j.Running, j.Reason = false, status.LowSpace
			j.Prove(status.Proof{At: time.Now(), Message: "the databases differ"})
		})
	})
	n.old, n.waiting = old, waiting
	return n
}

// shrinks gives the node a snapshot that is much smaller and older, by its revision, than the one it has told of, prunes one that
// is not uploaded yet, and breaks its journal again and again.
func (n node) shrinks() {
	n.Pruned(status.Local, time.Now(), []snapshot.Name{n.waiting.Name}, nil)
	n.SetJournal(func(j *status.Journal) { j.Gaps = 9 })
	n.SetInventory(status.Local, []status.Copy{taken(n.began, gib, 900), n.old}, nil)
}

// blindNode has not reached S3 since its start.
func blindNode(t *testing.T) node {
	t.Helper()
	return newNode(t, 40*gib, func(tr *status.Tracker) {
		tr.SetInventory(status.Local, nil, nil)
		tr.Schedule(status.Snapshot, time.Now().Add(time.Hour), time.Hour)
	})
}

func addresses(nodes ...node) []string {
	var out []string
	for _, n := range nodes {
		out = append(out, n.address)
	}
	return slices.Clip(out)
}
