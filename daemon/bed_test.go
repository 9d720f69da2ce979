package daemon_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"
	"time"
	_ "time/tzdata" // zones are there on a bare machine too

	"github.com/sirupsen/logrus"
	logtest "github.com/sirupsen/logrus/hooks/test"

	"etcd-rolling-backup/daemon"
	"etcd-rolling-backup/retention"
	"etcd-rolling-backup/snapshot"
)

const node = "node-a"

// Levels of the log, by name.
const (
	atInfo    = "info"
	atWarning = "warning"
	atError   = "error"
)

// Every test but those of CRON_TZ reads the schedule in UTC, whatever the machine's zone.
func TestMain(m *testing.M) {
	time.Local = time.UTC
	os.Exit(m.Run())
}

// bed runs a daemon in a bubble of testing/synctest, whose clock starts at midnight of 2000-01-01, UTC, and jumps to the
// next timer as soon as all wait. It is the daemon's Taker: the run with the index n is whatever run[n] says, and good
// beyond the end of run.
type bed struct {
	t      *testing.T
	opts   daemon.Options
	store  *memStore
	log    *logtest.Hook
	origin time.Time
	begun  []time.Duration // since origin, one for each run
	run    []outcome
	always outcome // of every run that run does not name
	busy   bool
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
	s, err := daemon.ParseSchedule(spec, 0, node)
	if err != nil {
		t.Fatal(err)
	}
	b := &bed{t: t, log: hook, store: &memStore{told: map[snapshot.Name]snapshot.Manifest{}}, origin: time.Now()}
	b.opts = daemon.Options{
		Node: node, Schedule: s, Policy: retention.Policy{Last: 3}, Taker: b, Store: b.store, Log: log,
	}
	return b
}

// runFor lets a new daemon run for so long, and demands that it ends well and at once.
func (b *bed) runFor(d time.Duration) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), d)
	defer cancel()
	began := time.Now()
	if err := daemon.New(b.opts).Run(ctx); err != nil {
		b.t.Fatalf("Run: %v", err)
	}
	if took := time.Since(began); took != d {
		b.t.Fatalf("Run ended after %s, was stopped after %s", took, d)
	}
}

// start lets a new daemon run until it gives up by itself.
func (b *bed) start() error { return daemon.New(b.opts).Run(b.t.Context()) }

// Take implements daemon.Taker.
func (b *bed) Take(ctx context.Context, log logrus.FieldLogger, alive func()) (snapshot.Taken, error) {
	if b.busy {
		b.t.Error("a run began while another was going on")
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
	t := taken(b.t, began)
	if o.change != nil {
		o.change(&t)
	}
	b.store.add(t.Entry)
	b.store.told[t.Name] = t.Manifest
	return t, nil
}

func taken(t *testing.T, began time.Time) snapshot.Taken {
	t.Helper()
	return snapshot.Taken{
		Entry:    snapshot.Entry{Name: name(t, snapshot.RollingSet, node, began), Size: 1000},
		Manifest: snapshot.Manifest{RawSize: 5000, Source: snapshot.Source{Revision: 42, Healthy: true}},
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
	all := slices.DeleteFunc(b.log.AllEntries(), func(e *logrus.Entry) bool { return e.Message != "kept snapshot" })
	if len(all) != want {
		b.t.Fatalf("%d cycles kept a snapshot, want %d", len(all), want)
	}
	return all
}

// missed are the first of the runs that were passed over each time.
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

// memStore is a daemon.Store that fails on demand.
type memStore struct {
	mu                  sync.Mutex // what runs beside the cycles looks into it too
	entries             []snapshot.Entry
	told                map[snapshot.Name]snapshot.Manifest
	manifests           int // how many were read
	partials            []string
	removed             []string
	listErr, partialErr error
	removeErr           map[string]error          // by name
	prove               func(snapshot.Name) error // of a file in the place of a damaged one
}

func (s *memStore) add(e ...snapshot.Entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.entries = append(s.entries, e...)
}

// fail has each listing fail with an error, or none.
func (s *memStore) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.listErr = err
}

func (s *memStore) names() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []string
	for _, e := range s.entries {
		out = append(out, e.Name.String())
	}
	return out
}

func (s *memStore) List() (snapshot.Listing, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	slices.SortFunc(s.entries, func(a, b snapshot.Entry) int {
		return cmp.Or(b.Name.Time.Compare(a.Name.Time), cmp.Compare(a.Name.String(), b.Name.String()))
	})
	return snapshot.Listing{Snapshots: slices.Clone(s.entries)}, s.listErr
}

func (s *memStore) Remove(ctx context.Context, n snapshot.Name) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := errors.Join(ctx.Err(), s.removeErr[n.String()]); err != nil {
		return err
	}
	i := slices.IndexFunc(s.entries, func(e snapshot.Entry) bool { return e.Name == n })
	if i < 0 {
		return snapshot.ErrNotFound
	}
	s.entries = slices.Delete(s.entries, i, i+1)
	s.removed = append(s.removed, n.String())
	return nil
}

// Manifest implements daemon.Store; all are alike but those of the daemon's own.
func (s *memStore) Manifest(n snapshot.Name) (snapshot.Manifest, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.manifests++
	if i := slices.IndexFunc(s.entries, func(e snapshot.Entry) bool { return e.Name == n }); i < 0 {
		return snapshot.Manifest{}, snapshot.ErrNotFound
	}
	if m, ok := s.told[n]; ok {
		return m, nil
	}
	return snapshot.Manifest{RawSize: 5000, Source: snapshot.Source{Revision: 42, Healthy: true}}, nil
}

func (s *memStore) VerifyChecksum(_ context.Context, n snapshot.Name) error { return s.prove(n) }

func (s *memStore) RemovePartials(ctx context.Context) ([]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	gone := s.partials
	s.partials = nil
	return gone, errors.Join(ctx.Err(), s.partialErr)
}
