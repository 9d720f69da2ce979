package command

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/sirupsen/logrus"

	"etcd-rolling-backup/daemon"
	"etcd-rolling-backup/metrics"
	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/member"
)

// taker takes a snapshot of the configured member into the local directory. Each run connects anew, with
// certificates and password as they are on the disk then.
type taker struct {
	connect func() (member.Config, error)
	role    daemon.Role
	dir     *snapshot.Dir
	options snapshot.TakeOptions
	metrics *metrics.Metrics // nil: nobody asks

	mu   sync.Mutex
	name string // of the member, "" until it is known
}

// Take implements daemon.Taker.
func (t *taker) Take(ctx context.Context, log logrus.FieldLogger, alive func()) (snapshot.Taken, error) {
	o := t.options
	show := o.Progress
	o.Progress = func(done, total int64) {
		alive()
		if show != nil {
			show(done, total)
		}
	}
	return t.take(ctx, log, o)
}

func (t *taker) take(ctx context.Context, log logrus.FieldLogger, o snapshot.TakeOptions) (taken snapshot.Taken, err error) {
	cfg, err := t.connect()
	if err != nil {
		return taken, err
	}
	m, err := t.reach(ctx, cfg)
	if err != nil {
		return taken, err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	if silent := m.Silent(); silent != nil {
		log.WithField("endpoint", m.Endpoint()).Warnf("an endpoint does not answer; taking the next: %s", line(silent))
	}
	if err := t.role.Choose(m.Leader(), m.Source().Healthy, voters(m.Source())); err != nil {
		return taken, err
	}
	return snapshot.Take(ctx, m, t.dir, o)
}

// reach connects, and hands on what came of it. A member that refuses us has answered.
func (t *taker) reach(ctx context.Context, cfg member.Config) (*member.Member, error) {
	m, err := member.Connect(ctx, cfg)
	switch {
	case err == nil:
		t.saw(m)
	case t.metrics != nil && ctx.Err() == nil && reason(metrics.Snapshots, err) == metrics.Unreachable:
		t.metrics.MemberAway(time.Now())
	}
	return m, err
}

// firstLook is how long the start waits for etcd: who asks how the daemon is waits as long.
const firstLook = 2 * time.Second

// greet looks for etcd before the daemon begins. Endpoints of different clusters are an error of configuration, seen only by asking. An etcd
// that is down is none: the daemon waits for it.
func (t *taker) greet(ctx context.Context, log logrus.FieldLogger) error {
	cfg, err := t.connect()
	if err != nil {
		return err
	}
	first, cancel := context.WithTimeout(ctx, firstLook)
	defer cancel()
	m, err := t.reach(first, cfg)
	switch {
	case err == nil:
		return m.Close()
	case exitStatus(err) == exitUsage:
		return err
	case ctx.Err() == nil: // else it is stopped already
		log.WithField("error", line(err)).Warn("etcd does not answer yet")
	}
	return nil
}

// saw hands on what a member said of itself when the connection was made.
func (t *taker) saw(m *member.Member) {
	s := m.Source()
	if m.Silent() == nil { // else it may be another node's, which stands in for the silent one
		t.call(memberName(s))
	}
	if t.metrics != nil {
		t.metrics.Member(time.Now(), m.DBSize(), s.Healthy, s.Alarms)
	}
}

// memberName is what the member is called that the source tells of; "" where it is not told, as of a learner.
func memberName(s snapshot.Source) string {
	for _, m := range s.Members {
		if m.ID == s.MemberID {
			return m.Name
		}
	}
	return ""
}

// voters is how many members are no learners, which give no snapshots.
func voters(s snapshot.Source) int {
	n := 0
	for _, m := range s.Members {
		if !m.Learner {
			n++
		}
	}
	return n
}

// call notes the member's name where it is told.
func (t *taker) call(name string) {
	if name == "" {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.name = name
}

// called is the name of the member as far as it is known by now. It asks nobody.
func (t *taker) called() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.name
}

// recall learns the member's name from the newest snapshot that the daemon took on this node: one that starts when etcd is gone
// for good has nobody else to ask. What can't be read is told when the work begins.
func (t *taker) recall() {
	l, err := t.dir.List()
	if err != nil {
		return
	}
	for _, e := range l.Snapshots {
		if e.Name.Set != snapshot.RollingSet || e.Name.Node != t.options.Node {
			continue
		}
		if m, err := t.dir.Manifest(e.Name); err == nil {
			t.call(memberName(m.Source))
			return
		}
	}
}

// lookInterval is how often etcd is asked how it is between two snapshots.
const lookInterval = time.Minute

// lookLoop asks etcd again and again. That it does not answer is no news here: the metrics tell when it last did.
func (t *taker) lookLoop(ctx context.Context, log logrus.FieldLogger) {
	tick := time.NewTicker(lookInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := t.look(ctx); err != nil && ctx.Err() == nil {
			log.WithField("error", line(err)).Debug("looked for etcd in vain")
		}
	}
}

// look reads the member's status. With a user each connection is a login, which costs etcd more than the answer is worth.
func (t *taker) look(ctx context.Context) error {
	cfg, err := t.connect()
	if err != nil || cfg.User != "" {
		return err
	}
	m, err := t.reach(ctx, cfg)
	if err != nil {
		return err
	}
	return m.Close()
}
