package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"etcd-rolling-backup/internal/journaltest"
	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/journal"
)

// journalLimit is how long the daemon may take for anything.
const journalLimit = 2 * time.Minute

// journaling is a daemon that records a journal.
type journaling struct {
	dir string
	cmd *exec.Cmd
	log *os.File
}

// startJournal starts a daemon with all defaults but these flags, and returns when it records and has a snapshot. The client puts keys until then: without changes there is no segment.
func (b *bench) startJournal(ctx context.Context, client *clientv3.Client, dir string, flags ...string) (*journaling, error) {
	before, err := snapshotsIn(dir)
	if err != nil {
		return nil, err
	}
	log, err := os.Create(filepath.Join(b.work, "daemon.log"))
	if err != nil {
		return nil, err
	}
	args := []string{"daemon", "--endpoints", b.endpoint, "--dir", dir, "--node", node, "--journal", "--drill-schedule", "off", "--listen", "off"}
	if !slices.Contains(flags, "--schedule") {
		flags = append(flags, "--schedule", "@every 10h")
	}
	j := &journaling{dir: dir, log: log, cmd: exec.CommandContext(ctx, b.program, append(args, flags...)...)}
	j.cmd.Stdout, j.cmd.Stderr = log, log
	if err := j.cmd.Start(); err != nil {
		return nil, errors.Join(err, log.Close())
	}
	r, err := client.Put(ctx, "/bench/tick", "")
	if err == nil {
		err = j.await(ctx, func() error { _, err := client.Put(ctx, "/bench/tick", ""); return err }, r.Header.Revision)
	}
	if err == nil {
		err = awaitSnapshot(ctx, dir, before)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start the daemon: %w", err), j.end(os.Kill))
	}
	return j, nil
}

func snapshotsIn(dir string) ([]string, error) { return filepath.Glob(filepath.Join(dir, "*.db.zst")) }

// awaitSnapshot waits for one that was not there before.
func awaitSnapshot(ctx context.Context, dir string, before []string) error {
	for limit := time.Now().Add(journalLimit); ; {
		files, err := snapshotsIn(dir)
		if err != nil || slices.ContainsFunc(files, func(f string) bool { return !slices.Contains(before, f) }) {
			return err
		}
		if time.Now().After(limit) {
			return errors.New("it takes no snapshot")
		}
		if err := wait(ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
}

// await waits until the journal has a revision; meanwhile is called now and then.
func (j *journaling) await(ctx context.Context, meanwhile func() error, revision int64) error {
	return j.reach(ctx, meanwhile, journaltest.Newest, revision)
}

// awaitCompaction waits until the journal knows of a compaction: the daemon asks for it once for each segment.
func (j *journaling) awaitCompaction(ctx context.Context, meanwhile func() error, revision int64) error {
	return j.reach(ctx, meanwhile, journaltest.Compacted, revision)
}

func (j *journaling) reach(ctx context.Context, meanwhile func() error, is func(context.Context, string) (int64, error), revision int64) error {
	for limit := time.Now().Add(journalLimit); ; {
		if err := meanwhile(); err != nil {
			return err
		}
		last, err := is(ctx, j.dir)
		if err != nil || last >= revision {
			return err
		}
		if time.Now().After(limit) {
			text, _ := os.ReadFile(j.log.Name()) // the error is the reason
			return fmt.Errorf("the journal is at revision %d, not at %d: %s", last, revision, text)
		}
		if err := wait(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
}

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// end sends the daemon a signal and waits for its end.
func (j *journaling) end(signal os.Signal) error {
	err := j.cmd.Process.Signal(signal)
	if failed := j.cmd.Wait(); failed != nil && signal != os.Kill {
		err = errors.Join(err, failed)
	}
	return errors.Join(err, j.log.Close())
}

// segments are the complete segments of a directory in order.
func segments(ctx context.Context, dir string) (all []snapshot.SegmentName, bytes, events int64, err error) {
	list, err := snapshot.NewDir(dir).List()
	if err != nil {
		return nil, 0, 0, err
	}
	for _, s := range list.Segments {
		if !s.Name.Complete() {
			continue
		}
		f, err := snapshot.NewDir(dir).OpenSegment(s.Name)
		if err != nil {
			return nil, 0, 0, err
		}
		opened, err := journal.Open(f, s.Size)
		if err == nil {
			events += opened.Events
		}
		if err := errors.Join(err, f.Close()); err != nil {
			return nil, 0, 0, err
		}
		all, bytes = append(all, s.Name), bytes+s.Size
	}
	return all, bytes, events, ctx.Err()
}
