package daemon_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"
	_ "time/tzdata" // zones are there on a bare machine too

	"github.com/sirupsen/logrus"
	logtest "github.com/sirupsen/logrus/hooks/test"

	"etcd-rolling-backup/daemon"
	"etcd-rolling-backup/daemon/status"
	"etcd-rolling-backup/retention"
	"etcd-rolling-backup/snapshot"
)

const (
	node    = "node-a"
	cluster = snapshot.ID(0xa)
)

// Levels of the log, by name.
const (
	atInfo    = "info"
	atWarning = "warning"
	atError   = "error"
)

// Lines of the log that many tests look for.
const (
	msgSaved     = "snapshot saved"
	msgRenamed   = "renamed a damaged snapshot to NAME.broken"
	msgReplacing = "taking a snapshot now: the newest one is damaged or failed its restore drill"
)

var (
	errDown   = errors.New("etcd is down")
	errDamage = fmt.Errorf("drill: unpack: %w: 3 bytes are missing", snapshot.ErrDamaged)
	errFull   = fmt.Errorf("stream snapshot: %w", snapshot.ErrLowSpace)
	errStart  = errors.New("drill: the restored etcd does not start")
)

// Every test but those of CRON_TZ reads the schedule in UTC, whatever the machine's zone.
func TestMain(m *testing.M) {
	time.Local = time.UTC
	os.Exit(m.Run())
}

// bed runs daemons, one after another, in a bubble of testing/synctest, whose clock starts at midnight of 2000-01-01, UTC, and jumps
// to the next timer as soon as all goroutines wait. It is the daemon's Taker: the run with the index n is whatever run[n] says, and
// good beyond the end of run.
type bed struct {
	t       *testing.T
	opts    daemon.Options
	store   *memStore
	notes   *memNotes
	status  *status.Tracker // of the last daemon; it knows what notes has from the one before
	log     *logtest.Hook
	origin  time.Time
	begun   []time.Duration // since origin, one for each run
	run     []outcome
	always  outcome // of every run that run does not name
	fits    int     // how many snapshots the disk holds; 0: any number
	busy    bool
	segment time.Duration // how long a segment of the journal is; 0: there is no journal
	lost    bool          // the status of the process before can't be read
	plans   []plan

	hangUp func() // asks for a reload, which gives these settings
	spec   string
	last   int
}

// plan is what a test does during the life of a daemon.
type plan struct {
	since time.Duration // since origin
	do    func()
}

// outcome is how a run goes: it works for so long, then returns err, or puts a snapshot into the store.
type outcome struct {
	takes  time.Duration
	err    error
	says   string                // a warning of the run's own
	change func(*snapshot.Taken) // what is unusual about the snapshot
}

func newBed(t *testing.T, spec string) *bed {
	t.Helper()
	log, hook := logtest.NewNullLogger()
	b := &bed{t: t, log: hook, store: &memStore{manifests: map[snapshot.Name]snapshot.Manifest{}}, notes: &memNotes{files: map[string][]byte{}}, origin: time.Now()}
	b.opts = daemon.Options{
		Node: node, Schedule: parse(t, spec, 0, node), Policy: retention.Policy{Last: 3}, Taker: b, Store: b.store, Log: log, Reason: reasonOf,
		Problems: func() []status.Problem { return nil }, // or else the log has lines of them in every test
	}
	return b
}

func reasonOf(_ status.Job, err error) status.Reason {
	switch {
	case errors.Is(err, errDown):
		return status.Unreachable
	case errors.Is(err, snapshot.ErrDamaged):
		return status.Damaged
	case errors.Is(err, errStart):
		return status.Start
	case errors.Is(err, daemon.ErrSkipped):
		return status.LowMemory
	}
	return status.Other
}

// fixed is a Reason that calls every error the same.
func fixed(r status.Reason) func(status.Job, error) status.Reason {
	return func(status.Job, error) status.Reason { return r }
}

// open is how a new process begins: with the status that the one before has saved.
func (b *bed) open() *daemon.Daemon {
	b.t.Helper()
	o := b.opts
	so := status.Options{Mirror: o.Mirror != nil, Drill: o.Drill != nil && !o.Drill.Schedule.IsZero()}
	so.JournalSegment = b.segment
	if o.Drill != nil {
		so.DrillFrom = o.Drill.From
	}
	tracker, err := status.Open(b.notes, node, so)
	if (err != nil) != b.lost {
		b.t.Errorf("open the status: %v", err)
	}
	tracker.SetCluster(snapshot.Lineage{Cluster: cluster}) // as the member says at the start
	b.status = tracker
	for _, p := range b.plans { // which may look at b.status from now on
		time.AfterFunc(time.Until(b.origin.Add(p.since)), p.do)
	}
	b.plans = nil
	o.Status, o.SaveStatus = tracker, func() error { return tracker.Save(b.notes, node) }
	return daemon.New(o)
}

// runFor lets a new daemon run for so long, and demands that it ends well and immediately.
func (b *bed) runFor(d time.Duration) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), d)
	defer cancel()
	began := time.Now()
	if err := b.open().Run(ctx); err != nil {
		b.t.Fatalf("Run: %v", err)
	}
	if took := time.Since(began); took != d {
		b.t.Fatalf("Run ended after %s, was stopped after %s", took, d)
	}
}

// crashAfter lets a new daemon run for so long and crash: what it saves as it stops is lost.
func (b *bed) crashAfter(d time.Duration) {
	b.t.Helper()
	time.AfterFunc(d-time.Millisecond, func() { b.notes.freeze(true) })
	b.runFor(d)
	b.notes.freeze(false)
}

// at does something so long after the bed's origin, in the life of the next daemon.
func (b *bed) at(since time.Duration, do func()) { b.plans = append(b.plans, plan{since, do}) }

// start lets a new daemon run until it gives up by itself.
func (b *bed) start() error { return b.open().Run(b.t.Context()) }

// Take implements daemon.Taker.
func (b *bed) Take(ctx context.Context, log logrus.FieldLogger, alive func()) (snapshot.Taken, error) {
	if b.busy {
		b.t.Error("a run began while another was under way")
	}
	b.busy = true
	defer func() { b.busy = false }()
	n, began := len(b.begun), time.Now()
	b.begun = append(b.begun, began.Sub(b.origin))
	o := b.always
	if n < len(b.run) {
		o = b.run[n]
	}
	alive()
	if o.says != "" {
		log.Warn(o.says)
	}
	if o.takes > 0 {
		select {
		case <-ctx.Done():
			return snapshot.Taken{}, fmt.Errorf("stream: %w", ctx.Err())
		case <-time.After(o.takes):
		}
	}
	if o.err != nil {
		return snapshot.Taken{}, o.err
	}
	if b.fits > 0 && len(b.store.names())+len(b.store.brokenNames()) >= b.fits {
		return snapshot.Taken{}, errFull
	}
	t := taken(b.t, began)
	if o.change != nil {
		o.change(&t)
	}
	b.store.put(t)
	return t, nil
}

func taken(t *testing.T, began time.Time) snapshot.Taken {
	t.Helper()
	return snapshot.Taken{
		Entry:    snapshot.Entry{Name: name(t, snapshot.RollingSet, node, began), Size: 1000},
		Manifest: snapshot.Manifest{RawSize: 5000, Source: snapshot.Source{ClusterID: cluster, Revision: 42, Healthy: true}},
		Stream:   2 * time.Second, Sync: 30 * time.Millisecond,
	}
}

func name(t *testing.T, set, node string, at time.Time) snapshot.Name {
	t.Helper()
	n, err := snapshot.NewName(set, node, at)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// hourly names the node's rolling snapshots of these hours after the origin.
func (b *bed) hourly(of ...int) []string {
	b.t.Helper()
	var out []string
	for _, h := range of {
		out = append(out, name(b.t, snapshot.RollingSet, node, b.origin.Add(time.Duration(h)*time.Hour)).String())
	}
	return out
}

// job is what the status knows of a job.
func (b *bed) job(j status.Job) status.JobState { return b.status.Job(j) }

// since is a time of the status as it stands in tests; the zero time is -1.
func (b *bed) since(at time.Time) time.Duration {
	if at.IsZero() {
		return -1
	}
	return at.Sub(b.origin)
}

// codes are those of the problems now.
func (b *bed) codes() []status.Code {
	var out []status.Code
	for _, p := range b.status.Problems() {
		out = append(out, p.Code)
	}
	return out
}

// lines are the log's at one level, in order.
func (b *bed) lines(level string) []string {
	var out []string
	for _, e := range b.log.AllEntries() {
		if e.Level.String() == level {
			out = append(out, e.Message)
		}
	}
	return out
}

// closing are the lines that end a good cycle, of which so many are wanted.
func (b *bed) closing(want int) []*logrus.Entry {
	b.t.Helper()
	all := slices.DeleteFunc(b.log.AllEntries(), func(e *logrus.Entry) bool { return e.Message != msgSaved })
	if len(all) != want {
		b.t.Fatalf("%d cycles saved a snapshot, want %d", len(all), want)
	}
	return all
}

// missed are the first of the runs that were skipped each time.
func (b *bed) missed() []string {
	var out []string
	for _, e := range b.log.AllEntries() {
		if at, ok := e.Data["missed"].(string); ok {
			out = append(out, at)
		}
	}
	return out
}

func (b *bed) wantRuns(want ...time.Duration) {
	b.t.Helper()
	if !slices.Equal(b.begun, want) {
		b.t.Errorf("runs began at\n%v, want\n%v", b.begun, want)
	}
}

func (b *bed) wantLines(level string, want ...string) {
	b.t.Helper()
	if got := b.lines(level); !slices.Equal(got, want) {
		b.t.Errorf("log lines at level %s:\n%q, want\n%q", level, got, want)
	}
}
