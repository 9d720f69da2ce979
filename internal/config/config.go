// Package config makes one validated value, Config, of the command line, the environment and the configuration file.
//
// Invariants: a flag that several commands have is declared here, once. Packages below this one do not know the library
// of the command line, so that a second command line can fill in the same value; Check tells whether it is valid.
// A Config has the paths of certificates, passwords and keys and not what is in them: those files are read again for each run.
package config

import (
	"context"
	"log/slog"
	"net"
	"strings"
	"time"

	"etcd-rolling-backup/daemon"
	"etcd-rolling-backup/retention"
	"etcd-rolling-backup/s3"
	"etcd-rolling-backup/snapshot"
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
	Monitor  Monitor
	Log      Log
}

// Store is the local directory and what is written there.
type Store struct {
	Dir     string
	Node    string // this node's name in snapshot names
	MinFree int64  // bytes that stay free on the disk
}

// Mirror says what is kept in the bucket.
type Mirror struct {
	Policy      retention.Policy // of this node's rolling snapshots there
	OrphanAfter time.Duration    // other nodes' rolling snapshots are removed when the newest is older; 0: never
}

// Drill says when the newest snapshot is restored as a test.
type Drill struct {
	Schedule *daemon.Schedule // nil: never
	From     Place            // Local or S3
}

// Monitor says how others learn about the state of the daemon.
type Monitor struct {
	Listen    string            // HOST:PORT of metrics, health and status page; "": no server
	WebConfig string            // path of an exporter-toolkit web configuration file; "": plain HTTP, no password
	Heartbeat *daemon.Heartbeat // nil: none
}

// Log is the form of the log.
type Log struct {
	Level slog.Level
	JSON  bool
}

// Check returns the first setting that cannot work for a daemon. It reads the password file and asks no server.
// Errors name the flag and wrap ErrUsage or the error of the package that the setting is for.
func (c Config) Check() error {
	for _, g := range groups() {
		if g.check == nil {
			continue
		}
		if err := g.check(c); err != nil {
			return err
		}
	}
	return nil
}

// checkDir refuses an empty directory, as of a variable that is not set: it would be the current one.
func (c Config) checkDir() error {
	if c.Store.Dir == "" {
		return Usagef("--dir is empty: set it to the directory for the snapshots")
	}
	return nil
}

func (c Config) checkMinFree() error {
	if c.Store.MinFree < 0 {
		return Usagef("--min-free: %d must not be negative", c.Store.MinFree)
	}
	return nil
}

// checkNode makes a whole name, for its length is limited.
func (c Config) checkNode() error {
	if _, err := snapshot.NewName(snapshot.RollingSet, c.Store.Node, time.Now()); err != nil {
		return Usagef("--node: %w", err)
	}
	return nil
}

func (c Config) checkSchedule() error {
	if c.Schedule.String() == "" {
		return Usagef("--schedule is empty: %s", cronForm)
	}
	if _, err := daemon.ParseRole(string(c.Role)); err != nil {
		return Usagef("--only-on: %w", err)
	}
	return nil
}

func (c Config) checkPolicy() error { return checkPolicy("", c.Policy) }

// checkPolicy names the flags with their prefix.
func checkPolicy(prefix string, p retention.Policy) error {
	if err := p.Validate(); err != nil {
		return Usagef("%s", strings.ReplaceAll(err.Error(), "--keep-", "--"+prefix+"keep-"))
	}
	return nil
}

func (c Config) checkS3() error {
	if c.S3 == nil {
		return nil
	}
	return c.S3.Check()
}

func (c Config) checkMirror() error {
	if c.Mirror.OrphanAfter < 0 {
		return Usagef("--s3-orphan-after: %s: must be a positive duration, or 0s for never", c.Mirror.OrphanAfter)
	}
	return checkPolicy("s3-", c.Mirror.Policy)
}

func (c Config) checkDrill() error {
	switch {
	case c.Drill.From != Local && c.Drill.From != S3:
		return Usagef("--drill-from: %q is not local or s3", c.Drill.From)
	case c.Drill.From == S3 && c.S3 == nil:
		return Usagef("--drill-from s3 needs --s3-bucket")
	}
	return nil
}

func (c Config) checkMonitor() error {
	if c.Monitor.Listen == "" {
		if c.Monitor.WebConfig != "" {
			return Usagef("--web-config is given and --listen is off: remove one of them")
		}
		return nil
	}
	_, port, err := net.SplitHostPort(c.Monitor.Listen)
	if err != nil || port == "" {
		return Usagef("--listen: %q is not HOST:PORT, :PORT or off", c.Monitor.Listen)
	}
	// The name of a port is looked up in a file of this machine, so nothing is waited for.
	if _, err := net.DefaultResolver.LookupPort(context.Background(), "tcp", port); err != nil {
		return Usagef("--listen: %q: there is no port %s: use a number up to 65535 or the name of a service", c.Monitor.Listen, port)
	}
	return nil
}
