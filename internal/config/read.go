package config

import (
	"fmt"
	"log/slog"
	"math"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/prometheus/common/model"
	"github.com/urfave/cli/v2"

	"etcd-rolling-backup/daemon"
	"etcd-rolling-backup/retention"
	"etcd-rolling-backup/s3"
	"etcd-rolling-backup/snapshot"
)

// drillJitter spreads the nodes' drills: those that share their storage would otherwise start at the same moment.
const drillJitter = 6 * time.Hour

const cronForm = `use five cron fields such as "0 * * * *", @hourly, or @every 15m`

// group is a part of Config that a command may have or lack.
type group struct {
	flag  string // a command that has this flag has the group
	read  func(*cli.Context, *Config) error
	check func(Config) error // nil: reading it is enough
}

func groups() []group {
	return []group{
		{"log-level", readLog, nil},
		{"min-free", readMinFree, Config.checkMinFree},
		{"node", readNode, Config.checkNode},
		{"schedule", readSchedule, Config.checkSchedule},
		{"keep-last", readPolicy, Config.checkPolicy},
		{"cacert", readCertificates, nil},
		{"endpoints", readEtcd, Config.checkEtcd},
		{"dir", readDir, Config.checkDir},
		{"s3-bucket", readS3, Config.checkS3},
		{"s3-keep-last", readMirror, Config.checkMirror},
		{"drill-schedule", readDrill, Config.checkDrill},
		{"listen", readMonitor, Config.checkMonitor},
	}
}

// Read makes a Config of the flags that the command has. It asks no server. Errors are as those of Check.
func Read(c *cli.Context) (Config, error) {
	var cfg Config
	has := slices.DeleteFunc(groups(), func(g group) bool { return !hasFlag(c.Command, g.flag) })
	for _, g := range has {
		if err := g.read(c, &cfg); err != nil {
			return cfg, err
		}
	}
	for _, g := range has {
		if g.check == nil {
			continue
		}
		if err := g.check(cfg); err != nil {
			return cfg, err
		}
	}
	return cfg, nil
}

func hasFlag(c *cli.Command, name string) bool {
	return slices.ContainsFunc(c.Flags, func(f cli.Flag) bool { return f.Names()[0] == name })
}

func readLog(c *cli.Context, cfg *Config) error {
	levels := map[string]slog.Level{
		"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "warning": slog.LevelWarn, "error": slog.LevelError,
	}
	level, ok := levels[strings.ToLower(c.String("log-level"))]
	if !ok { // quieter ones would hide failures
		return Usagef("--log-level: %q is not debug, info, warn or error", c.String("log-level"))
	}
	format := c.String("log-format")
	if format != "text" && format != "json" {
		return Usagef("--log-format: %q is not text or json", format)
	}
	cfg.Log = Log{Level: level, JSON: format == "json"}
	return nil
}

func readDir(c *cli.Context, cfg *Config) error {
	cfg.Store.Dir = c.String("dir")
	return nil
}

func readMinFree(c *cli.Context, cfg *Config) (err error) {
	cfg.Store.MinFree, err = size(c, "min-free", "500MiB or 2GiB")
	return err
}

// readNode reads --node or the host name.
func readNode(c *cli.Context, cfg *Config) error {
	if cfg.Store.Node = c.String("node"); cfg.Store.Node != "" {
		return nil
	}
	name, err := os.Hostname()
	if err != nil {
		return fmt.Errorf("read the host name: %w", err)
	}
	if err := snapshot.CheckPart("node", name); err != nil {
		return Usagef("the host name is not valid in snapshot names (%w): set --node", err)
	}
	cfg.Store.Node = name
	return nil
}

func readSchedule(c *cli.Context, cfg *Config) error {
	jitter, err := duration(c, "jitter")
	if err != nil {
		return err
	}
	if jitter < 0 {
		return Usagef("--jitter: %s: must be a positive duration, or 0s for none", jitter)
	}
	if cfg.Schedule, err = daemon.ParseSchedule(c.String("schedule"), jitter, cfg.Store.Node); err != nil { // its text begins with "schedule: "
		return Usagef("--%w: %s", err, cronForm)
	}
	cfg.Role = daemon.Role(c.String("only-on"))
	return nil
}

func readPolicy(c *cli.Context, cfg *Config) (err error) {
	cfg.Policy, err = policy(c, "")
	return err
}

// policy reads the policy whose flags begin with prefix.
func policy(c *cli.Context, prefix string) (retention.Policy, error) {
	within, err := duration(c, prefix+"keep-within")
	return retention.Policy{
		Last: c.Int(prefix + "keep-last"), Within: within, Hourly: c.Int(prefix + "keep-hourly"),
		Daily: c.Int(prefix + "keep-daily"), Weekly: c.Int(prefix + "keep-weekly"), Monthly: c.Int(prefix + "keep-monthly"),
	}, err
}

// PolicyGiven tells which policies were set by anything but a default.
func PolicyGiven(c *cli.Context) (local, bucket bool) {
	set := func(prefix string) bool {
		return slices.ContainsFunc(PolicyFlags(), func(f cli.Flag) bool { return c.IsSet(prefix + f.Names()[0]) })
	}
	return set(""), set("s3-")
}

func readCertificates(c *cli.Context, cfg *Config) error {
	cfg.Etcd.CACert, cfg.Etcd.Cert, cfg.Etcd.Key = c.String("cacert"), c.String("cert"), c.String("key")
	return nil
}

func readEtcd(c *cli.Context, cfg *Config) (err error) {
	e := &cfg.Etcd
	e.Endpoints, e.PasswordFile = c.StringSlice("endpoints"), c.String("password-file")
	if e.Stall, err = duration(c, "stall-timeout"); err != nil {
		return err
	}
	if e.Timeout, err = duration(c, "etcd-timeout"); err != nil {
		return err
	}
	e.User, e.Password, err = splitUser(c.String("user"))
	return err
}

func readS3(c *cli.Context, cfg *Config) error {
	if c.String("s3-bucket") == "" {
		for _, f := range slices.Concat(S3Flags(), S3PolicyFlags()) {
			if name := f.Names()[0]; c.IsSet(name) && name != "s3-region" && name != "s3-bucket" { // the region may be AWS's own variable
				return Usagef("--%s is given and --s3-bucket is not: set --s3-bucket, or remove --%s", name, name)
			}
		}
		return nil
	}
	b := s3.Config{
		Bucket: c.String("s3-bucket"), Endpoint: c.String("s3-endpoint"), Region: c.String("s3-region"), Folder: c.String("s3-folder"),
		AccessKeyFile: c.String("s3-access-key-file"), SecretKeyFile: c.String("s3-secret-key-file"),
		CA: c.String("s3-ca"), InsecureSkipVerify: c.Bool("s3-insecure-skip-verify"), Lookup: c.String("s3-bucket-lookup"),
		SSE: c.String("s3-sse"), StorageClass: c.String("s3-storage-class"),
		LockMode: c.String("s3-object-lock-mode"), Checksum: c.String("s3-checksum"),
	}
	var err error
	if b.UploadRate, err = size(c, "s3-upload-rate", "10MiB"); err != nil {
		return err
	}
	if b.LockFor, err = duration(c, "s3-object-lock"); err != nil {
		return err
	}
	if b.Timeout, err = Positive(c, "s3-timeout"); err != nil {
		return err
	}
	if b.Stall, err = Positive(c, "s3-stall"); err != nil {
		return err
	}
	cfg.S3 = &b
	return nil
}

// readMirror takes the bucket's own policy, or the local one if no flag of it is given, or each has its default.
func readMirror(c *cli.Context, cfg *Config) error {
	own, err := policy(c, "s3-")
	if err != nil {
		return err
	}
	cfg.Mirror.Policy = own
	if own.IsZero() {
		cfg.Mirror.Policy = cfg.Policy
	}
	cfg.Mirror.OrphanAfter, err = duration(c, "s3-orphan-after")
	return err
}

func readDrill(c *cli.Context, cfg *Config) error {
	cfg.Drill.From = Place(c.String("drill-from"))
	spec := c.String("drill-schedule")
	if spec == off { // an empty one is refused: nobody chose it
		return nil
	}
	jitter := drillJitter
	if strings.Contains(spec, "@every") {
		jitter = 0
	}
	s, err := daemon.ParseSchedule(spec, jitter, cfg.Store.Node)
	if err != nil {
		return Usagef(`--drill-%w: use five cron fields such as "0 4 * * 0", @weekly, @every 24h, or off`, err)
	}
	cfg.Drill.Schedule = &s
	return nil
}

// off as a value switches something off. An empty value does not: it may be a variable that is not set.
const off = "off"

func readMonitor(c *cli.Context, cfg *Config) (err error) {
	m := &cfg.Monitor
	m.WebConfig = c.String("web-config")
	switch address := c.String("listen"); address {
	case off:
	case "":
		where := "--listen"
		if variable := envVars("listen")[0]; slices.Contains(os.Environ(), variable+"=") {
			where = "$" + variable
		}
		return Usagef("%s is empty: use HOST:PORT or :PORT, or off for no metrics and no status page", where)
	default:
		m.Listen = address
	}
	if address := c.String("heartbeat-url"); address != "" || c.IsSet("heartbeat-url") { // an empty one would never call anybody
		if m.Heartbeat, err = daemon.NewHeartbeat(address); err != nil {
			return Usagef("--heartbeat-url: %w", err)
		}
	}
	return nil
}

// duration reads Go's form (90s, 1h30m) and Prometheus's, which has days, weeks and years (7d, 4w, 1y).
func duration(c *cli.Context, flag string) (time.Duration, error) {
	s := c.String(flag)
	if d, err := time.ParseDuration(s); err == nil {
		return d, nil
	}
	d, err := model.ParseDuration(s)
	if err != nil {
		return 0, Usagef("--%s: %q is not a duration like 90s, 12h or 7d", flag, s)
	}
	return time.Duration(d), nil
}

// Positive reads a duration above zero.
func Positive(c *cli.Context, flag string) (time.Duration, error) {
	d, err := duration(c, flag)
	if err == nil && d <= 0 {
		return 0, notPositive(flag, d)
	}
	return d, err
}

func notPositive(flag string, d time.Duration) error {
	return Usagef("--%s: %s: must be a positive duration", flag, d)
}

// size reads bytes; like says how they may be written.
func size(c *cli.Context, flag, like string) (int64, error) {
	n, err := humanize.ParseBytes(c.String(flag))
	if err != nil || n > math.MaxInt64 {
		return 0, Usagef("--%s: %q is not a size like %s", flag, c.String(flag), like)
	}
	return int64(n), nil
}
