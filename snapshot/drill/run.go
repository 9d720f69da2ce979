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

// options say what run works on.
type options struct {
	archive  *os.File   // one of ours; only read, and not closed
	dir      string     // an empty directory; whoever made it removes it with all that run leaves there
	minFree  int64      // bytes that unpacking leaves free on dir's disk
	progress func(Step) // may be nil; must not block
}

// The files of a drill in options.dir.
const (
	databaseFile = "snapshot.db"
	dataDir      = "data"
)

// run does a whole drill in this process. It is meant for one of its own (Main): when ctx ends, or etcd's code gives up,
// it returns at once and leaves goroutines of etcd behind. Errors wrap snapshot.ErrDamaged when the archive is at fault,
// ErrStart or ErrContents when it is whole and no etcd comes of it that holds the same; snapshot.ErrLowSpace; ErrSkipped when
// the database has more keys than memory is left for.
func run(ctx context.Context, o options) (Result, error) {
	d := &drill{options: o, log: newServerLog()}
	for _, s := range []struct {
		stage Stage
		do    func(context.Context) error
		took  *time.Duration
		fault error // what it says of the snapshot when etcd's code gives up
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
	log    *serverLog
	report snapshot.Report // of the archive
	held   held            // by the snapshot
	server *embed.Etcd     // on the restored data
	result Result
}

func (d *drill) database() string { return filepath.Join(d.dir, databaseFile) }

// unpack proves the archive and leaves its database, with etcd's digest behind it, in a file.
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
	debug.SetMemoryLimit(need) // bounds nothing; garbage is collected in time
	return enoughMemory(need)
}

// hash asks the snapshot's own file. It comes after restore, which wants the file as it was sent: etcd's library opens it for
// writing, and may go on with a compaction that was under way when the snapshot was taken.
func (d *drill) hash(ctx context.Context) error {
	var err error
	if d.held, err = readDatabase(ctx, d.log.logger, d.database()); err != nil {
		return err
	}
	if d.held.revision != d.report.Revision {
		return differs("etcd reads revision %d from the snapshot, its pages say %d", d.held.revision, d.report.Revision)
	}
	// Its index is as large as that of the etcd to be started.
	debug.FreeOSMemory()
	return os.Remove(d.database())
}

func (d *drill) stop(context.Context) error {
	d.server.Close()
	return nil
}
