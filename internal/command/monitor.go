package command

import (
	"context"
	"errors"
	"log/slog"
	"net"

	"github.com/sirupsen/logrus"
	"github.com/urfave/cli/v2"

	"etcd-rolling-backup/daemon"
	"etcd-rolling-backup/metrics"
)

// listenOff is the --listen that switches the server off; so does an empty one.
const listenOff = "off"

// monitor says how others learn how the daemon is.
type monitor struct {
	listen, webConfig string            // listen is "" where nobody is to ask
	heartbeat         *daemon.Heartbeat // nil: there is none
}

// monitorOptions reads the group monitoring; it opens nothing.
func monitorOptions(c *cli.Context) (monitor, error) {
	w := monitor{listen: c.String("listen"), webConfig: c.String("web-config")}
	if w.listen == listenOff {
		w.listen = ""
	}
	if _, port, err := net.SplitHostPort(w.listen); w.listen != "" && (err != nil || port == "") {
		return w, usagef("--listen: %q is not HOST:PORT, :PORT or off", w.listen)
	}
	if w.listen == "" && w.webConfig != "" {
		return w, usagef("--web-config is given and --listen is off: leave one of them out")
	}
	if address := c.String("heartbeat-url"); address != "" {
		var err error
		if w.heartbeat, err = daemon.NewHeartbeat(address); err != nil {
			return w, usagef("--heartbeat-url: %w", err)
		}
	}
	return w, nil
}

// open takes the address and lets the daemon tell of its work. What is taken is given back with the process. The address
// taken is "" where there is none.
func (w monitor) open(c *cli.Context, e env, t *taker, o *daemon.Options) (address string, err error) {
	if w.heartbeat != nil {
		o.Heartbeat = w.heartbeat.Send
	}
	if w.listen == "" {
		return "", nil
	}
	t.metrics = metrics.New(metrics.Options{
		Version: e.version, Node: o.Node, Mirror: o.Mirror != nil, Verify: o.Drill != nil, Drill: o.Drill != nil, FreeBytes: t.dir.Free,
		Proves:         metrics.Place(c.String("drill-from")),
		RestoreCommand: func(name string, from metrics.Place) string { return restoreLine(c, name, from) },
	})
	log := o.Log
	server, err := metrics.Open(c.Context, metrics.ServerOptions{
		Addr: w.listen, WebConfig: w.webConfig, Handler: t.metrics.Handler(), Log: serverLog(log),
	})
	if err != nil {
		return "", webConfigMend(err)
	}
	o.Recorder, o.Reason = t.metrics, reason
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
