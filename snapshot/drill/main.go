package drill

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
	"golang.org/x/sys/unix"

	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/input"
)

const (
	// archiveFD and lockFD are the file descriptors that a child inherits. lockFD is the locked scratch directory. The child only holds
	// it open: as long as it is open, nobody removes the directory as a leftover.
	archiveFD = 3
	lockFD    = 4
	journalFD = 5 // if there is one
	baseFD    = 6 // if the journal is compared
	// lockedDir is a path to the scratch directory that stays valid whatever others do to its name.
	lockedDir = "/proc/self/fd/4"

	// stopTimeout is how long a child waits for its own work to stop, after it was asked to stop or lost its parent.
	stopTimeout = time.Second
)

var (
	errNoParent = errors.New("only this program itself may start this: it does one drill for its parent process")
	errOrphaned = errors.New("the process that started the drill is gone")
)

// Main is the child of Start. It runs in the scratch directory, reads its order for one drill from stdin, and reports progress
// and result on stdout. It stops when stdin ends, even before the order, because then the parent is gone. It always removes the
// scratch directory, because there may be no parent left to do that. What it can't remove while it has files open, the parent
// removes, or the next drill. The error only sets the exit status; stdout has already reported it.
func Main(ctx context.Context, stdin io.Reader, stdout io.Writer) (err error) {
	signal.Ignore(unix.SIGPIPE) // otherwise a report that nobody reads would kill this process
	out := &messageWriter{w: stdout}
	dir, err := ownScratch()
	if err != nil {
		return errors.Join(err, out.send(failure(err)))
	}
	defer func() {
		if err == nil {
			_ = os.RemoveAll(dir)
			return
		}
		_ = removeScratch(dir) // against work that goes on
	}()
	var o order
	if err := json.NewDecoder(io.LimitReader(stdin, maxMessage)).Decode(&o); err != nil {
		return errOrphaned
	}
	// The kernel kills this process before any other when memory runs out. Some containers do not allow this.
	_ = os.WriteFile("/proc/self/oom_score_adj", fmt.Append(nil, 1000), 0)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		_, _ = io.Copy(io.Discard, stdin) // whatever ended it, the parent is gone
		cancel(errOrphaned)
	}()

	run := options{archive: os.NewFile(archiveFD, "archive"), dir: lockedDir, place: dir, minFree: o.MinFree, progress: out.step, order: o}
	if len(o.Sections) > 0 {
		run.journal = os.NewFile(journalFD, "journal")
	}
	if o.Prove {
		run.base = os.NewFile(baseFD, "base")
	}
	result, err := runWithin(ctx, run)
	if errors.Is(context.Cause(ctx), errOrphaned) {
		return errOrphaned
	}
	if err == nil {
		result.Nice, err = niceness()
	}
	if err != nil {
		return errors.Join(err, out.send(failure(err)))
	}
	return out.send(message{Result: &result})
}

// runWithin calls run and stops waiting for it a while after ctx ends.
func runWithin(ctx context.Context, o options) (Result, error) {
	var result Result
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		result, err = run(ctx, o)
	}()
	select {
	case <-done:
		return result, err
	case <-ctx.Done():
	}
	select {
	case <-done:
		return result, err
	case <-time.After(stopTimeout):
		return Result{}, context.Cause(ctx)
	}
}

// ownScratch returns the absolute path of the directory in which the child was started. The child must hold that directory's
// lock: a user who starts this command manually must not lose a directory.
func ownScratch() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", errors.Join(errNoParent, err)
	}
	held, err := os.Stat(lockedDir) // an os.File would be closed when it is garbage collected
	if err != nil {
		return "", errNoParent
	}
	here, err := os.Stat(dir)
	if err != nil || !os.SameFile(here, held) || !snapshot.IsTemp(filepath.Base(dir), snapshot.ScratchPrefix) {
		return "", errNoParent
	}
	return dir, nil
}

// options configure run.
type options struct {
	archive  *os.File   // a snapshot in any form; only read, and not closed
	dir      string     // an empty directory; the caller removes it with everything that run leaves there
	place    string     // its path for messages
	minFree  int64      // bytes that must stay free on dir's disk
	progress func(Step) // may be nil; must not block
	order    order
	journal  *os.File // nil: none
	base     *os.File // of a proof
}

// The files of a drill in options.dir.
const (
	databaseFile = "snapshot.db"
	dataDir      = "data"
)

// stage is one of a drill.
type stage struct {
	name  Stage
	do    func(context.Context) error
	took  *time.Duration
	fault error // wrapped around the error when etcd's code gives up
}

// run does a complete drill in this process, which should do nothing else (Main): when ctx ends, or etcd's code gives up, run
// returns immediately and leaves goroutines of etcd running. Errors are those of Start.
func run(ctx context.Context, o options) (Result, error) {
	d := &drill{options: o, log: newServerLog()}
	stages := []stage{
		{StageUnpack, d.unpack, &d.result.Took.Unpack, snapshot.ErrDamaged},
		{StageMerge, d.merge, &d.result.Took.Merge, snapshot.ErrDamaged},
		{StageRestore, d.restore, &d.result.Took.Restore, ErrStart},
		{StageHash, d.hash, &d.result.Took.Hash, ErrStart},
		{StageBoot, d.boot, &d.result.Took.Boot, ErrStart},
		{StageCompare, d.compare, &d.result.Took.Compare, ErrStart},
		{StageStop, d.stop, &d.result.Took.Stop, ErrStart},
	}
	if o.base != nil {
		stages = []stage{{StageProve, d.prove, &d.result.Took.Merge, snapshot.ErrDamaged}}
	}
	for _, s := range stages {
		if s.name == StageMerge && d.journal == nil {
			continue
		}
		if d.progress != nil {
			d.progress(Step{Stage: s.name})
		}
		start := time.Now()
		if err := d.log.guard(ctx, s.fault, d.limit(s.name), func() error { return s.do(ctx) }); err != nil {
			return Result{}, fmt.Errorf("drill: %s: %w", s.name, err)
		}
		*s.took = time.Since(start)
	}
	return d.result, nil
}

// drill is one run.
type drill struct {
	options
	log      *serverLog
	report   input.Report // of the archive
	contents contents     // by the snapshot
	server   *embed.Etcd  // on the restored data
	result   Result
}

// limit is how long a stage may take: much longer than at the lowest priority on a slow disk. The first one shows its progress, and a
// parent ends it.
func (d *drill) limit(s Stage) time.Duration {
	if s == StageUnpack || s == StageProve {
		return math.MaxInt64
	}
	const least, slowest = 10 * time.Minute, 1 << 20 // bytes a second
	return least + time.Duration((d.report.RawSize+d.order.journalSize())/slowest)*time.Second
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
	d.report, err = input.VerifyInto(ctx, d.archive, db, snapshot.NewDir(d.place), d.minFree, progress)
	if err != nil {
		return err
	}
	need := needsMemory(d.report.RawSize, int64(d.report.Keys))
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
