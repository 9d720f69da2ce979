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

// Options say what Run works on.
type Options struct {
	Archive  *os.File   // an archive of ours; only read, and not closed
	Dir      string     // an empty directory; whoever made it removes it with all that Run leaves there
	MinFree  int64      // bytes that unpacking leaves free on Dir's disk
	Progress func(Step) // may be nil; must not block
}

// The files of a drill in Options.Dir.
const (
	databaseFile = "snapshot.db"
	dataDir      = "data"
)

// Run does a whole drill in this process. It is meant for one of its own (Main): when ctx ends, or etcd's code gives up,
// it returns at once and leaves goroutines of etcd behind. Errors wrap snapshot.ErrDamaged when the snapshot is at fault,
// also when the restored etcd holds something else; snapshot.ErrLowSpace; ErrSkipped when the database has more keys than
// memory is left for.
func Run(ctx context.Context, o Options) (Result, error) {
	d := &drill{Options: o, log: newServerLog()}
	for _, s := range []struct {
		stage Stage
		do    func(context.Context) error
		took  *time.Duration
	}{
		{StageUnpack, d.unpack, &d.result.Took.Unpack},
		{StageRestore, d.restore, &d.result.Took.Restore},
		{StageHash, d.hash, &d.result.Took.Hash},
		{StageBoot, d.boot, &d.result.Took.Boot},
		{StageCompare, d.compare, &d.result.Took.Compare},
		{StageStop, d.stop, &d.result.Took.Stop},
	} {
		if d.Progress != nil {
			d.Progress(Step{Stage: s.stage})
		}
		start := time.Now()
		if err := d.log.guard(ctx, func() error { return s.do(ctx) }); err != nil {
			return Result{}, fmt.Errorf("drill: %s: %w", s.stage, err)
		}
		*s.took = time.Since(start)
	}
	return d.result, nil
}

// drill is one run.
type drill struct {
	Options
	log    *serverLog
	report snapshot.Report // of the archive
	held   held            // by the snapshot
	server *embed.Etcd     // on the restored data
	result Result
}

func (d *drill) database() string { return filepath.Join(d.Dir, databaseFile) }

// unpack proves the archive and leaves its database, with etcd's digest behind it, in a file.
func (d *drill) unpack(ctx context.Context) error {
	db, err := os.OpenFile(d.database(), os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	progress := func(done, total int64) {
		if d.Progress != nil {
			d.Progress(Step{Stage: StageUnpack, Done: done, Total: total})
		}
	}
	d.report, err = snapshot.VerifyInto(ctx, d.Archive, db, snapshot.NewDir(d.Dir), d.MinFree, progress)
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

// differs is the finding that a drill is made for.
func differs(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{snapshot.ErrDamaged}, args...)...)
}
