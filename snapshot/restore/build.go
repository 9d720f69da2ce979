package restore

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime/debug"
	"slices"

	etcdutl "go.etcd.io/etcd/etcdutl/v3/snapshot"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"etcd-rolling-backup/snapshot"
)

// Done reports a restore that has happened.
type Done struct {
	// Warnings are what failed after the restored data was in its place. The restore has succeeded all the same.
	Warnings []error
}

// Run builds the data directory in a staging directory and moves it to its place. After an error everything is as before, unless
// the error says otherwise.
func (p *Plan) Run(ctx context.Context) (Done, error) {
	// What a restore left that died before the data directory existed, or that was of an earlier version. It only takes up space.
	if parent, err := openDir(filepath.Dir(p.DataDir)); err == nil {
		_ = errors.Join(sweep(parent, filepath.Base(p.DataDir)), parent.Close())
	}
	data, err := p.data.stage()
	if err != nil {
		return Done{}, err
	}
	wal, err := p.wal.stage()
	if err != nil {
		return Done{}, errors.Join(err, data.discard())
	}
	return p.runIn(ctx, data, wal)
}

// stage creates the staging directory of a place; without a place there is nothing to discard.
func (at place) stage() (*stage, error) {
	if at.swap == "" {
		return &stage{}, nil
	}
	return newStage(at.parent(), at.base())
}

// change moves what was built in the stage to the place.
func (at place) change(s *stage, built string) change {
	c := change{stage: s, staged: built, target: at.base()}
	if at.old != "" {
		c.old = filepath.Base(at.old)
	}
	return c
}

// runIn discards the staging directories.
func (p *Plan) runIn(ctx context.Context, data, wal *stage) (done Done, err error) {
	defer func() {
		for _, s := range []*stage{data, wal} {
			left := s.discard()
			if err != nil {
				err = errors.Join(err, left)
				continue
			}
			done.warn(s.left, left)
		}
	}()
	if err := p.build(ctx, data, wal); err != nil {
		for _, s := range []*stage{data, wal} {
			if s.lock != nil && snapshot.Unsupported(s.lock.Sync()) {
				return done, fmt.Errorf("%w: the file system of %s can't sync directories, and etcd needs that: use another disk: %w", ErrTarget, s.dir, err)
			}
		}
		return done, err
	}
	if ctx.Err() != nil {
		return done, context.Cause(ctx)
	}
	// An etcd may have been started since the plan was made.
	if err := checkFree(p.DataDir); err != nil {
		return done, err
	}
	var changes []change
	// The log first: an old database next to a new log is still the old database, but a new database would be overwritten from an
	// old log.
	if p.LogDir != "" {
		changes = append(changes, p.wal.change(wal, stageNew))
	}
	changes = append(changes, p.data.change(data, filepath.Join(stageNew, p.data.built)))
	for _, c := range changes {
		if err := c.stage.reachable(); err != nil {
			return done, err
		}
	}
	if err := install(changes); err != nil {
		return done, err
	}
	p.settle(changes, &done)
	return done, nil
}

// settle does what is left when the restored data is in its place.
func (p *Plan) settle(changes []change, done *Done) {
	for _, c := range changes {
		if err := syncDir(c.stage.parent); err != nil {
			done.warn(fmt.Errorf("a power loss could undo the restore: %w", err))
		}
	}
	if !p.owned {
		return
	}
	for _, dir := range p.kept { // etcd must be able to write there
		f, err := openDir(dir)
		if err == nil {
			err = errors.Join(f.Chown(p.Owner.UID, p.Owner.GID), f.Close())
		}
		if err != nil {
			done.warn(fmt.Errorf("set the owner of %s: %w", dir, err))
		}
	}
}

func (d *Done) warn(errs ...error) {
	d.Warnings = append(d.Warnings, slices.DeleteFunc(errs, func(err error) bool { return err == nil })...)
}

// build makes the directories complete and safe on the disk, under their staging names.
func (p *Plan) build(ctx context.Context, data, wal *stage) error {
	source, err := p.source(data)
	if err != nil {
		return fmt.Errorf("build the data directory: %w", err)
	}
	c := etcdutl.RestoreConfig{
		SnapshotPath:        source,
		SkipHashCheck:       true, // Unpack has compared the digest and removed it
		Name:                p.Cluster.Name,
		InitialCluster:      p.Cluster.Initial(),
		InitialClusterToken: p.Cluster.Token,
		PeerURLs:            p.Cluster.URLs(),
		OutputDataDir:       data.path(),
		RevisionBump:        p.o.BumpRevision,
		MarkCompacted:       p.o.MarkCompacted,
	}
	stages := []*stage{data}
	if p.LogDir != "" {
		c.OutputWALDir = wal.path()
		stages = append(stages, wal)
	}
	if err := run(c, p.Database.Verified); err != nil {
		return fmt.Errorf("build the data directory in %s: %w", data.dir, err)
	}
	for _, s := range stages {
		if err := giveAndSync(s.root, stageNew, p.Owner); err != nil {
			return fmt.Errorf("build the data directory in %s: %w", s.dir, err)
		}
	}
	built, err := look(ctx, filepath.Join(data.path(), memberDir, snapDir, "db"))
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
