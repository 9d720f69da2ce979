package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"etcd-rolling-backup/snapshot"
)

// watcher prints each snapshot that is added or removed, on the disk and in the bucket.
type watcher struct {
	store       *snapshot.Dir
	s3          *remote
	here, there map[string]bool
	came, went  int // on the disk
}

// until watches until done; what describes the condition for the error.
func (w *watcher) until(ctx context.Context, what string, done func() bool) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-ctx.Done():
			return fmt.Errorf("waited for %s: %d snapshots came, %d went, %d are here and %d in the bucket: %w",
				what, w.came, w.went, len(w.here), len(w.there), ctx.Err())
		case <-tick.C:
		}
		if err := errors.Join(w.lookHere(), w.lookThere(ctx)); err != nil {
			return err
		}
	}
	return nil
}

func (w *watcher) lookHere() error {
	l, err := w.store.List()
	if errors.Is(err, snapshot.ErrUnusableDir) {
		return nil // the daemon has not made the directory yet
	}
	if err != nil {
		return err
	}
	now := map[string]bool{}
	for _, e := range l.Snapshots {
		name := e.Name.String()
		now[name] = true
		if w.here[name] {
			continue
		}
		m, err := w.store.Manifest(e.Name)
		if err != nil {
			return err
		}
		w.came++
		say("+ %s   revision %d, %.1f MiB of database in %.1f MiB", name, m.Revision, mib(m.RawSize), mib(e.Size))
	}
	for name := range w.here {
		if !now[name] {
			w.went++
			say("- %s   pruned", name)
		}
	}
	w.here = now
	return nil
}

func (w *watcher) lookThere(ctx context.Context) error {
	now, err := w.s3.names(ctx)
	if err != nil {
		return err
	}
	for name := range now {
		if !w.there[name] {
			say("> %s   in the bucket", name)
		}
	}
	for name := range w.there {
		if !now[name] {
			say("< %s   pruned in the bucket", name)
		}
	}
	w.there = now
	return nil
}

// mirrored reports whether the bucket has all snapshots from the disk.
func (w *watcher) mirrored() bool {
	for name := range w.here {
		if !w.there[name] {
			return false
		}
	}
	return true
}
