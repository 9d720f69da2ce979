package command

import (
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/prometheus/common/model"
	"github.com/sirupsen/logrus"
	"github.com/urfave/cli/v2"

	"etcd-rolling-backup/daemon"
	"etcd-rolling-backup/retention"
	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/member"
)

// etcdConfig reads the group etcd; it does not connect.
func etcdConfig(c *cli.Context) (member.Config, error) {
	timeout, err := positive(c, "etcd-timeout")
	if err != nil {
		return member.Config{}, err
	}
	for _, e := range c.StringSlice("endpoints") {
		if strings.Contains(e, "@") { // the endpoint would stand in log lines, and the password with it
			return member.Config{}, usagef("--endpoints: give user and password in --user and --password-file, not in the URL")
		}
	}
	cfg := member.Config{
		Endpoints: c.StringSlice("endpoints"), CACert: c.String("cacert"), Cert: c.String("cert"), Key: c.String("key"), Timeout: timeout,
	}
	if cfg.User, cfg.Password, err = credentials(c.String("user"), c.String("password-file")); err != nil {
		return cfg, err
	}
	return cfg, cfg.Check()
}

// credentials also understands etcdctl's environment, where the user's variable may hold NAME:PASSWORD. A password
// on our own command line would show in the process list, so there is no flag for it.
func credentials(user, file string) (string, member.Secret, error) {
	user, password, both := strings.Cut(user, ":")
	if both && user+":"+password != os.Getenv("ETCDCTL_USER") {
		return "", "", usagef("--user: %q: give the name alone, and the password in --password-file", user+":***")
	}
	if password == "" {
		password = os.Getenv("ETCDCTL_PASSWORD")
	}
	if file != "" {
		text, err := os.ReadFile(file)
		if err != nil {
			return "", "", usagef("read --password-file: %w", err)
		}
		if password = strings.TrimRight(string(text), "\r\n"); password == "" {
			return "", "", usagef("--password-file: %s is empty", file)
		}
	}
	switch {
	case user != "" && password == "":
		return "", "", usagef("--user %s needs a password: give --password-file", user)
	case user == "" && file != "":
		return "", "", usagef("--password-file needs --user")
	case user == "":
		password = ""
	}
	return user, member.Secret(password), nil
}

// node is --node or the host's name.
func node(c *cli.Context) (string, error) {
	name := c.String("node")
	if name != "" {
		// The whole name counts, for its length is bounded.
		if _, err := snapshot.NewName(snapshot.RollingSet, name, time.Now()); err != nil {
			return "", usagef("--node: %w", err)
		}
		return name, nil
	}
	name, err := os.Hostname()
	if err != nil {
		return "", fmt.Errorf("read host name: %w", err)
	}
	if err := snapshot.CheckPart("node", name); err != nil {
		return "", usagef("the host's name can't stand in snapshot names (%w): give --node", err)
	}
	return name, nil
}

// directory is --dir. An empty one, as of a variable that is not set, would be the current directory.
func directory(c *cli.Context) (*snapshot.Dir, error) {
	path := c.String("dir")
	if path == "" {
		return nil, usagef("--dir is empty: give the directory that keeps the snapshots")
	}
	return snapshot.NewDir(path), nil
}

// takeOptions reads what Take needs, all but the set.
func takeOptions(c *cli.Context, version string) (snapshot.TakeOptions, error) {
	o := snapshot.TakeOptions{ToolVersion: version}
	var err error
	if o.MinFree, err = minFree(c); err != nil {
		return o, err
	}
	if o.Stall, err = positive(c, "stall-timeout"); err != nil {
		return o, err
	}
	o.Node, err = node(c)
	return o, err
}

func minFree(c *cli.Context) (int64, error) {
	free, err := humanize.ParseBytes(c.String("min-free"))
	if err != nil || free > math.MaxInt64 {
		return 0, usagef("--min-free: %q is not a size like 500MiB or 2GiB", c.String("min-free"))
	}
	return int64(free), nil
}

func policy(c *cli.Context) (retention.Policy, error) { return policyOf(c, "") }

// policyOf reads the policy whose flags begin with prefix.
func policyOf(c *cli.Context, prefix string) (retention.Policy, error) {
	within, err := duration(c, prefix+"keep-within")
	if err != nil {
		return retention.Policy{}, err
	}
	p := retention.Policy{
		Last: c.Int(prefix + "keep-last"), Within: within, Hourly: c.Int(prefix + "keep-hourly"),
		Daily: c.Int(prefix + "keep-daily"), Weekly: c.Int(prefix + "keep-weekly"), Monthly: c.Int(prefix + "keep-monthly"),
	}
	if err := p.Validate(); err != nil {
		return p, usagef("%s", strings.ReplaceAll(err.Error(), "--keep-", "--"+prefix+"keep-"))
	}
	return p, nil
}

func schedule(c *cli.Context, node string) (daemon.Schedule, error) {
	jitter, err := duration(c, "jitter")
	if err != nil {
		return daemon.Schedule{}, err
	}
	if jitter < 0 {
		return daemon.Schedule{}, usagef("--jitter: %s: give a duration above zero, or 0s for none", jitter)
	}
	s, err := daemon.ParseSchedule(c.String("schedule"), jitter, node)
	if err != nil { // its text begins with "schedule: "
		return s, usagef(`--%w: write five cron fields such as "0 * * * *", @hourly, or @every 15m`, err)
	}
	return s, nil
}

// drillSchedule is --drill-schedule; the zero Schedule and false mean that there are no drills. Nodes that share their
// storage would otherwise all do it at once: each has its own part of six hours.
func drillSchedule(c *cli.Context, node string) (daemon.Schedule, bool, error) {
	spec := c.String("drill-schedule")
	if spec == "off" { // an empty one is refused: nobody wished for no drills with it
		return daemon.Schedule{}, false, nil
	}
	jitter := time.Duration(0)
	if !strings.Contains(spec, "@every") {
		jitter = 6 * time.Hour
	}
	s, err := daemon.ParseSchedule(spec, jitter, node)
	if err != nil {
		return s, false, usagef(`--drill-%w: write five cron fields such as "0 4 * * 0", @weekly, @every 24h, or off`, err)
	}
	return s, true, nil
}

// duration reads Go's form (90s, 1h30m) and Prometheus's, which has days, weeks and years (7d, 4w, 1y).
func duration(c *cli.Context, flag string) (time.Duration, error) {
	s := c.String(flag)
	if d, err := time.ParseDuration(s); err == nil {
		return d, nil
	}
	d, err := model.ParseDuration(s)
	if err != nil {
		return 0, usagef("--%s: %q is not a duration like 90s, 12h or 7d", flag, s)
	}
	return time.Duration(d), nil
}

func positive(c *cli.Context, flag string) (time.Duration, error) {
	d, err := duration(c, flag)
	if err == nil && d <= 0 {
		return 0, usagef("--%s: %s: give a duration above zero", flag, d)
	}
	return d, err
}

func newLogger(c *cli.Context, w io.Writer) (*logrus.Logger, error) {
	log := logrus.New()
	log.SetOutput(w)
	level, err := logrus.ParseLevel(c.String("log-level"))
	// The library knows more of them: quieter ones, which would hide failures, and a louder one.
	if err != nil || !slices.Contains([]string{"debug", "info", "warning", "error"}, level.String()) {
		return nil, usagef("--log-level: %q is not debug, info, warn or error", c.String("log-level"))
	}
	log.SetLevel(level)
	switch f := c.String("log-format"); f {
	case "text":
		log.SetFormatter(&logrus.TextFormatter{FullTimestamp: true, TimestampFormat: time.RFC3339})
	case "json":
		log.SetFormatter(&logrus.JSONFormatter{TimestampFormat: time.RFC3339Nano})
	default:
		return nil, usagef("--log-format: %q is not text or json", f)
	}
	log.AddHook(oneLine{})
	return log, nil
}

// oneLine is a hook that makes one line of errors that were joined.
type oneLine struct{}

func (oneLine) Levels() []logrus.Level { return logrus.AllLevels }

func (oneLine) Fire(e *logrus.Entry) error {
	if err, ok := e.Data["error"].(error); ok {
		e.Data["error"] = joined(err.Error())
	}
	return nil
}

// jsonOutput tells which form the results take.
func jsonOutput(c *cli.Context) (bool, error) {
	switch f := c.String("output"); f {
	case "table":
		return false, nil
	case "json":
		return true, nil
	default:
		return false, usagef("--output: %q is not table or json", f)
	}
}
