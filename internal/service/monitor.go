package service

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/sirupsen/logrus"

	"etcd-rolling-backup/daemon/status"
	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/metrics"
	"etcd-rolling-backup/metrics/page"
	"etcd-rolling-backup/snapshot"
)

// monitor knows how the daemon is, and answers those who ask.
type monitor struct {
	status   *status.Tracker
	lines    *LogWriter
	log      logrus.FieldLogger
	home     *home
	settings *reloader
	server   *metrics.Server // nil: --listen is off; log and heartbeat report all the same
}

// listen takes the address of --listen. It is released when the process exits.
func (m *monitor) listen(ctx context.Context, cfg config.Config, p Process, dir *snapshot.Dir, member *memberName) (err error) {
	if cfg.Monitor.Listen == "" {
		return nil
	}
	shown := metrics.New(metrics.Options{
		Version: p.Version, State: m.status.State, Problems: m.shownProblems, FreeBytes: dir.Free, MinFree: func() int64 { return m.settings.config().Store.MinFree },
		Audience: metrics.Audience{WebConfig: cfg.Monitor.WebConfig, Network: cfg.Monitor.PageForNetwork},
		Page: page.Options{
			Version: p.Version, Node: cfg.Store.NodeName(), RestoreCommand: restoreLine(p.Program, cfg, p.Sources, member.get), RestoreNotes: restoreNotes(cfg.S3, p.Sources),
		},
	})
	m.server, err = OpenServer(ctx, cfg.Monitor, shown.Handler(), debugLines{m.log})
	if err != nil && cfg.Monitor.Optional {
		m.log.WithError(err).Warn("metrics and status page are not served; backups continue")
		return nil
	}
	return err
}

// shownProblems are why the daemon is unhealthy, if it is, for those who ask its server.
func (m *monitor) shownProblems() []status.Problem {
	return status.Fold(slices.Concat(m.home.problems(), m.settings.problems(), m.status.Problems(), m.lines.problems()))
}

// problems are those for log and heartbeat. They also report a server that answers nobody.
func (m *monitor) problems() []status.Problem {
	m.home.look()
	all := m.shownProblems()
	if m.server != nil {
		if err := m.server.Check(); err != nil {
			all = append(all, status.Problem{Code: "server", Text: "metrics and status page do not answer: " + err.Error()})
		}
	}
	return all
}

// serve is the server's loop.
func (m *monitor) serve(ctx context.Context) {
	if m.server == nil {
		return
	}
	if err := m.server.Serve(ctx); err != nil {
		m.log.WithError(err).Error("metrics and status page are no longer served; backups continue")
	}
}

// debugLines logs what net/http has to say of its connections: scanners and probes abort them all day.
type debugLines struct{ log logrus.FieldLogger }

// Write implements io.Writer.
func (d debugLines) Write(p []byte) (int, error) {
	d.log.Debug(strings.TrimSpace(string(p)))
	return len(p), nil
}

// OpenServer takes the address; nothing is answered yet. Errors of the web configuration name its flag.
func OpenServer(ctx context.Context, m config.Monitor, h http.Handler, log io.Writer) (*metrics.Server, error) {
	s, err := metrics.Open(ctx, metrics.ServerOptions{Addr: m.Listen, WebConfig: m.WebConfig, Handler: h, Log: log})
	if errors.Is(err, metrics.ErrWebConfig) {
		err = config.Usagef("--web-config: %w", err)
	}
	return s, err
}
