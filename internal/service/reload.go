package service

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/sirupsen/logrus"

	"etcd-rolling-backup/daemon"
	"etcd-rolling-backup/daemon/status"
	"etcd-rolling-backup/internal/config"
)

// reloader reads the settings of a running daemon again, all or nothing. Only one reload is under way at a time.
type reloader struct {
	process Process
	log     *logrus.Logger
	current atomic.Pointer[config.Config]
	failed  atomic.Pointer[status.Problem] // nil: the last reload succeeded, or there was none
	read    []config.Setting               // of the settings in effect, except for those that wait for a restart
}

func newReloader(cfg config.Config, p Process, log *logrus.Logger) *reloader {
	r := &reloader{process: p, log: log, read: p.Settings}
	r.current.Store(&cfg)
	return r
}

// config are the settings in effect. Whoever works in passes reads them at the beginning of each.
func (r *reloader) config() config.Config { return *r.current.Load() }

// reload is daemon.Options.Reload.
func (r *reloader) reload(ctx context.Context) (daemon.Settings, error) {
	cfg, fresh, err := r.next(ctx)
	if err != nil {
		if ctx.Err() == nil {
			r.refuse(err)
		}
		return daemon.Settings{}, err
	}
	r.current.Store(&cfg) // before the log says so
	r.failed.Store(nil)
	changed, restart := config.Changed(r.read, fresh.Settings)
	level, _ := logrus.ParseLevel(cfg.Log.Level.String()) // knows all of them
	r.log.SetLevel(max(level, r.log.GetLevel()))          // whoever asks for fewer lines still sees this one
	const done = "settings reloaded"
	if log := r.log.WithField("changed", list(changed)); len(restart) > 0 {
		log.WithField("needs_restart", list(restart)).Warn(done)
	} else {
		log.Info(done)
	}
	r.log.SetLevel(level)
	r.read = config.Merge(r.read, fresh.Settings)
	warnExposed(r.log, fresh.Config, fresh.Sources)
	return daemon.Settings{
		Schedule: cfg.Schedule, Policy: cfg.Policy, OrphanAfter: cfg.Store.OrphanAfter, JournalKeep: cfg.Journal.Keep, Drill: drillSettings(cfg.Drill),
	}, nil
}

// refuse logs and records why the old settings stay.
func (r *reloader) refuse(err error) {
	remedy := "correct this and reload, before the daemon is restarted"
	if errors.Is(err, errTogether) {
		remedy = "restart the daemon"
	}
	r.failed.Store(&status.Problem{
		Code: status.CodeReloadFailed, Since: time.Now(), Text: fmt.Sprintf("the last reload failed, and the old settings stay: %s: %s", ErrorLine(err), remedy),
	})
	r.log.WithField("error", ErrorLine(err)).Error("reload failed; the old settings stay")
}

// errTogether marks settings that are right, and of which a reload takes over only a part that is not.
var errTogether = errors.New("only a restart can change these settings together")

// next reads the settings and checks them as a start does, and again as they are in effect until a restart.
func (r *reloader) next(ctx context.Context) (cfg config.Config, fresh config.Reading, err error) {
	if fresh, err = r.process.Reread(ctx); err != nil {
		return cfg, fresh, err
	}
	if err := fresh.Config.Check(ctx); err != nil {
		return cfg, fresh, err
	}
	cfg = r.config().Reload(fresh.Config)
	if err := cfg.Check(ctx); err != nil {
		return cfg, fresh, fmt.Errorf("%w: %w", errTogether, err)
	}
	return cfg, fresh, nil
}

// problems are those of the last reload.
func (r *reloader) problems() []status.Problem {
	if p := r.failed.Load(); p != nil {
		return []status.Problem{*p}
	}
	return nil
}

// list is logged as a list in JSON, and joined by commas in text.
type list []string

// String implements fmt.Stringer.
func (l list) String() string { return strings.Join(l, ", ") }
