package source

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/snapshot"
)

// list lists the places in which the snapshot may be. failed has those that could not be listed if another one was.
func (r Request) list(ctx context.Context) (all []Listing, failed []*PlaceError, err error) {
	dir, bucket := r.Dir, r.Bucket
	switch r.From {
	case config.Local:
		bucket = nil
	case config.S3:
		dir = ""
	case config.Anywhere, config.All, config.Peer:
		return r.listBoth(ctx)
	}
	all, failed = ListNodes(ctx, dir, bucket, r.Nodes)
	return all, nil, joined(failed)
}

// listBoth asks the bucket if there is one, but only briefly, and not for a full name that the directory has.
func (r Request) listBoth(ctx context.Context) (all []Listing, failed []*PlaceError, err error) {
	if r.Reference != snapshot.Latest || r.Bucket == nil {
		all, failed = List(ctx, r.Dir, nil)
		switch {
		case r.Bucket == nil && failed != nil && failed[0].NoDirectory():
			return nil, nil, fmt.Errorf("%w %s", joined(failed), elsewhere)
		case r.Bucket == nil, r.isNamed(all) && !r.wantsJournal() && !r.FindHighest && !r.mustUseCopy(ctx, all[0], r.named(all)):
			return all, nil, joined(failed)
		}
	}
	limited, cancel := context.WithTimeoutCause(ctx, askLimit, fmt.Errorf("no answer within %s", askLimit))
	defer cancel()
	all, failed = ListNodes(limited, r.Dir, r.Bucket, r.Nodes)
	switch {
	case ctx.Err() != nil:
		closeAll(all)
		return nil, nil, context.Cause(ctx)
	case len(all) > 0:
		return all, slices.DeleteFunc(failed, (*PlaceError).NoDirectory), nil
	case failed[0].NoDirectory():
		return nil, nil, failed[1] // a fresh machine
	}
	return nil, nil, joined(failed)
}

// named returns the listed snapshot of which the reference is the full name, without .zip too; zero: there is none.
func (r Request) named(all []Listing) snapshot.Name {
	e, _ := merged(all).Named(r.Reference)
	return e.Name
}

func (r Request) isNamed(all []Listing) bool { return r.named(all) != snapshot.Name{} }

// without reports that a place was not searched. err is nil, or that the snapshot was not found in the others.
func (r Request) without(failed []*PlaceError, all []Listing, err error) error {
	for _, e := range failed {
		switch {
		case errors.Is(err, snapshot.ErrNotFound):
			return fmt.Errorf("%w; %s was not searched: %w", err, e.Where, e)
		case err == nil:
			r.notice("warning: only %s is searched, and %s may have newer snapshots: %v", Wheres(all), e.Where, e)
		}
	}
	return err
}

// elsewhere follows the error that a place does not have the snapshot, if no other place was searched.
const elsewhere = "(in a bucket? set --s3-bucket; at a peer? restore --peer; in another file? give its path with a slash in it)"

// pick finds the snapshot in the listings: in the first one that has it. read has the manifests that this took; nil: it took none.
func (r Request) pick(ctx context.Context, all []Listing) (entry snapshot.Entry, at Listing, read map[copyOf]snapshot.Manifest, err error) {
	entry, err = r.find(merged(all))
	switch {
	case errors.Is(err, snapshot.ErrNotFound):
		if r.From == config.Anywhere && r.Bucket == nil {
			err = fmt.Errorf("%w %s", err, elsewhere)
		} else if r.Reference != snapshot.Latest && all[0].Place == config.Local {
			err = fmt.Errorf("%w (a file elsewhere: give its path with a slash in it)", err)
		}
		return entry, at, nil, fmt.Errorf("look in %s: %w", Wheres(all), r.describe(ctx, err, all))
	case err != nil:
		return entry, at, nil, err
	}
	if r.Newest == nil && !r.isNamed(all) {
		r.noticeFuture(all, entry)
		if read, err = r.oneHistory(ctx, all, entry); err != nil {
			return entry, at, nil, err
		}
	}
	entry, at = r.readable(ctx, all, entry)
	return entry, at, read, nil
}

// readable chooses the first place that has a snapshot. If its manifest is damaged there, and the caller wants an intact copy, that is the first one
// where it is not.
func (r Request) readable(ctx context.Context, all []Listing, e snapshot.Entry) (snapshot.Entry, Listing) {
	has := slices.DeleteFunc(slices.Clone(all), func(l Listing) bool { return !l.Has(e.Name) })
	if len(has) == 1 || r.From != config.Anywhere || !r.UseIntactCopy {
		return e, has[0]
	}
	if _, err := has[0].Manifest(ctx, e.Name); !errors.Is(err, snapshot.ErrDamaged) {
		return e, has[0]
	}
	for _, l := range has[1:] {
		if _, err := l.Manifest(ctx, e.Name); err == nil || errors.Is(err, snapshot.ErrNoManifest) {
			own, _ := l.entry(e.Name)
			return own, l
		}
	}
	return e, has[0]
}

func (r Request) noticeCopy(n snapshot.Name, damaged, used Listing) {
	r.notice("warning: %s in %s is damaged: trying the copy in %s", n, damaged.Where, used.Where)
}

// noticeFuture warns of a snapshot that is dated in the future: the clock of this machine, or that of the other one, was wrong.
func (r Request) noticeFuture(all []Listing, chosen snapshot.Entry) {
	now := time.Now()
	for _, e := range merged(all).Snapshots { // newest first
		if !r.mayMean(e.Name) || !e.Name.Time.After(now) {
			continue
		}
		what := "is skipped; to use it, give its full name"
		if e.Name == chosen.Name {
			what = "is used, because there is no other"
		}
		r.notice("warning: %s is dated in the future and %s (is the clock of this machine right? it shows %s)", e.Name, what, now.UTC().Format(time.RFC3339))
		return
	}
}

// find picks the one that is asked for.
func (r Request) find(l snapshot.Listing) (snapshot.Entry, error) {
	if r.Newest != nil && r.Reference == snapshot.Latest {
		return r.Newest(l)
	}
	return l.Find(r.Reference, time.Now())
}

// merged has each name once, with the size in the first place that has it.
func merged(all []Listing) (m snapshot.Listing) {
	has := map[snapshot.Name]bool{}
	for _, l := range all {
		m.Untrusted = append(m.Untrusted, l.Untrusted...)
		for _, e := range l.Snapshots {
			if !has[e.Name] {
				has[e.Name] = true
				m.Snapshots = append(m.Snapshots, e)
			}
		}
	}
	slices.SortFunc(m.Snapshots, snapshot.NewestFirst)
	return m
}

// broken returns the newest file NAME.broken that the reference may mean, and the directory.
func (r Request) broken(all []Listing) (snapshot.Entry, Listing, bool) {
	for _, l := range all {
		for _, b := range l.Broken {
			if _, exact := (snapshot.Listing{Snapshots: []snapshot.Entry{b}}).Named(r.Reference); exact || r.mayMean(b.Name) {
				return b, l, true
			}
		}
	}
	return snapshot.Entry{}, Listing{}, false
}

// describe adds why there is nothing: it was found damaged, or the bucket has nothing at all.
func (r Request) describe(ctx context.Context, err error, all []Listing) error {
	if b, l, found := r.broken(all); found {
		err = fmt.Errorf("%w (%s was found damaged: %s%s)", err, b.Name, filepath.Join(l.Where, b.Name.String()), snapshot.BrokenSuffix)
	}
	for _, l := range all {
		if l.folders != nil && len(l.Snapshots) == 0 {
			return fmt.Errorf("%w (%s)", err, l.Empty(ctx))
		}
	}
	return err
}

// compare reports that a newer one was found damaged earlier, and which of two places has the newer snapshot, if they differ.
func (r Request) compare(all []Listing, chosen snapshot.Entry, at Listing) {
	now := time.Now()
	if b, l, found := r.broken(all); found && b.Name.Time.After(chosen.Name.Time) && !b.Name.Time.After(now) {
		r.notice("warning: a newer snapshot in %s was found damaged, %s%s (%s): using %s (%s)",
			l.Where, b.Name, snapshot.BrokenSuffix, old(b.Name.Time, now), chosen.Name, old(chosen.Name.Time, now))
	}
	for _, l := range all {
		if l.Place == at.Place || l.Has(chosen.Name) {
			continue
		}
		newest, err := r.find(l.Listing)
		if err != nil {
			if at.Place == config.S3 {
				r.notice("%s has no such snapshot: using %s", l.Where, at.Where)
			}
			continue
		}
		r.notice("%s has a newer snapshot, %s (%s), than %s, whose newest is %s (%s): using the newer one",
			at.Where, chosen.Name, old(chosen.Name.Time, now), l.Where, newest.Name, old(newest.Name.Time, now))
	}
}

// intactCopy chooses the place whose copy is intact, if the caller wants that, and says why it is not the first one that has it.
func (r Request) intactCopy(ctx context.Context, all []Listing, e snapshot.Entry, at Listing) Listing {
	if first := all[slices.IndexFunc(all, func(l Listing) bool { return l.Has(e.Name) })]; first.Place != at.Place {
		if _, err := first.Manifest(ctx, e.Name); errors.Is(err, snapshot.ErrDamaged) {
			r.noticeCopy(e.Name, first, at)
		}
		return at
	}
	i := slices.IndexFunc(all, func(l Listing) bool { return l.Place != at.Place && l.Has(e.Name) })
	if i < 0 || !r.mustUseCopy(ctx, at, e.Name) {
		return at
	}
	if _, err := all[i].Manifest(ctx, e.Name); err != nil && !errors.Is(err, snapshot.ErrNoManifest) {
		return at
	}
	r.noticeCopy(e.Name, at, all[i])
	return all[i]
}

func (r Request) mustUseCopy(ctx context.Context, at Listing, n snapshot.Name) bool {
	return r.UseIntactCopy && errors.Is(at.intact(ctx, n), snapshot.ErrDamaged)
}
