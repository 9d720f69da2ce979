package config

import (
	"cmp"
	"fmt"
	"log/slog"
	"math"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/dustin/go-humanize/english"
	"github.com/urfave/cli/v2"

	"etcd-rolling-backup/daemon"
	"etcd-rolling-backup/retention"
	"etcd-rolling-backup/s3"
	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/member"
	"etcd-rolling-backup/snapshot/pace"
)

// drillJitter spreads the nodes' drills: those that share their storage would otherwise start at the same moment.
const drillJitter = 6 * time.Hour

// off as a value switches something off. An empty value does not: it may be a variable that is not set.
const off = "off"

// reader reads the flags of a command and keeps the first error. A flag that the command lacks has the zero value.
type reader struct {
	*cli.Context
	err error
}

func (r *reader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
}

func (r *reader) has(flag string) bool {
	return slices.ContainsFunc(r.Command.Flags, func(f cli.Flag) bool { return f.Names()[0] == flag })
}

// Read makes a Config of the flags that the command has. It asks no server. Errors are as those of Check.
func Read(c *cli.Context) (Config, error) {
	r := &reader{Context: c}
	cfg := Config{
		Etcd: Etcd{
			Endpoints: c.StringSlice("endpoints"), CACert: c.String("cacert"), Cert: c.String("cert"), Key: c.String("key"),
			PasswordFile: c.String("password-file"), Stall: r.duration("stall-timeout"), Timeout: r.duration("etcd-timeout"),
			StreamRate: r.streamRate(),
		},
		Store: Store{
			Dir: c.String("dir"), Node: r.node(), NodeGiven: c.String("node") != "", MinFree: r.size("min-free", "500MiB or 2GiB"),
			OrphanAfter: r.duration("orphan-after"),
		},
		Role:   daemon.Role(c.String("only-on")),
		Policy: r.policy(""),
		S3:     r.bucket(),
		Mirror: Mirror{Policy: r.policy("s3-"), OrphanAfter: r.duration("s3-orphan-after")},
		Log:    r.log(),
	}
	r.user(&cfg.Etcd)
	switch none := cfg.Mirror.Policy.IsZero(); { // no flag of it is given, or each has its default
	case none && cfg.S3 != nil && cfg.S3.AppendOnly:
		cfg.Mirror.Policy = keepAll()
	case none:
		cfg.Mirror.Policy = cfg.Policy
	}
	cfg.Schedule = r.schedule(cfg.Store.Node)
	cfg.Drill = r.drill(cfg.Store.Node)
	cfg.Journal = r.journal()
	cfg.Monitor = r.monitor()
	if r.err != nil {
		return cfg, r.err
	}
	return cfg, cfg.check(c.Context, r.has)
}

// duration reads what daemon.ParseDuration does.
func (r *reader) duration(flag string) time.Duration {
	d, err := daemon.ParseDuration(r.String(flag))
	if err != nil && r.has(flag) {
		r.fail(Usagef("--%s: %q is not a duration like 90s, 12h or 7d", flag, r.String(flag)))
	}
	return d
}

func (r *reader) positive(flag string) time.Duration {
	d := r.duration(flag)
	if d <= 0 {
		r.fail(notPositive(flag, d))
	}
	return d
}

// Positive reads a duration above zero.
func Positive(c *cli.Context, flag string) (time.Duration, error) {
	r := &reader{Context: c}
	return r.positive(flag), r.err
}

func notPositive(flag string, d time.Duration) error {
	return Usagef("--%s: %s: must be a positive duration", flag, d)
}

// size reads bytes; like says how they may be written.
func (r *reader) size(flag, like string) int64 {
	if !r.has(flag) {
		return 0
	}
	n, err := humanize.ParseBytes(r.String(flag))
	if err != nil || n > math.MaxInt64 {
		r.fail(Usagef("--%s: %q is not a size like %s", flag, r.String(flag), like))
		return 0
	}
	return int64(n)
}

// streamRate reads auto, off or bytes per second. By default, what runs by itself is gentle, and what a person waits for is fast.
func (r *reader) streamRate() pace.Rate {
	const flag = "stream-rate"
	text := r.String(flag)
	switch {
	case text != "":
	case r.has("schedule") || r.Bool("rolling"):
		return pace.Auto
	default:
		return pace.Off
	}
	rate, err := pace.ParseRate(text)
	if err != nil {
		r.fail(Usagef("--%s: %w", flag, err))
	}
	return rate
}

// ReadOutput tells whether results are printed as JSON. also are further formats that the command has.
func ReadOutput(c *cli.Context, also ...string) (asJSON bool, err error) {
	r := &reader{Context: c}
	return r.choice("output", append([]string{"table", "json"}, also...)...) == "json", r.err
}

// choice reads one of several words.
func (r *reader) choice(flag string, words ...string) string {
	word := r.String(flag)
	if !slices.Contains(words, word) && r.has(flag) {
		r.fail(Usagef("--%s: %q is not %s", flag, word, english.WordSeries(words, "or")))
	}
	return word
}

func (r *reader) log() Log {
	levels := map[string]slog.Level{
		"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "warning": slog.LevelWarn, "error": slog.LevelError,
	}
	level, ok := levels[strings.ToLower(r.String("log-level"))]
	if !ok && r.has("log-level") { // quieter ones would hide failures
		r.fail(Usagef("--log-level: %q is not debug, info, warn or error", r.String("log-level")))
	}
	return Log{Level: level, JSON: r.choice("log-format", "text", "json") == "json"}
}

// node reads --node or the host name.
func (r *reader) node() string {
	if name := r.String("node"); name != "" || !r.has("node") {
		return name
	}
	name, err := os.Hostname()
	if r.has(allNodes) && snapshot.CheckPart("node", name) != nil { // no snapshot has such a node
		return ""
	}
	if err != nil {
		r.fail(fmt.Errorf("read the host name: %w", err))
	} else if err := snapshot.CheckPart("node", name); err != nil {
		r.fail(Usagef("the host name is not valid in snapshot names (%w): set --node", err))
	}
	return name
}

// user also understands etcdctl's variable, which may hold NAME:PASSWORD. On our command line the process list would show a password.
func (r *reader) user(e *Etcd) {
	text := r.String("user")
	user, password, both := strings.Cut(text, ":")
	if both && text != os.Getenv("ETCDCTL_USER") {
		r.fail(Usagef("--user: %q: set only the name here, and the password in --password-file", user+":***"))
	}
	e.User, e.Password = user, member.Secret(cmp.Or(password, os.Getenv("ETCDCTL_PASSWORD")))
}

func (r *reader) schedule(node string) daemon.Schedule {
	jitter := r.duration("jitter")
	if jitter < 0 {
		r.fail(Usagef("--jitter: %s: must be a positive duration, or 0s for none", jitter))
	}
	s, err := daemon.ParseSchedule(r.String("schedule"), jitter, node)
	if err != nil && r.has("schedule") { // its text begins with "schedule: "
		r.fail(Usagef("--%w", err))
	}
	return s
}

// policy reads the policy whose flags begin with prefix.
func (r *reader) policy(prefix string) retention.Policy {
	return retention.Policy{
		Last: r.Int(prefix + "keep-last"), Within: r.duration(prefix + "keep-within"), Hourly: r.Int(prefix + "keep-hourly"),
		Daily: r.Int(prefix + "keep-daily"), Weekly: r.Int(prefix + "keep-weekly"), Monthly: r.Int(prefix + "keep-monthly"),
	}
}

// PolicyGiven tells which policies were set by anything but a default.
func PolicyGiven(c *cli.Context) (local, bucket bool) {
	set := func(prefix string) bool {
		return slices.ContainsFunc(PolicyFlags(), func(f cli.Flag) bool { return c.IsSet(prefix + f.Names()[0]) })
	}
	return set(""), set("s3-")
}

func (r *reader) bucket() *s3.Config {
	if r.String("s3-bucket") == "" {
		for _, f := range slices.Concat(S3Flags(), S3PolicyFlags(), VersionFlags()) {
			if name := f.Names()[0]; r.has("s3-bucket") && name != "s3-bucket" && r.IsSet(name) && !setToNothing(r.Context, f) && r.foreign(name) == "" {
				r.fail(Usagef("--%s is given and --s3-bucket is not: set --s3-bucket, or remove --%s", name, name))
			}
		}
		return nil
	}
	variable, endpointFrom := r.foreign("s3-endpoint"), ""
	if variable != "" { // the error would name a flag that was not given
		endpointFrom = "$" + variable
		if err := (s3.Config{Bucket: r.String("s3-bucket"), Endpoint: r.String("s3-endpoint")}).Check(); err != nil {
			r.fail(Usagef("%s", strings.ReplaceAll(err.Error(), "--s3-endpoint", endpointFrom)))
		}
	}
	return &s3.Config{
		Bucket: r.String("s3-bucket"), Endpoint: r.String("s3-endpoint"), EndpointFrom: endpointFrom, Region: r.String("s3-region"), Folder: r.String("s3-folder"),
		AccessKeyFile: r.String("s3-access-key-file"), SecretKeyFile: r.String("s3-secret-key-file"),
		CA: r.String("s3-ca"), InsecureSkipVerify: r.Bool("s3-insecure-skip-verify"), Lookup: r.String("s3-bucket-lookup"),
		SSE: r.String("s3-sse"), StorageClass: r.String("s3-storage-class"), Checksum: r.String("s3-checksum"),
		LockFor: r.duration("s3-object-lock"), LockMode: r.String("s3-object-lock-mode"),
		UploadRate: r.size("s3-upload-rate", "10MiB"), Timeout: r.positive("s3-timeout"), Stall: r.positive("s3-stall"),
		AppendOnly: r.Bool("s3-append-only"), Versions: r.Bool("s3-versions"), VersionID: r.String("s3-version-id"),
	}
}

func (r *reader) drill(node string) Drill {
	d, spec, jitter := Drill{From: Place(r.String("drill-from"))}, r.String("drill-schedule"), drillJitter
	if spec == off || !r.has("drill-schedule") { // an empty one is refused: nobody chose it
		return d
	}
	if strings.Contains(spec, "@every") {
		jitter = 0
	}
	s, err := daemon.ParseSchedule(spec, jitter, node)
	if err != nil {
		r.fail(Usagef("--drill-%w (off: no drills)", err))
	}
	d.Schedule = &s
	return d
}

func (r *reader) monitor() Monitor {
	m := Monitor{Listen: r.String("listen"), WebConfig: r.String("web-config")}
	m.PageForNetwork = r.choice("status-page", "local", "network") == "network"
	if m.Listen == "" && r.has("listen") {
		where := "--listen"
		if variable := envVars("listen")[0]; slices.Contains(os.Environ(), variable+"=") {
			where = "$" + variable
		}
		r.fail(Usagef("%s is empty: use HOST:PORT or :PORT, or off for no metrics and no status page", where))
	}
	if m.Listen == off {
		m.Listen = ""
	}
	if address := r.String("heartbeat-url"); address != "" || r.IsSet("heartbeat-url") { // an empty one would never call anybody
		h, err := daemon.NewHeartbeat(address)
		if err != nil {
			r.fail(Usagef("--heartbeat-url: %w", err))
		}
		m.Heartbeat = h
	}
	m.HeartbeatFile = r.String("heartbeat-url-file")
	switch {
	case m.HeartbeatFile == "" && r.IsSet("heartbeat-url-file"):
		r.fail(Usagef("--heartbeat-url-file is empty: set it to the file with the URL, or remove it"))
	case m.HeartbeatFile != "" && r.String("heartbeat-url") != "":
		r.fail(Usagef("--heartbeat-url and --heartbeat-url-file both give the URL: remove one of them"))
	}
	return m
}

// ReadCluster reads --cluster; 0: not given.
func ReadCluster(c *cli.Context) (id snapshot.ID, err error) {
	text := c.String("cluster")
	if text == "" {
		return 0, nil
	}
	if err := id.UnmarshalText([]byte(text)); err != nil || id == 0 {
		return 0, Usagef("--cluster: %q is not the ID of a cluster: use 1 to 16 hexadecimal digits, as list and etcdctl show them", text)
	}
	return id, nil
}

// journal reads what the journal's flags say; they are checked also if there is none.
func (r *reader) journal() (j Journal) {
	if r.has("journal-keep") {
		j.Keep = r.positive("journal-keep")
	}
	if !r.has("journal") { // of a command that only removes
		if !r.IsSet("journal-keep") {
			j.Keep = keepJournal
		}
		return j
	}
	j.On, j.Sync, j.Segment, j.MaxBehind = r.Bool("journal"), r.positive("journal-sync"), r.positive("journal-segment"), int64(r.Int("journal-max-behind"))
	switch {
	case j.MaxBehind < 1:
		r.fail(Usagef("--journal-max-behind: %d is not a number of revisions above 0: the default is 15000", j.MaxBehind))
	case j.Segment < 100*time.Millisecond || j.Segment > 24*time.Hour:
		r.fail(Usagef("--journal-segment: %s is not between 100ms and 24h", j.Segment))
	case j.Sync > j.Segment:
		r.fail(Usagef("--journal-sync: %s is longer than --journal-segment, %s", j.Sync, j.Segment))
	}
	return j
}

// keepJournal is how far back the journal is kept by a command that was not given --journal-keep: whatever the daemon keeps, it stays.
const keepJournal = 100 * 365 * 24 * time.Hour

// KeepsAll reports that the journal stays as it is.
func (j Journal) KeepsAll() bool { return j.Keep == keepJournal }
