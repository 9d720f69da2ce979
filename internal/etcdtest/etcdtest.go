// Package etcdtest runs real etcd servers of several versions for tests, the demo and the benchmark.
//
// Its invariant: every process it starts listens on 127.0.0.1 only, is known by its own PID, and is gone after
// [Cluster.Stop], paused or not, or when the program that started it dies.
//
// [Run] and [Dial] are for tests and take a [testing.TB]; the rest returns errors. It needs Linux, like the servers of `make tools`.
package etcdtest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"etcd-rolling-backup/internal/proctest"
)

// Default is the version of a cluster whose Options set none: the newest.
const Default = "3.7"

// startAttempts bounds how often Start picks new ports because another process took one of those before.
const startAttempts = 5

// Versions returns the etcd release lines that `make tools` provides, oldest first.
func Versions() []string { return []string{"3.4", "3.5", "3.6", "3.7"} }

// Options describe a cluster. The zero value is one member of version Default without TLS.
type Options struct {
	Version       string   // one of Versions; empty means Default
	Members       int      // 1 or 3; 0 means 1
	TLS           bool     // mutual TLS for clients and peers, with certificates made for this cluster
	Dir           string   // missing or empty directory for all files, kept by Stop; empty means a temporary one that Stop removes
	QuotaBytes    int64    // size of the database that raises NOSPACE; 0 leaves etcd's own 2 GiB
	Sockets       bool     // clients also reach the members at Member.Socket
	UnsafeNoFsync bool     // faster, but not safe against power loss; a killed process still loses nothing
	Flags         []string // further flags of etcd for every member, last and so with precedence
}

// BulkOptions returns options for a single member that stores this many bytes fast: no fsync, a large quota, and few raft entries in
// memory; by default etcd keeps thousands, here of up to 1 MiB each.
func BulkOptions(version string, bytes int64) Options {
	o := Options{Version: version, QuotaBytes: 2*bytes + 1<<30, UnsafeNoFsync: true, Flags: []string{"--snapshot-count=200"}}
	switch version {
	case "3.4": // always keeps 5000 entries
	case "3.5":
		o.Flags = append(o.Flags, "--experimental-snapshot-catchup-entries=50")
	default:
		o.Flags = append(o.Flags, "--snapshot-catchup-entries=50")
	}
	return o
}

// Cluster is a set of running members of one etcd version. Its fields are for reading.
type Cluster struct {
	Version  string     // of all members, as in Options
	Members  []*Member  // the voters, in the order node1, node2, node3
	Learners []*Member  // started by AddLearner
	Dir      string     // with one directory per member and the certificates
	PKI      *Authority // nil without TLS

	options Options
	etcd    string // the server's program
	http    *http.Client
	removes bool // whether Stop removes Dir

	mu             sync.Mutex
	user, password string // set by EnableAuth
}

// Start runs a cluster and returns once every member reports that it is healthy. The context bounds only the start; the servers run
// until Stop. An error contains the end of the failed member's log; then no process and no temporary directory remain.
func Start(ctx context.Context, options Options) (*Cluster, error) {
	c, err := prepare(options)
	if err != nil {
		return nil, fmt.Errorf("prepare etcd cluster: %w", err)
	}
	for range startAttempts {
		if err = c.boot(ctx); !errors.Is(err, proctest.ErrPortTaken) {
			break
		}
		if failed := c.clear(); failed != nil {
			err = failed
			break
		}
	}
	if err != nil {
		return nil, fmt.Errorf("start etcd %s: %w", c.Version, errors.Join(err, c.Stop()))
	}
	return c, nil
}

// prepare checks the options, finds the server's program and makes the directory and certificates; it starts nothing.
func prepare(o Options) (*Cluster, error) {
	if o.Version == "" {
		o.Version = Default
	}
	if o.Members == 0 {
		o.Members = 1
	}
	if o.Members != 1 && o.Members != 3 {
		return nil, fmt.Errorf("%d members: want 1 or 3", o.Members)
	}
	etcd, err := Program(o.Version, "etcd")
	if err != nil {
		return nil, err
	}
	c := &Cluster{Version: o.Version, options: o, etcd: etcd, removes: o.Dir == ""}
	if c.Dir, err = proctest.MakeDir(o.Dir, "etcdtest-"); err != nil {
		return nil, err
	}
	if o.TLS {
		if c.PKI, err = NewAuthority(filepath.Join(c.Dir, "pki")); err != nil {
			return nil, errors.Join(err, c.Stop())
		}
	}
	if c.http, err = probeClient(c.PKI); err != nil {
		return nil, errors.Join(err, c.Stop())
	}
	return c, nil
}

// Stop kills every member, even if it is paused, waits for the processes and removes the temporary directory.
// It may be called again. For a graceful shutdown call Stop on the members first.
func (c *Cluster) Stop() error {
	var errs []error
	for _, m := range slices.Concat(c.Learners, c.Members) {
		errs = append(errs, m.Kill())
	}
	if c.removes {
		errs = append(errs, os.RemoveAll(c.Dir))
	}
	return errors.Join(errs...)
}
