package service

import (
	"context"
	"time"

	"github.com/sirupsen/logrus"

	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/member"
	"etcd-rolling-backup/snapshot/pace"
)

// pacing is how fast streams are read.
type pacing struct {
	rate     pace.Rate
	interval time.Duration // between two snapshots of the schedule; 0: there is none
}

// pacingOf reads it from the settings in effect at the beginning of a snapshot.
func pacingOf(cfg config.Config, now time.Time) pacing {
	p := pacing{rate: cfg.Etcd.StreamRate}
	if cfg.Schedule.String() != "" {
		next := cfg.Schedule.Next(now)
		p.interval = max(cfg.Schedule.Next(next).Sub(next), 0) // 0 also if there is none within years
	}
	return p
}

// slowDown adds the pace to the options of a snapshot, after a measurement of up to a second where it is automatic. The returned function
// ends the measurement. What can't be measured fails no snapshot.
func (p pacing) slowDown(ctx context.Context, m *member.Member, o *snapshot.TakeOptions, log logrus.FieldLogger) (end func() snapshot.Latency) {
	nothing := func() snapshot.Latency { return snapshot.Latency{} }
	switch p.rate {
	case pace.Off:
		return nothing
	case pace.Auto:
	default:
		o.Slow = pace.Fixed(p.rate)
		return nothing
	}
	probe, err := m.NewProbe(ctx)
	if err != nil {
		if ctx.Err() == nil {
			log.WithField("error", ErrorLine(err)).Warnf("etcd's latency can't be measured; reading the snapshot at %s per second", pace.Unmeasured)
		}
		o.Slow = pace.Fixed(pace.Unmeasured)
		return nothing
	}
	pacer := pace.Measure(ctx, probe, pace.Limits{Size: m.DBSize(), Interval: p.interval})
	o.Slow = pacer.Slow
	return func() snapshot.Latency {
		latency := pacer.Close()
		if err := probe.Close(); err != nil {
			log.WithError(err).Debug("the measurement's connection")
		}
		return latency
	}
}
