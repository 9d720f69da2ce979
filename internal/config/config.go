// Package config makes one validated value, Config, of the command line, the environment and the configuration file.
//
// Invariants: a flag that several commands have is declared here, once. Packages below this one do not know the library
// of the command line, so that a second command line can fill in the same value; Check tells whether it is valid.
// A Config has the paths of certificates, passwords and keys and not what is in them: those files are read again for each run.
package config

import (
	"cmp"
	"context"
	"log/slog"
	"net"
	"strings"
	"time"

	"etcd-rolling-backup/daemon"
	"etcd-rolling-backup/internal/printable"
	"etcd-rolling-backup/retention"
	"etcd-rolling-backup/s3"
	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/keyfile"
	"etcd-rolling-backup/snapshot/member"
	"etcd-rolling-backup/snapshot/pace"
	"etcd-rolling-backup/snapshot/peer"
)

// Config is every setting of the program. A command that lacks the flags of a group leaves the group zero.
type Config struct {
	Etcd     Etcd
	Store    Store
	Schedule daemon.Schedule
	Role     daemon.Role
	Policy   retention.Policy // of this node's rolling snapshots in Store.Dir
	S3       *s3.Config       // nil: no bucket, nothing is mirrored
	Mirror   Mirror
	Drill    Drill
	Journal  Journal
	Monitor  Monitor
	Log      Log
}

// Etcd says how the member is reached.
type Etcd struct {
	Endpoints         []string // as those of member.Config
	CACert, Cert, Key string   // PEM files
	User              string
	PasswordFile      string        // takes precedence over Password
	Password          member.Secret // from etcdctl's environment variables; there is no flag for it
	Timeout           time.Duration // for each call but the snapshot stream
	Stall             time.Duration // longest wait for the next byte of that stream
	StreamRate        pace.Rate     // of that stream
	// Undetected: no setting says which etcd is meant, and none was found on this node. Endpoints has the default.
	Undetected bool
}

// Store is the local directory and what is written there.
type Store struct {
	Dir       string
	Node      string // this node's name in snapshot names; "" with Zip
	NodeGiven bool   // it is not the host name by default
	// Zip makes rolling snapshots zips with the names of rke-tools, which do not say the node. The directory is this node's alone then.
	Zip bool
	// Exposed: a directory in which other users can replace files is used, with a warning.
	Exposed bool
	Host    string // with Zip, the name of this node for people; "": not known
	MinFree int64  // bytes that stay free on the disk
	// MinFreeShare lowers MinFree to a share of what is free: see [snapshot.Dir.FreeShare].
	MinFreeShare bool
	// OrphanAfter is the age of the newest snapshot of another node at which the older ones are removed; 0: never.
	OrphanAfter time.Duration
}

// NodeName is the name of this node for people.
func (s Store) NodeName() string { return cmp.Or(s.Node, s.Host) }

// Mirror says what is kept in the bucket.
type Mirror struct {
	Policy      retention.Policy // of this node's rolling snapshots there
	OrphanAfter time.Duration    // other nodes' rolling snapshots are removed when the newest is older; 0: never
	// OnlySent limits Policy to what this node's daemon has uploaded: names do not say the node, and the bucket is anybody's.
	OnlySent bool
}

// Journal says how the changes between two snapshots are recorded.
type Journal struct {
	On        bool
	Sync      time.Duration // at most so much is lost with the machine's power
	Segment   time.Duration // after which a segment is completed, and mirrored
	Keep      time.Duration // how far back any moment can be restored
	MaxBehind int64         // revisions; further behind, a new snapshot is taken instead of catching up
}

// keepAll is the policy of a bucket whose lifecycle removes snapshots.
func keepAll() retention.Policy { return retention.Policy{Last: retention.Unlimited} }

// Drill says when the newest snapshot is restored as a test.
type Drill struct {
	Schedule *daemon.Schedule // nil: never
	From     Place            // Local or S3
}

// Place is where snapshots are.
type Place string

// The places, as --from names them.
const (
	Anywhere Place = "" // not given: the command decides
	Local    Place = "local"
	S3       Place = "s3"
	Peer     Place = "peer"
	All      Place = "all" // Local and S3
)

// Monitor says how others learn about the state of the daemon.
type Monitor struct {
	Listen string // HOST:PORT of metrics, health and status page; "": no server
	// Optional: backups do not depend on that server. If it can't start, the log says so.
	Optional bool
	// PageForNetwork: everybody may read the status page, not only this machine and clients that have authenticated.
	PageForNetwork bool
	WebConfig      string            // path of an exporter-toolkit web configuration file; "": plain HTTP, no password
	Heartbeat      *daemon.Heartbeat // nil: none, or in a file
	HeartbeatFile  string            // that contains its URL; "": none
}

// Log is the form of the log.
type Log struct {
	Level slog.Level
	JSON  bool
}

// Check returns the first setting that cannot work for a daemon. It reads the password file and asks no server.
// Errors name the flag and wrap ErrUsage or the error of the package that the setting is for.
func (c Config) Check(ctx context.Context) error {
	return c.check(ctx, func(string) bool { return true })
}

// check checks the groups of which the command has a flag.
func (c Config) check(ctx context.Context, has func(flag string) bool) error {
	_, node := snapshot.NewName(snapshot.RollingSet, c.Store.Node, time.Now()) // a whole name, for its length is limited
	_, role := daemon.ParseRole(string(c.Role))
	policy, bucketPolicy := c.Policy.Validate(), c.Mirror.Policy.Validate()
	switch {
	case has("min-free") && c.Store.MinFree < 0:
		return Usagef("--min-free: %d must not be negative", c.Store.MinFree)
	case c.Store.Zip && c.Store.Node != "":
		return Usagef("--node: %q: the names of rke-tools do not say the node", c.Store.Node)
	case has("node") && node != nil && !c.Store.Zip && (c.Store.NodeGiven || !has(allNodes)):
		return Usagef("--node: %w", node)
	case has("schedule") && c.Schedule.String() == "":
		return Usagef(`--schedule is empty: use five cron fields such as "0 * * * *"`)
	case has("schedule") && role != nil:
		return Usagef("--only-on: %w", role)
	case has("keep-last") && policy != nil:
		return usageError{policy}
	case has("orphan-after") && c.Store.OrphanAfter < 0:
		return Usagef("--orphan-after: %s: must be a positive duration, or 0s for never", c.Store.OrphanAfter)
	case has("dir") && c.Store.Dir == "": // as of a variable that is not set: it would be the current one
		return Usagef("--dir is empty: set it to the directory for the snapshots")
	case has("endpoints") && c.Etcd.Timeout <= 0:
		return notPositive("etcd-timeout", c.Etcd.Timeout)
	case has("endpoints") && c.Etcd.Stall <= 0:
		return notPositive("stall-timeout", c.Etcd.Stall)
	case has("s3-keep-last") && c.Mirror.OrphanAfter < 0:
		return Usagef("--s3-orphan-after: %s: must be a positive duration, or 0s for never", c.Mirror.OrphanAfter)
	case has("s3-keep-last") && bucketPolicy != nil:
		return Usagef("%s", strings.ReplaceAll(bucketPolicy.Error(), "--keep-", "--s3-keep-"))
	case has("s3-keep-last") && c.S3 != nil && c.S3.AppendOnly && (c.Mirror.Policy != keepAll() || c.Mirror.OrphanAfter != 0):
		return Usagef("--s3-append-only: the bucket's lifecycle decides what is kept there: remove --s3-keep-... and --s3-orphan-after")
	case has("drill-from") && c.Drill.From != Local && c.Drill.From != S3:
		return Usagef("--drill-from: %q is not local or s3", c.Drill.From)
	case c.Drill.From == S3 && c.S3 == nil:
		return Usagef("--drill-from s3 needs --s3-bucket")
	}
	if has("endpoints") {
		if _, err := c.Etcd.Member(); err != nil {
			return err
		}
	}
	if c.S3 != nil {
		if err := c.S3.Check(); err != nil {
			return err
		}
	}
	return c.Monitor.check(ctx)
}

// OpenHeartbeat returns whom to call, as it is now in the file if there is one; nil: nobody. It is called again for each call.
func (m Monitor) OpenHeartbeat() (*daemon.Heartbeat, error) {
	if m.HeartbeatFile == "" {
		return m.Heartbeat, nil
	}
	const flag = "--heartbeat-url-file"
	text, err := keyfile.Text(m.HeartbeatFile)
	if err != nil {
		return nil, Usagef("read %s: %w", flag, err)
	}
	h, err := daemon.NewHeartbeat(strings.TrimSpace(string(text)))
	if err != nil {
		return nil, Usagef("%s: the content of %s is %w", flag, m.HeartbeatFile, err)
	}
	return h, nil
}

func (m Monitor) check(ctx context.Context) error {
	if _, err := m.OpenHeartbeat(); err != nil {
		return err
	}
	switch {
	case m.Listen == "" && m.WebConfig != "":
		return Usagef("--web-config is given and --listen is off: remove one of them")
	case m.Listen == "":
		return nil
	}
	_, port, err := net.SplitHostPort(m.Listen)
	if err != nil || port == "" || strings.ContainsAny(port, "/?#@%") {
		return Usagef("--listen: %s is not HOST:PORT, :PORT or off", printable.Address(m.Listen))
	}
	if _, err := net.DefaultResolver.LookupPort(ctx, "tcp", port); err != nil {
		return Usagef("--listen: %s: there is no port %s: use a number up to 65535 or the name of a service", printable.Address(m.Listen), port)
	}
	return nil
}

// Member reads the password file and returns the connection as it is to be made now; member.Connect reads the certificates.
// It is called again for each run, so that changed files need no restart.
func (e Etcd) Member() (member.Config, error) {
	cfg := member.Config{
		Endpoints: e.Endpoints, CACert: e.CACert, Cert: e.Cert, Key: e.Key, User: e.User, Timeout: e.Timeout,
	}
	for _, endpoint := range e.Endpoints {
		if strings.Contains(endpoint, "@") && !strings.HasPrefix(endpoint, "unix:") && !strings.HasPrefix(endpoint, "unixs:") { // endpoints are logged, and the password would be too
			return cfg, Usagef("--endpoints: use --user and --password-file, not a URL with user and password")
		}
	}
	password := string(e.Password)
	if e.PasswordFile != "" {
		text, err := keyfile.Text(e.PasswordFile)
		if err != nil {
			return cfg, Usagef("read --password-file: %w", err)
		}
		if password = strings.TrimRight(string(text), "\r\n"); password == "" {
			return cfg, Usagef("--password-file: %s is empty", e.PasswordFile)
		}
	}
	switch {
	case e.User != "" && password == "":
		return cfg, Usagef("--user %s needs a password: set --password-file", e.User)
	case e.User == "" && e.PasswordFile != "":
		return cfg, Usagef("--password-file needs --user")
	case e.User != "":
		cfg.Password = member.Secret(password)
	}
	return cfg, cfg.Check()
}

// Identity is what this node shows to other members: etcd's own certificate.
func (e Etcd) Identity() (peer.Identity, error) {
	id := peer.Identity{CACert: e.CACert, Cert: e.Cert, Key: e.Key}
	if id.CACert == "" || id.Cert == "" || id.Key == "" {
		return id, Usagef("members identify each other by certificates: set --cacert, --cert and --key to those of etcd")
	}
	return id, nil
}
