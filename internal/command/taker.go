package command

import (
	"context"
	"errors"
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
	m, err := member.Connect(ctx, cfg)
	if err != nil {
		return taken, err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	t.saw(m)
	if silent := m.Silent(); silent != nil {
		log.WithField("endpoint", m.Endpoint()).Warnf("an endpoint does not answer; taking the next: %s", line(silent))
	}
	if err := t.role.Choose(m.Leader(), m.Source().Healthy); err != nil {
		return taken, err
	}
	return snapshot.Take(ctx, m, t.dir, o)
}

// saw hands on what a member said of itself when the connection was made.
func (t *taker) saw(m *member.Member) {
	if t.metrics != nil {
		s := m.Source()
		t.metrics.Member(time.Now(), m.DBSize(), s.Healthy, s.Alarms)
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
	m, err := member.Connect(ctx, cfg)
	if err != nil {
		return err
	}
	t.saw(m)
	return m.Close()
}
