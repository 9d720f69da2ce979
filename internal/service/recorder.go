package service

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sirupsen/logrus"

	"etcd-rolling-backup/daemon"
	"etcd-rolling-backup/daemon/status"
	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/journal"
	"etcd-rolling-backup/snapshot/member"
)

// segmentSize is at which size a segment is completed, bytes.
const segmentSize = 8 << 20

// beginSize is the room that a journal needs to begin, bytes: more than it needs to go on, so that it does not stop again immediately.
const beginSize = 2 * segmentSize

// recorder records the journal of this node. Each recording connects with the certificates and the password of that time, and continues behind
// the newest complete segment, or begins a new range.
type recorder struct {
	config  func() config.Config
	etcd    *finder
	dir     *snapshot.Dir
	version string
	log     logrus.FieldLogger
	pauses  recorderPauses
	clock   func(time.Time) time.Time // what the clock on the wall shows at a time; nil: that time

	right  *snapshot.Presence // to record; nil: not yet
	at     position
	turn   int          // which endpoint is asked first
	owed   atomic.Bool  // a snapshot of this member is needed
	newest atomic.Int64 // the size of the newest snapshot, bytes
}

// recorderPauses are those between two questions.
type recorderPauses struct{ progress, base time.Duration }

func newRecorder(now func() config.Config, etcd *finder, dir *snapshot.Dir, version string, log logrus.FieldLogger) *recorder {
	return &recorder{
		config: now, etcd: etcd, dir: dir, version: version, log: log, pauses: recorderPauses{progress: 5 * time.Second, base: time.Minute},
	}
}

// now is what the clock on the wall shows.
func (r *recorder) now() time.Time {
	if r.clock == nil {
		return time.Now()
	}
	return r.clock(time.Now())
}

func (r *recorder) close() {
	if r.right != nil {
		_ = r.right.Close() // the kernel closes it in any case
	}
}

// Reason implements daemon.Journal.
func (r *recorder) Reason(err error) status.Reason { return journalReason(err) }

// Record implements daemon.Journal.
func (r *recorder) Record(ctx context.Context, events daemon.JournalEvents) error {
	cfg := r.config()
	if err := r.prepare(ctx, cfg); err != nil {
		return err
	}
	m, err := r.connect(ctx, cfg)
	if err != nil {
		return err
	}
	err = r.record(ctx, cfg, m, events)
	if why := journalReason(err); ctx.Err() == nil && why != status.LowSpace && why != status.Disk {
		r.turn++ // another member may do better
	}
	return errors.Join(err, m.Close())
}

// prepare does what needs no etcd.
func (r *recorder) prepare(ctx context.Context, cfg config.Config) (err error) {
	if r.right == nil {
		if r.right, err = r.dir.EnterJournal(cfg.Store.Node); err != nil {
			return fmt.Errorf("%w: stop one of the two daemons, or give each its own --dir or --node", err)
		}
	}
	l, err := r.dir.List()
	if err != nil {
		return err
	}
	r.newestBase(cfg.Store.Node, l)
	if err := r.room(beginSize); err != nil {
		return err
	}
	return r.resume(ctx, cfg.Store.Node, l)
}

// record opens a watch and records it.
func (r *recorder) record(ctx context.Context, cfg config.Config, m *member.Member, events daemon.JournalEvents) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	start := r.plan(m, cfg.Journal.MaxBehind)
	there, err := r.snapshots()
	if err != nil {
		return err
	}
	from, tail := start.Revision, journal.Tail{}
	if start.New == "" {
		if from, tail, err = r.tail(ctx, cfg, m); err != nil {
			return err
		}
	}
	late := time.AfterFunc(cfg.Etcd.Timeout, func() { cancel(fmt.Errorf("no answer within %s: %w", cfg.Etcd.Timeout, context.DeadlineExceeded)) })
	w, err := m.Watch(ctx, from)
	if late.Stop(); ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return r.ended(from, fmt.Errorf("open the watch at %s: %w", m.Endpoint(), err))
	}
	if start.New != "" {
		r.begin(m.Source().ClusterID, start.Revision, there)
	}
	events.Opened(start)
	r.at.head, r.at.there = w.Head, there
	at := r.at // which Sealed moves
	s := &recorded{events: events, last: at.next(), at: at.time, now: r.now}
	s.set(at.next(), w.Head)
	src, quiet := m.Source(), newQuietNote(r.dir, cfg.Store.Node, at, start.New != "", r.log)
	o := journal.Options{
		Header: journal.Header{
			Node: cfg.Store.Node, ClusterID: src.ClusterID, MemberID: src.MemberID, EtcdVersion: src.EtcdVersion, ToolVersion: r.version, Restored: at.back,
		},
		Sync: cfg.Journal.Sync, Seal: cfg.Journal.Segment, SealSize: segmentSize, Timeout: cfg.Etcd.Timeout,
		Clock: r.clock, From: at.from, Tail: tail, Room: func() error { return r.room(segmentSize) }, Seen: s.set, Quiet: quiet.set,
		Sealed: func(m journal.Manifest) {
			r.at.sealed(m)
			r.log.WithFields(logrus.Fields{"segment": m.Name, "events": m.Events}).Debug("segment of the journal complete")
			events.Sealed()
		},
	}
	var alongside sync.WaitGroup
	alongside.Go(func() { every(ctx, time.Second, s.report) })
	alongside.Go(func() { every(ctx, r.pauses.progress, func() { _ = w.RequestProgress() }) }) // the watch itself ends with the same error
	alongside.Go(func() { quiet.run(ctx) })
	alongside.Go(func() {
		every(ctx, r.pauses.base, func() {
			if err := r.checkBase(ctx, cfg, m, at, events); err != nil {
				cancel(err)
			}
		})
	})
	err = journal.NewRecorder(r.dir, o, at.last, at.digest).Run(ctx, w, m, w.Head)
	cancel(err)
	alongside.Wait()
	s.report()
	return r.ended(from, err)
}

// connect asks the endpoints one after another for a member that has everything that the cluster has acknowledged.
func (r *recorder) connect(ctx context.Context, cfg config.Config) (*member.Member, error) {
	all, err := r.etcd.member()
	if err != nil {
		return nil, err
	}
	all.KeepAlive, all.Gentle = true, true
	for i := range all.Endpoints {
		one, turn := all, (r.turn+i)%len(all.Endpoints)
		one.Endpoints = all.Endpoints[turn : turn+1]
		m, failed := r.try(ctx, one, cfg.Etcd.Timeout)
		if failed == nil && len(all.Endpoints) > 1 && !r.at.of(m.Source().ClusterID) { // before a gap: do the endpoints belong together?
			var other *member.Member
			if other, failed = member.Connect(ctx, all); failed == nil {
				failed = other.Close()
			}
			if failed != nil {
				failed = errors.Join(failed, m.Close())
			}
		}
		if failed == nil {
			r.turn = turn
			return m, nil
		}
		if err = errors.Join(err, failed); ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
	}
	return nil, err
}

// try connects to one endpoint.
func (r *recorder) try(ctx context.Context, one member.Config, timeout time.Duration) (*member.Member, error) {
	m, err := member.Connect(ctx, one)
	if err = r.etcd.connected(err); err != nil {
		return nil, err
	}
	limited, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if err := m.CatchUp(limited); err != nil {
		return nil, errors.Join(fmt.Errorf("%w %s: %w", member.ErrConnect, m.Endpoint(), err), m.Close())
	}
	return m, nil
}

// recorded is how far the journal is. It is reported now and then, and not at each response.
type recorded struct {
	mu         sync.Mutex
	events     daemon.JournalEvents
	last, head int64
	at         time.Time
	now        func() time.Time
	fresh      bool // something is not reported yet
}

func (s *recorded) set(last, head int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if last > s.last {
		s.last, s.at = last, s.now().Round(0) // of the clock on the wall, as all times of the status
	}
	s.head, s.fresh = max(head, s.last), true
}

func (s *recorded) report() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fresh {
		s.fresh = false
		s.events.Reached(s.last, s.at, s.head)
	}
}

// every calls do now, and again and again.
func every(ctx context.Context, pause time.Duration, do func()) {
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for do(); ; do() {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
