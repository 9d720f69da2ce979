package service

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"etcd-rolling-backup/daemon"
	"etcd-rolling-backup/daemon/status"
	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/internal/source"
	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/drill"
	"etcd-rolling-backup/snapshot/journal"
)

// StartContinuedDrill does one drill, with the journal that continues the snapshot; nil: there is none. If that fails, the snapshot is drilled alone, so
// that each failure is blamed on what is at fault: journalErr says what came of the journal, and wraps daemon.ErrSkipped if there was no room for it.
func StartContinuedDrill(
	ctx context.Context, file *os.File, rawSize int64, scratch *snapshot.Dir, minFree int64, progress func(drill.Step), j *drill.Journal,
) (r drill.Result, journalErr, err error) {
	if j != nil {
		r, err := startDrill(ctx, file, rawSize, scratch, minFree, progress, j)
		if err == nil || ctx.Err() != nil {
			return r, nil, err
		}
		journalErr = markSkipped(err)
		if errors.Is(err, journal.ErrHistory) { // the cluster was restored under its ID: nothing is wrong with what was recorded before
			journalErr = fmt.Errorf("%w: %w", daemon.ErrSkipped, err)
		}
	}
	r, err = startDrill(ctx, file, rawSize, scratch, minFree, progress, nil)
	if err != nil {
		journalErr = nil // not known
	}
	return r, journalErr, err
}

// bundle copies what continues a snapshot into a temporary file; nil: nothing does.
func bundle(c *source.Continuation, scratch *snapshot.Dir) (*drill.Journal, error) {
	if c == nil || len(c.Segments) == 0 {
		return nil, nil
	}
	return drill.NewJournal(scratch, c.Revision, func(w io.Writer) ([]journal.Section, int64, error) {
		sections, err := journal.Bundle(w, c.Segments)
		return sections, c.Size, err
	})
}

// proveJournal demands that the journal leads from the snapshot before this one exactly to this one. nil: there is nothing to compare.
func proveJournal(ctx context.Context, cfg config.Config, from config.Place, o *source.Opened, known *status.Tracker) (*daemon.JournalProof, error) {
	before, err := openBefore(ctx, cfg, from, o, known)
	if err != nil || before == nil {
		return nil, err
	}
	defer func() { _ = errors.Join(before.File.Close(), before.Journal.Close()) }() // they were only read
	j, err := bundle(before.Journal, o.Scratch)
	if err != nil || j == nil {
		return nil, err
	}
	defer j.File.Close() // a temporary file
	j.Base, j.Revision = before.File, 0
	if a, err := archiveOf(before.File); err == nil {
		j.BaseSize = a.Manifest.RawSize
	}
	r, err := startDrill(ctx, o.File, 0, o.Scratch, cfg.Store.MinFree, nil, j)
	switch {
	case errors.Is(err, journal.ErrDifferent), errors.Is(err, snapshot.ErrDamaged):
		return &daemon.JournalProof{Err: fmt.Errorf("from %s to %s: %w", before.Snapshot, o.Snapshot, err)}, nil
	case errors.Is(err, journal.ErrGap), errors.Is(err, journal.ErrHistory), errors.Is(err, journal.ErrRevision): // it does not lead there
		return nil, nil
	case err != nil:
		return nil, err
	}
	return &daemon.JournalProof{From: r.Journal.Base, To: r.Revision}, nil
}

func archiveOf(f *os.File) (*snapshot.Archive, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	return snapshot.OpenArchive(f, info.Size())
}

// openBefore opens this node's newest snapshot before that one, of the same history, and all of the journal that continues it; nil: there is none, or
// nothing leads from it to the other one.
func openBefore(ctx context.Context, cfg config.Config, from config.Place, o *source.Opened, known *status.Tracker) (*source.Opened, error) {
	newest, err := archiveOf(o.File)
	if err != nil {
		return nil, nil // another program's
	}
	ask := drillRequest(cfg, from, known, &daemon.DrillReport{})
	all := ask.Newest
	ask.At = &config.At{Text: "latest"}
	ask.Newest = func(l snapshot.Listing) (snapshot.Entry, error) {
		l.Snapshots = slices.DeleteFunc(slices.Clone(l.Snapshots), func(e snapshot.Entry) bool { return !e.Name.Time.Before(o.Snapshot.Time) })
		return all(l)
	}
	before, err := source.Open(ctx, ask)
	if errors.Is(err, snapshot.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	a, err := archiveOf(before.File)
	if err == nil && before.Journal != nil && before.Journal.LeadsTo(a.Manifest, newest.Manifest) {
		return before, nil
	}
	return nil, errors.Join(before.File.Close(), before.Journal.Close())
}

// journalReport is what a drill found of the journal.
func journalReport(ctx context.Context, cfg config.Config, from config.Place, o *source.Opened, known *status.Tracker, r drill.Result, journalErr error) daemon.DrilledJournal {
	out := daemon.DrilledJournal{Err: journalErr}
	if r.Journal != nil {
		out.Revision = r.Journal.Revision
	}
	began := time.Now()
	proof, err := proveJournal(ctx, cfg, from, o, known)
	switch {
	case err != nil:
		out.Unproven = markSkipped(err)
	case proof != nil:
		proof.Took = time.Since(began)
		out.Proof = proof
	}
	return out
}
