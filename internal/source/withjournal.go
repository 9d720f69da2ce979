package source

import (
	"context"
	"errors"
	"fmt"
	"time"

	"etcd-rolling-backup/snapshot"
)

// withJournal chooses the snapshot and what continues it.
func (r Request) withJournal(ctx context.Context, all []Listing, e snapshot.Entry, at Listing, read map[copyOf]snapshot.Manifest,
) (snapshot.Entry, Listing, *Continuation, error) {
	m, unread := at.Manifest(ctx, e.Name)
	if unread == nil {
		b, journal, err := r.continued(ctx, all, base{Entry: e, at: at, manifest: m}, read)
		return b.Entry, b.at, journal, err
	}
	other, found := r.anotherBase(all, read, e)
	switch {
	case found && r.At.Newest():
		return r.newestWithout(ctx, all, e, at, other, read, unread)
	case found && errors.Is(unread, snapshot.ErrDamaged):
		r.notice("warning: %v: trying without it", unread)
		b, journal, err := r.continued(ctx, all, other, read)
		return b.Entry, b.at, journal, err
	case r.At.Text == "": // what it is comes to light when it is opened
		return e, at, nil, nil
	}
	return e, at, nil, r.uncontinued(unread)
}

// newestWithout chooses the newest state where the journal can't continue the newest snapshot, because its manifest can't be read: what another
// snapshot and the journal have, if that is later, and otherwise the snapshot itself. The latter may be damaged, or of another program.
func (r Request) newestWithout(ctx context.Context, all []Listing, e snapshot.Entry, at Listing, other base, read map[copyOf]snapshot.Manifest, unread error,
) (snapshot.Entry, Listing, *Continuation, error) {
	var said []string
	try := r
	try.Notice = func(text string) { said = append(said, text) }
	b, journal, err := try.continued(ctx, all, other, read)
	if err != nil {
		return e, at, nil, err
	}
	later := journal.covers(e.Name.Time)
	if journal == nil {
		later = !quietAfter(all, other.Name, other.manifest).Before(e.Name.Time)
	}
	if later {
		r.notice("warning: %v: trying without it", unread)
		for _, text := range said {
			r.notice("%s", text)
		}
		return b.Entry, b.at, journal, nil
	}
	end := other.manifest.Revision
	if journal != nil {
		end = journal.End
	}
	if err := journal.Close(); err != nil {
		return e, at, nil, err
	}
	instead := fmt.Sprintf("%s and the journal end at revision %d, before it: --at %d restores that", other.Name, end, end)
	if r.At.Text != "" {
		return e, at, nil, fmt.Errorf("%w: %s", r.uncontinued(unread), instead)
	}
	r.notice("warning: %v: the journal can't continue it; %s", unread, instead)
	return e, at, nil, nil
}

// uncontinued is the error that the journal can't continue a snapshot.
func (r Request) uncontinued(unread error) error {
	if r.Reference != snapshot.Latest {
		return fmt.Errorf("--at %s: %w: the journal can't continue it; without its name, --at goes on from another snapshot", r.At.Text, unread)
	}
	return fmt.Errorf("--at %s: %w: the journal can't continue it", r.At.Text, unread)
}

// covers reports that the state is not older than a snapshot that was taken then. Where the journal has a gap behind it, the snapshot may have what came
// in the seconds that it took.
func (c *Continuation) covers(taken time.Time) bool {
	if c == nil {
		return false
	}
	if c.Beyond != 0 {
		taken = taken.Add(10 * time.Second)
	}
	return c.EndAt.After(taken) || c.Unchanged.After(taken)
}

// anotherBase is the newest snapshot before one whose manifest can't be read, which may be meant instead; false: there is none.
func (r Request) anotherBase(all []Listing, read map[copyOf]snapshot.Manifest, unread snapshot.Entry) (base, bool) {
	if r.Reference != snapshot.Latest {
		return base{}, false
	}
	for _, e := range merged(all).Snapshots { // newest first
		if b, found := readBase(all, read, e); found && b.manifest.ClusterID != 0 && r.mayMean(e.Name) && !e.Name.Time.After(unread.Name.Time) {
			return b, true
		}
	}
	return base{}, false
}
