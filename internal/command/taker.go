package command

import (
	"context"
	"errors"

	"github.com/sirupsen/logrus"

	"etcd-rolling-backup/daemon"
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
	log     logrus.FieldLogger
}

// Take implements daemon.Taker.
func (t *taker) Take(ctx context.Context, alive func()) (snapshot.Taken, error) {
	o := t.options
	show := o.Progress
	o.Progress = func(done, total int64) {
		alive()
		if show != nil {
			show(done, total)
		}
	}
	return t.take(ctx, o)
}

func (t *taker) take(ctx context.Context, o snapshot.TakeOptions) (taken snapshot.Taken, err error) {
	cfg, err := t.connect()
	if err != nil {
		return taken, err
	}
	m, err := member.Connect(ctx, cfg)
	if err != nil {
		return taken, err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	if silent := m.Silent(); silent != nil {
		t.log.WithField("endpoint", m.Endpoint()).Warnf("an endpoint does not answer; taking the next: %s", line(silent))
	}
	if err := t.role.Choose(m.Leader(), m.Source().Healthy); err != nil {
		return taken, err
	}
	return snapshot.Take(ctx, m, t.dir, o)
}
