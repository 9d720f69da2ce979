package restore

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime/debug"

	etcdutl "go.etcd.io/etcd/etcdutl/v3/snapshot"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"etcd-rolling-backup/snapshot"
)

// Run builds the data directory in a staging directory and moves it to its place. After an error everything is as before, unless
// the error says otherwise.
func (p *Plan) Run(ctx context.Context) (err error) {
	data, err := newStage(ctx, p.data.parent(), filepath.Base(p.data.swap))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, data.discard()) }()
	wal := &stage{}
	if p.WALDir != "" {
		if wal, err = newStage(ctx, p.wal.parent(), filepath.Base(p.wal.swap)); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, wal.discard()) }()
	}
	if err := p.build(ctx, data, wal); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	// An etcd may have been started since the plan was made.
	if err := checkFree(p.DataDir); err != nil {
		return err
	}
	var changes []change
	// The log first: an old database next to a new log is still the old database, but a new database would be overwritten from an
	// old log.
	if p.WALDir != "" {
		changes = append(changes, change{staged: wal.path(), target: p.wal.swap, old: p.wal.old})
	}
	return install(append(changes, change{staged: p.data.within(data.path()), target: p.data.swap, old: p.data.old}))
}

// build makes the directories complete and safe on the disk, under their staging names.
func (p *Plan) build(ctx context.Context, data, wal *stage) error {
	c := etcdutl.RestoreConfig{
		SnapshotPath:        throughFD(p.scratch),
		SkipHashCheck:       true, // Unpack has compared the digest and removed it
		Name:                p.Cluster.Name,
		InitialCluster:      p.Cluster.Initial(),
		InitialClusterToken: p.Cluster.Token,
		PeerURLs:            p.Cluster.URLs(),
		OutputDataDir:       data.path(),
		RevisionBump:        p.o.BumpRevision,
		MarkCompacted:       p.o.MarkCompacted,
	}
	trees := []string{data.path()}
	if p.WALDir != "" {
		c.OutputWALDir = wal.path()
		trees = append(trees, wal.path())
	}
	if err := run(c, p.Database.Verified); err != nil {
		return fmt.Errorf("build the data directory: %w", err)
	}
	for _, tree := range trees {
		if err := giveAndSync(tree, p.Owner); err != nil {
			return fmt.Errorf("build the data directory: %w", err)
		}
	}
	built, err := look(ctx, filepath.Join(data.path(), "member", "snap", "db"))
	if err != nil {
		return err
	}
	if got := built.begins(0); got != p.Revision {
		return fmt.Errorf("build the data directory: it starts at revision %d, not at %d", got, p.Revision)
	}
	return nil
}

// run calls etcd's library, which panics on a database with invalid pages and calls other errors fatal.
func run(c etcdutl.RestoreConfig, proven bool) error {
	ended, failed := make(chan error, 1), make(fatal, 1)
	go func() {
		debug.SetPanicOnFault(true) // for a disk that fails under a memory mapping; affects only this goroutine
		defer func() {
			if r := recover(); r != nil {
				// The likelier cause: a disk whose error the library does not handle, or a database that no digest verified.
				err := fmt.Errorf("etcd's library gave up: %v (does the kernel's log show a disk error?)", r)
				if !proven {
					err = fmt.Errorf("%w: etcd's library gave up: %v", snapshot.ErrDamaged, r)
				}
				ended <- err
			}
		}()
		ended <- etcdutl.NewV3(zap.NewNop().WithOptions(zap.WithFatalHook(failed))).Restore(c)
	}()
	select {
	case err := <-ended:
		return err
	case err := <-failed:
		return err
	}
}

// fatal replaces the exit of the process when etcd's library logs a fatal error, from any goroutine. That goroutine stops forever
// with the locks that it holds, and so does everything that waits for those locks.
type fatal chan error

// OnWrite implements zap's hook.
func (f fatal) OnWrite(e *zapcore.CheckedEntry, fields []zapcore.Field) {
	err := errors.New(e.Message)
	for _, field := range fields {
		if cause, ok := field.Interface.(error); ok {
			err = fmt.Errorf("%s: %w", e.Message, cause)
		}
	}
	select {
	case f <- err:
	default:
	}
	select {}
}
