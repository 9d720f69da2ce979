package drill

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"go.etcd.io/etcd/server/v3/embed"

	"etcd-rolling-backup/snapshot"
)

// options configure run.
type options struct {
	archive  *os.File   // one of ours; only read, and not closed
	dir      string     // an empty directory; the caller removes it with everything that run leaves there
	minFree  int64      // bytes that must stay free on dir's disk
	progress func(Step) // may be nil; must not block
}

// The files of a drill in options.dir.
const (
	databaseFile = "snapshot.db"
	dataDir      = "data"
)

// run does a complete drill in this process, which should do nothing else (Main): when ctx ends, or etcd's code gives up, run
// returns immediately and leaves goroutines of etcd running. Errors wrap snapshot.ErrDamaged if the archive is at fault; ErrStart
// or ErrContents if it is intact, but the etcd restored from it does not start or has other content; snapshot.ErrLowSpace;
// ErrSkipped if the database has too many keys for the available memory.
func run(ctx context.Context, o options) (Result, error) {
	d := &drill{options: o, log: newServerLog()}
	for _, s := range []struct {
		stage Stage
		do    func(context.Context) error
		took  *time.Duration
		fault error // wrapped around the error when etcd's code gives up
	}{
		{StageUnpack, d.unpack, &d.result.Took.Unpack, snapshot.ErrDamaged},
		{StageRestore, d.restore, &d.result.Took.Restore, ErrStart},
		{StageHash, d.hash, &d.result.Took.Hash, ErrStart},
		{StageBoot, d.boot, &d.result.Took.Boot, ErrStart},
		{StageCompare, d.compare, &d.result.Took.Compare, ErrStart},
		{StageStop, d.stop, &d.result.Took.Stop, ErrStart},
	} {
		if d.progress != nil {
			d.progress(Step{Stage: s.stage})
		}
		start := time.Now()
		if err := d.log.guard(ctx, s.fault, func() error { return s.do(ctx) }); err != nil {
			return Result{}, fmt.Errorf("drill: %s: %w", s.stage, err)
		}
		*s.took = time.Since(start)
	}
	return d.result, nil
}

// drill is one run.
type drill struct {
	options
	log      *serverLog
	report   snapshot.Report // of the archive
	contents contents        // by the snapshot
	server   *embed.Etcd     // on the restored data
	result   Result
}

func (d *drill) database() string { return filepath.Join(d.dir, databaseFile) }

// unpack verifies the archive and writes its database, followed by etcd's digest, to a file.
func (d *drill) unpack(ctx context.Context) error {
	db, err := os.OpenFile(d.database(), os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	progress := func(done, total int64) {
		if d.progress != nil {
			d.progress(Step{Stage: StageUnpack, Done: done, Total: total})
		}
	}
	d.report, err = snapshot.VerifyInto(ctx, d.archive, db, snapshot.NewDir(d.dir), d.minFree, progress)
	if err != nil {
		return err
	}
	need := needsMemory(d.report.Manifest.RawSize, int64(d.report.Keys))
	debug.SetMemoryLimit(need) // not a hard limit; makes Go collect garbage in time
	return enoughMemory(need)
}

// hash reads the snapshot's own file. It runs after restore, which needs the file as it was sent: etcd's library opens it for
// writing, and may continue a compaction that was running when the snapshot was taken.
func (d *drill) hash(ctx context.Context) error {
	var err error
	if d.contents, err = readDatabase(ctx, d.log.logger, d.database()); err != nil {
		return err
	}
	if d.contents.revision != d.report.Revision {
		return mismatch("etcd reads revision %d from the snapshot, but its pages contain %d", d.contents.revision, d.report.Revision)
	}
	// Its index is as large as the index of the etcd that starts next.
	debug.FreeOSMemory()
	return os.Remove(d.database())
}

func (d *drill) stop(context.Context) error {
	d.server.Close()
	return nil
}
