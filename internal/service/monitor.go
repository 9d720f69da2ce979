package service

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"github.com/sirupsen/logrus"

	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/metrics"
	"etcd-rolling-backup/snapshot"
)

// monitor knows how the daemon is, and answers those who ask.
type monitor struct {
	metrics *metrics.Metrics
	server  *metrics.Server // nil: --listen is off
	home    *sameDir
	log     logrus.FieldLogger
}

// monitorParts are what the monitor looks at.
type monitorParts struct {
	member *memberName
	lines  *LogWriter
	log    logrus.FieldLogger
}

// openMonitor takes the address of --listen. It is given back when the process exits.
func openMonitor(ctx context.Context, cfg config.Config, p Process, dir *snapshot.Dir, parts monitorParts) (*monitor, error) {
	m := &monitor{home: newSameDir(dir.Path()), log: parts.log}
	r := newRestorer(p.Program, cfg, parts.member.get)
	m.metrics = metrics.New(metrics.Options{
		Version: p.Version, Node: cfg.Store.Node, Mirror: cfg.S3 != nil, Verify: cfg.Drill.Schedule != nil, Drill: cfg.Drill.Schedule != nil,
		FreeBytes: dir.Free, MinFree: cfg.Store.MinFree, Proves: metrics.Place(cfg.Drill.From),
		Others:         func() []string { return append(m.home.problems(), parts.lines.problems()...) },
		RestoreCommand: r.line, RestoreNotes: restoreNotes(cfg.S3),
	})
	if cfg.Monitor.Listen == "" { // log and heartbeat report all the same
		return m, nil
	}
	var err error
	m.server, err = OpenServer(ctx, cfg.Monitor, m.metrics.Handler(), serverLog(parts.log))
	return m, err
}

// health says why the daemon is unhealthy, if it is.
func (m *monitor) health() []string {
	m.home.look()
	_, reasons := m.metrics.Health(time.Now())
	if m.server != nil {
		if err := m.server.Check(); err != nil { // whoever asks gets no answer, so log and heartbeat must report it
			reasons = append(reasons, "metrics and status page do not answer: "+err.Error())
		}
	}
	return reasons
}

// serve is the server's loop; nil without a server.
func (m *monitor) serve() func(context.Context) {
	if m.server == nil {
		return nil
	}
	return func(ctx context.Context) {
		if err := m.server.Serve(ctx); err != nil {
			m.log.WithError(err).Error("metrics and status page are no longer served; backups continue")
		}
	}
}

// serverLog passes on what the server's library logs; its routine messages only at debug level.
func serverLog(log logrus.FieldLogger) metrics.Log {
	return func(level slog.Level, message string, fields map[string]any) {
		l := log.WithFields(fields)
		switch {
		case level >= slog.LevelError:
			l.Error(message)
		case level >= slog.LevelWarn:
			l.Warn(message)
		default:
			l.Debug(message)
		}
	}
}

// OpenServer takes the address; nothing is answered yet. Errors of the web configuration name its flag.
func OpenServer(ctx context.Context, m config.Monitor, h http.Handler, log metrics.Log) (*metrics.Server, error) {
	s, err := metrics.Open(ctx, metrics.ServerOptions{Addr: m.Listen, WebConfig: m.WebConfig, Handler: h, Log: log})
	if errors.Is(err, metrics.ErrWebConfig) {
		err = config.Usagef("--web-config: %w", err)
	}
	return s, err
}

// sameDir watches that a directory stays the same as at the start. When its disk is unmounted, or another is mounted over it, snapshots
// continue, in another place and without their history.
type sameDir struct {
	dir   string
	first os.FileInfo // nil: it could not be read, and nothing is reported
	busy  atomic.Bool // a look is under way, for as long as the file system takes
	other atomic.Bool
}

func newSameDir(dir string) *sameDir {
	first, err := os.Stat(dir)
	if err != nil {
		first = nil
	}
	return &sameDir{dir: dir, first: first}
}

// look starts a look and returns immediately, for a file system whose server is down may never answer. A directory that cannot be read is
// reported by whoever lists it.
func (d *sameDir) look() {
	if d.first == nil || !d.busy.CompareAndSwap(false, true) {
		return
	}
	go func() {
		defer d.busy.Store(false)
		if now, err := os.Stat(d.dir); err == nil {
			d.other.Store(!os.SameFile(d.first, now))
		}
	}()
}

// problems are what was seen at the last look.
func (d *sameDir) problems() []string {
	if !d.other.Load() {
		return nil
	}
	return []string{d.dir + " is not the same directory as at the start: its disk was unmounted, or another was mounted over it: mount it again, or restart the daemon if this is intended"}
}
