package command

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/metrics"
	"etcd-rolling-backup/snapshot/keyfile"
)

// healthWait bounds the command: the health check of a container must not wait.
const healthWait = 5 * time.Second

func healthCommand(e env) *cli.Command {
	return &cli.Command{
		Name: "health", Usage: "ask the daemon on this machine whether the backups are healthy: for the health check of a container",
		Flags: append(config.ServerFlags(),
			config.Bool("monitoring", "live", "only ask whether the daemon answers, not whether the backups are healthy"),
			config.Text("monitoring", "web-user", "", "`NAME` of a user in --web-config"),
			config.Text("monitoring", "web-password-file", "", "`FILE` with the password of --web-user"),
		),
		Action: e.action(0, health),
	}
}

func health(ctx context.Context, c *call) error {
	q := metrics.Question{Addr: c.cfg.Monitor.Listen, WebConfig: c.cfg.Monitor.WebConfig, User: c.String("web-user"), Live: c.Bool("live")}
	file := c.String("web-password-file")
	switch {
	case q.Addr == "":
		return config.Usagef("--listen is off, so the daemon answers nobody: set it to HOST:PORT or :PORT")
	case (q.User == "") != (file == ""):
		return config.Usagef("--web-user and --web-password-file belong together: set both or none")
	case file != "":
		text, err := keyfile.Text(file)
		if err != nil {
			return config.Usagef("read --web-password-file: %w", err)
		}
		q.Password = strings.TrimRight(string(text), "\r\n")
	}
	ctx, cancel := context.WithTimeoutCause(ctx, healthWait, fmt.Errorf("nothing came within %s", healthWait))
	defer cancel()
	switch err := metrics.Ask(ctx, q); {
	case errors.Is(err, metrics.ErrWebConfig):
		return config.Usagef("--web-config: %w", err)
	case err != nil:
		return err
	}
	out := &printer{w: c.stdout}
	out.line("ok")
	return out.err
}
