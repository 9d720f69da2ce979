package source

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"etcd-rolling-backup/internal/history"
	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/journal"
)

// ErrMoment marks a moment that no snapshot with a journal behind it reaches.
var ErrMoment = errors.New("this moment cannot be restored")

// Times for people: whole seconds, and what was asked for.
const (
	momentForm = "2006-01-02 15:04:05 UTC"
	exactForm  = "2006-01-02 15:04:05.999999999 UTC"
)

// base is a snapshot that the journal may continue.
type base struct {
	snapshot.Entry
	at       Listing
	manifest snapshot.Manifest
}

// taken is when it was, whole seconds, as its name says.
func (b base) taken() time.Time { return b.record().Time }

// record is what the search for histories knows of it.
func (b base) record() history.Snapshot { return history.SnapshotOf(b.Name, b.manifest) }

// moment is the search for the state that is asked for. It is of one history.
type moment struct {
	Request
	listed []Listing
	pieces *pieces
	now    time.Time
	bases  []base // of the clusters that may be meant; newest first
	read   map[copyOf]snapshot.Manifest

	clusters []snapshot.Life // of which there are snapshots

	proposed []*piece // the segments that lead to what a refusal proposes

	lives *history.Histories // empty: there is one only
	in    history.History    // that is searched
}

// continued chooses the snapshot and the journal for the moment. chosen is the snapshot that is meant without a moment: it says which cluster. read has
// the manifests that were read; nil: none were.
// If the newest state is asked for, and nothing continues the chosen snapshot, the continuation is nil.
func (r Request) continued(ctx context.Context, all []Listing, chosen base, read map[copyOf]snapshot.Manifest) (b base, c *Continuation, err error) {
	m := &moment{Request: r, listed: all, now: time.Now()}
	if m.pieces, err = piecesOf(ctx, all, ScratchAt(r.scratchPath()), r.skipped); err != nil {
		return b, nil, err
	}
	defer func() {
		if c == nil || err != nil {
			c, err = nil, errors.Join(err, m.pieces.close())
		}
	}()
	if m.anyHistory() && (read == nil || m.fixed()) { // of a label, only those with it were read
		read, _ = manifests(ctx, all, chosen.Name, func(snapshot.Name) bool { return true })
	}
	m.read, m.clusters = read, clusters(all, read, snapshot.NewDir(r.Dir))
	m.bases = r.related(all, m.clusters, read, chosen)
	for {
		m.live(ctx, chosen)
		m.proposed = nil
		b, c, err = m.choose(ctx, chosen)
		if errors.Is(err, ErrMoment) { // what it proposes must work
			if e := m.pieces.prove(ctx, m.proposed); e != nil && !unusable(e) {
				return b, c, errors.Join(err, e)
			}
		}
		bad := m.pieces.dropBad()
		for _, why := range bad {
			if !errors.Is(why, journal.ErrHistory) { // another cluster's has no fault
				r.notice("warning: %v: trying without it", why)
			}
		}
		if err == nil || len(bad) == 0 || ctx.Err() != nil {
			return b, c, err
		}
	}
}

// fixed reports that no other snapshot than the chosen one will do.
func (m *moment) fixed() bool { return m.Reference != snapshot.Latest }

// anyHistory reports that more than the end of the chosen snapshot's history may be asked for.
func (m *moment) anyHistory() bool { return m.fixed() || !m.At.Newest() }

// choose is one try, with the segments that may be intact.
func (m *moment) choose(ctx context.Context, chosen base) (b base, c *Continuation, err error) {
	revision := m.At.Revision
	m.search(m.historyOf(chosen))
	switch {
	case m.At.Newest():
		if len(m.pieces.chain(chosen.manifest.Revision)) == 0 {
			if beyond, err := m.beyond(ctx, chosen.manifest.Revision); beyond == 0 || err != nil {
				return chosen, nil, err
			}
		}
		c, err = m.continuation(ctx, chosen, 0)
		return chosen, c, err
	case revision > 0 && m.lives.Several() && !m.fixed():
		return m.atRevision(ctx, chosen, revision)
	case revision == 0:
		if err = m.decide(ctx, chosen); err == nil {
			revision, err = m.atTime(ctx, chosen)
		}
	}
	if err == nil {
		b, err = m.before(chosen, revision)
		if _, reached := m.nearest(chosen, revision); err != nil && reached == 0 && !m.At.Time.IsZero() && !m.fixed() && m.begunByRestore() {
			err = m.noBaseBefore(ctx, chosen, revision)
		}
	}
	if err == nil {
		c, err = m.continuation(ctx, b, revision)
	}
	return b, c, m.advised(ctx, chosen, err)
}

func (r Request) scratchPath() string {
	if r.Scratch != "" {
		return r.Scratch
	}
	return r.Dir
}

func (r Request) skipped(l Listing, n snapshot.SegmentName) bool {
	return slices.ContainsFunc(r.SkipSegments, func(s SkippedSegment) bool { return s.Name == n && s.Place == l.Place })
}

// nearest chooses the newest snapshot from which the journal reaches the revision, or comes nearest to it. reached is how far; 0: there is none.
func (m *moment) nearest(chosen base, revision int64) (best base, reached int64) {
	bases := m.inHistory()
	if m.fixed() {
		bases = []base{chosen}
	}
	for _, b := range bases {
		if b.manifest.Revision > revision || slices.Contains(m.SkipBases, b.Name) {
			continue
		}
		end := reach(m.pieces.chain(b.manifest.Revision), b.manifest.Revision)
		if end >= revision {
			return b, end
		}
		if end > reached {
			best, reached = b, end
		}
	}
	return best, reached
}

// before chooses the newest snapshot from which the journal reaches the revision.
func (m *moment) before(chosen base, revision int64) (base, error) {
	best, reached := m.nearest(chosen, revision)
	if reached > 0 {
		m.proposed = append(m.proposed, m.pieces.chain(best.manifest.Revision)...)
	}
	if reached >= revision {
		return best, nil
	}
	with := fmt.Sprintf("--at %d restores the last revision before it, with %s", reached, best.Name)
	if m.lives.Several() && !m.fixed() { // there may be two of that number
		with = fmt.Sprintf("the snapshot %s with --at %d restores the last revision before it", best.Name, reached)
	}
	switch {
	case reached > 0:
		return base{}, m.unreachableBehind(best.Name, m.whyNot(revision, reached), with)
	case len(m.SkipBases) > 0:
		last := m.SkipBases[len(m.SkipBases)-1]
		return base{}, m.unreachableBehind(last, fmt.Sprintf("%s was compacted after revision %d while it was taken, and no earlier snapshot leads to it", last, revision))
	case m.fixed():
		return base{}, m.unreachable(fmt.Sprintf("%s has revision %d", chosen.Name, chosen.manifest.Revision))
	}
	return base{}, m.unreachable(fmt.Sprintf("no snapshot has revision %d or an earlier one", revision))
}

// whyNot says why the journal, which reaches an earlier revision, does not reach this one.
func (m *moment) whyNot(revision, reached int64) string {
	switch {
	case slices.ContainsFunc(m.pieces.searched, func(x *piece) bool { return x.Name.First <= revision && revision <= x.Name.Last }):
		return fmt.Sprintf("the journal has revision %d only behind a gap after revision %d", revision, reached)
	case slices.ContainsFunc(m.pieces.searched, func(x *piece) bool { return x.Name.First > revision }), slices.ContainsFunc(m.inHistory(), func(b base) bool { return b.manifest.Revision > revision }):
		return fmt.Sprintf("revision %d is in a gap of the journal, after revision %d", revision, reached)
	}
	return fmt.Sprintf("the journal has no revision %d", revision)
}

// unreachable is the error with what can be restored instead.
func (m *moment) unreachable(why string, instead ...string) error {
	return m.unreachableBehind(snapshot.Name{}, why, instead...)
}

// unreachableBehind does so where a snapshot is named already.
func (m *moment) unreachableBehind(named snapshot.Name, why string, instead ...string) error {
	older, newer := m.around(named)
	for _, n := range []string{older, newer} {
		if n != "" {
			instead = append(instead, n)
		}
	}
	asked := m.At.Text
	if !m.At.Time.IsZero() {
		asked += " (" + m.At.Time.UTC().Format(exactForm) + ")"
	}
	text := fmt.Sprintf("--at %s: %s", asked, why)
	for i, s := range instead {
		sep := "; "
		if i == 0 {
			sep = ": "
		}
		text += sep + s
	}
	return fmt.Errorf("%w: %s", ErrMoment, text)
}

// around names the snapshots next to the moment, but not the one that is named already.
func (m *moment) around(named snapshot.Name) (older, newer string) {
	for _, b := range m.inHistory() {
		after := b.manifest.Revision > m.At.Revision
		if !m.At.Time.IsZero() {
			after = b.manifest.CreatedAt.After(m.At.Time)
		}
		text := fmt.Sprintf("the snapshot %s is of revision %d, %s", b.Name, b.manifest.Revision, b.manifest.CreatedAt.UTC().Format(momentForm))
		if b.Name == named {
			text = ""
		}
		if !after {
			return text, newer
		}
		newer = text
	}
	return older, newer
}
