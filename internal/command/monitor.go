package command

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"slices"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/urfave/cli/v2"

	"etcd-rolling-backup/daemon"
	"etcd-rolling-backup/metrics"
)

// listenOff is the one --listen that switches the server off. An empty one, as of a variable that is not set, would leave the
// daemon alone without anybody having wished it.
const listenOff = "off"

// monitor says how others learn how the daemon is.
type monitor struct {
	listen, webConfig string            // listen is "" where nobody is to ask
	heartbeat         *daemon.Heartbeat // nil: there is none
	log               *logWriter        // the daemon's own, whose trouble is told too
}

// monitorOptions reads the group monitoring; it opens nothing.
func monitorOptions(c *cli.Context) (monitor, error) {
	w := monitor{webConfig: c.String("web-config")}
	var err error
	if w.listen, err = listen(c); err != nil {
		return w, err
	}
	if w.listen == "" && w.webConfig != "" {
		return w, usagef("--web-config is given and --listen is off: leave one of them out")
	}
	if address := c.String("heartbeat-url"); address != "" || c.IsSet("heartbeat-url") { // set to nothing it would be silent for ever
		if w.heartbeat, err = daemon.NewHeartbeat(address); err != nil {
			return w, usagef("--heartbeat-url: %w", err)
		}
	}
	return w, nil
}

// listen is --listen, "" for off.
func listen(c *cli.Context) (string, error) {
	address := c.String("listen")
	switch address {
	case listenOff:
		return "", nil
	case "":
		where := "--listen"
		if variable := envVars("listen")[0]; slices.Contains(os.Environ(), variable+"=") {
			where = "$" + variable
		}
		return "", usagef("%s is empty: give HOST:PORT or :PORT, or off for no metrics and no status page", where)
	}
	_, port, err := net.SplitHostPort(address)
	if err != nil || port == "" {
		return "", usagef("--listen: %q is not HOST:PORT, :PORT or off", address)
	}
	if _, err := net.DefaultResolver.LookupPort(c.Context, "tcp", port); err != nil {
		return "", usagef("--listen: %q: there is no port %s: give a number up to 65535, or the name of a service", address, port)
	}
	return address, nil
}

// open takes the address and lets the daemon tell of its work. What is taken is given back with the process. The address
// taken is "" where there is none.
func (w monitor) open(c *cli.Context, e env, t *taker, o *daemon.Options) (address string, err error) {
	if w.heartbeat != nil {
		o.Heartbeat = w.heartbeat.Send
	}
	if len(c.StringSlice("endpoints")) == 1 { // of several the snapshot may be of any
		t.recall()
	}
	r, home := newRestorer(c, t.called), newSameDir(t.dir.Path())
	t.metrics = metrics.New(metrics.Options{
		Version: e.version, Node: o.Node, Mirror: o.Mirror != nil, Verify: o.Drill != nil, Drill: o.Drill != nil, FreeBytes: t.dir.Free, MinFree: t.options.MinFree,
		Proves: metrics.Place(c.String("drill-from")), Others: func() []string { return append(home.reasons(), w.log.reasons()...) },
		RestoreCommand: r.line, RestoreNotes: restoreNotes(c),
	})
	o.Recorder, o.Reason = t.metrics, reason
	o.Health = func() []string {
		home.look()
		_, reasons := t.metrics.Health(time.Now())
		return reasons
	}
	if w.listen == "" { // log and heartbeat tell all the same
		return "", nil
	}
	log, health := o.Log, o.Health
	server, err := metrics.Open(c.Context, metrics.ServerOptions{
		Addr: w.listen, WebConfig: w.webConfig, Handler: t.metrics.Handler(), Log: serverLog(log),
	})
	if err != nil {
		return "", webConfigMend(err)
	}
	o.Health = func() []string {
		reasons := health()
		if err := server.Check(); err != nil { // who asks gets no answer, so log and heartbeat have to tell
			reasons = append(reasons, "nobody can ask how it is: "+err.Error())
		}
		return reasons
	}
	o.Serve = func(ctx context.Context) {
		if err := server.Serve(ctx); err != nil {
			log.WithError(err).Error("metrics are not served any more; backups go on")
		}
	}
	return server.Addr().String(), nil
}

// webConfigMend names the flag.
func webConfigMend(err error) error {
	if errors.Is(err, metrics.ErrWebConfig) {
		return usagef("--web-config: %w", err)
	}
	return err
}

// serverLog takes what the server's library has to say; its small talk only where all is wanted.
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
