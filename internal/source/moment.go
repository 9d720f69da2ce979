package source

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/journal"
)

// ErrMoment marks a moment that no snapshot with a journal behind it reaches.
var ErrMoment = errors.New("this moment cannot be restored")

const momentForm = "2006-01-02 15:04:05 UTC"

// base is a snapshot that the journal may continue.
type base struct {
	snapshot.Entry
	at       Listing
	manifest snapshot.Manifest
}

// moment is the search for the state that is asked for.
type moment struct {
	Request
	listed []Listing
	pieces *pieces
	now    time.Time
}

// continued chooses the snapshot and the journal for the moment. chosen is the snapshot that is meant without a moment: it says which cluster.
// If the newest state is asked for, and nothing continues the chosen snapshot, the continuation is nil.
func (r Request) continued(ctx context.Context, all []Listing, chosen base) (b base, c *Continuation, err error) {
	m := &moment{Request: r, listed: all, now: time.Now()}
	if m.pieces, err = piecesOf(ctx, all, ScratchAt(r.scratchPath()), r.skipped); err != nil {
		return b, nil, err
	}
	defer func() {
		if c == nil || err != nil {
			c, err = nil, errors.Join(err, m.pieces.close())
		}
	}()
	for {
		b, c, err = m.choose(ctx, chosen)
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

// choose is one try, with the segments that may be intact.
func (m *moment) choose(ctx context.Context, chosen base) (b base, c *Continuation, err error) {
	r, fixed := m.Request, m.Reference != snapshot.Latest
	revision := r.At.Revision
	switch {
	case r.At.Newest():
		if len(m.pieces.chain(chosen.manifest.Revision)) == 0 {
			return chosen, nil, nil
		}
		c, err = m.continuation(ctx, chosen, 0)
		return chosen, c, err
	case revision == 0:
		revision, err = m.atTime(ctx, chosen.manifest.ClusterID)
	}
	if err == nil {
		b, err = m.before(ctx, chosen, revision, fixed)
	}
	if err == nil {
		c, err = m.continuation(ctx, b, revision)
	}
	return b, c, err
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

// continuation opens the segments that continue a snapshot up to a revision; 0: all.
func (m *moment) continuation(ctx context.Context, b base, revision int64) (*Continuation, error) {
	whole := m.pieces.chain(b.manifest.Revision)
	end := reach(whole, b.manifest.Revision)
	c := &Continuation{Revision: revision, End: end, close: m.pieces.close}
	if revision == 0 {
		c.Revision = end
	}
	chain := whole
	if i := slices.IndexFunc(whole, func(x *piece) bool { return x.Name.Last >= c.Revision }); i >= 0 {
		chain = whole[:i+1]
	}
	if c.Revision <= b.manifest.Revision {
		chain = nil
	}
	wanted := chain
	if len(whole) > 0 { // the end is for the report
		wanted = slices.Compact(append(slices.Clone(chain), whole[len(whole)-1]))
	}
	if err := m.pieces.openAll(ctx, wanted); err != nil {
		return nil, err
	}
	if err := ofOneCluster(wanted, b.manifest.ClusterID); err != nil {
		return nil, err
	}
	c.chain = chain
	for _, x := range chain {
		c.Segments, c.Size = append(c.Segments, x.opened), c.Size+x.opened.RawSize
		if !slices.Contains(c.Places, x.at.Where) {
			c.Places = append(c.Places, x.at.Where)
		}
	}
	if len(whole) > 0 {
		c.EndAt = whole[len(whole)-1].opened.To
	}
	if len(whole) > 0 && c.Revision == end {
		c.Unchanged = m.unchanged(ctx, whole[len(whole)-1])
	}
	var err error
	if c.Beyond, err = m.beyond(ctx, b.manifest.ClusterID, end); err != nil || len(chain) == 0 {
		return c, err
	}
	newest := chain[len(chain)-1]
	c.At, err = journal.Received(ctx, newest.opened, c.Revision)
	return c, newest.failed(err)
}

// beyond returns the newest revision of the cluster after the end, which a gap or a damaged segment separates from it; 0: there is none.
func (m *moment) beyond(ctx context.Context, cluster snapshot.ID, end int64) (newest int64, err error) {
	for _, x := range m.pieces.dropped {
		if !errors.Is(x.bad, journal.ErrHistory) && x.Name.Last > end {
			newest = max(newest, x.Name.Last)
		}
	}
	later := slices.DeleteFunc(slices.Clone(m.pieces.all), func(x *piece) bool { return x.Name.Last <= max(end, newest) })
	slices.SortFunc(later, func(a, b *piece) int { return cmp.Compare(b.Name.Last, a.Name.Last) })
	for _, x := range later[:min(len(later), 3)] { // the names do not say the cluster
		switch err := m.pieces.open(ctx, x); {
		case x.bad != nil:
		case err != nil:
			return 0, err
		case x.opened.ClusterID != cluster:
			continue
		}
		return x.Name.Last, nil
	}
	return newest, nil
}

// atTime returns the last revision at the time that is asked for.
func (m *moment) atTime(ctx context.Context, cluster snapshot.ID) (revision int64, err error) {
	t := m.At.Time
	var last *piece
	var after time.Time         // of the next checkpoint in the same segment; zero: none
	looked := map[string]bool{} // nodes: what they recorded before is older, or of another history with the same revisions
	begun := slices.SortedStableFunc(slices.Values(m.pieces.all), func(a, b *piece) int { return b.Name.Time.Compare(a.Name.Time) })
	for _, x := range begun { // those that begin before the time, the newest first
		if x.Name.Time.After(t) || looked[x.Name.Node] {
			continue
		}
		if err := m.pieces.open(ctx, x); err != nil {
			return 0, err
		}
		if x.opened.ClusterID != cluster {
			continue
		}
		r, _, _, next, err := journal.At(ctx, x.opened, t)
		if err != nil {
			return 0, x.failed(err)
		}
		looked[x.Name.Node] = r > 0 // the first change may have come in the second of the name, and after the time
		if r > revision {
			revision, last, after = r, x, next
		}
	}
	follows, err := m.follows(ctx, cluster, func(n snapshot.SegmentName) bool { return revision > 0 && n.First <= revision+1 && n.Last > revision })
	switch {
	case err != nil:
		return 0, err
	case follows || !after.IsZero():
		return revision, nil
	}
	if quiet, err := m.quiet(ctx, cluster, revision); quiet > 0 || err != nil {
		return quiet, err
	}
	if last == nil {
		return 0, m.unreachable(ctx, cluster, "the journal has no change before it")
	}
	unchanged, ends := m.unchanged(ctx, last), last.opened.To
	if !unchanged.Before(t) {
		return revision, nil
	}
	what := fmt.Sprintf("the journal ends at revision %d, received %s", revision, ends.UTC().Format(momentForm))
	if i := slices.IndexFunc(m.pieces.all, func(x *piece) bool { return x.Name.First > revision }); i >= 0 {
		what = fmt.Sprintf("it is in a gap of the journal, after revision %d, received %s", revision, ends.UTC().Format(momentForm))
	}
	if !unchanged.IsZero() {
		what += ", and nothing had changed until " + unchanged.UTC().Format(momentForm)
	}
	return 0, m.unreachable(ctx, cluster, what, fmt.Sprintf("--at %d restores that revision", revision))
}

// follows reports that there is such a segment of the cluster. The names do not say of which cluster they are.
func (m *moment) follows(ctx context.Context, cluster snapshot.ID, such func(snapshot.SegmentName) bool) (bool, error) {
	for _, x := range m.pieces.all {
		if !such(x.Name) {
			continue
		}
		if err := m.pieces.open(ctx, x); err != nil {
			return false, err
		}
		if x.opened.ClusterID == cluster {
			return true, nil
		}
	}
	return false, nil
}

// quiet returns the revision of a snapshot that was taken before the time and after the revision, if the next change came after the time; 0: there
// is no such snapshot.
func (m *moment) quiet(ctx context.Context, cluster snapshot.ID, revision int64) (int64, error) {
	for _, b := range m.bases(base{}, false) {
		if b.Name.Time.After(m.At.Time) {
			continue
		}
		manifest, err := b.at.Manifest(ctx, b.Name)
		if err != nil || manifest.ClusterID != cluster {
			continue
		}
		if manifest.Revision <= revision {
			return 0, nil
		}
		follows, err := m.follows(ctx, cluster, func(n snapshot.SegmentName) bool {
			return n.First == manifest.Revision+1 && !n.Time.Before(m.At.Time.Truncate(time.Second))
		})
		if err != nil || !follows {
			return 0, err
		}
		return manifest.Revision, nil
	}
	return 0, nil
}

// before chooses the newest snapshot from which the journal reaches the revision; fixed: no other than the chosen one.
func (m *moment) before(ctx context.Context, chosen base, revision int64, fixed bool) (base, error) {
	cluster := chosen.manifest.ClusterID
	var best base
	var reached int64
	bases := m.bases(chosen, fixed)
	// Those from after the time come last: they may be of another history with the same revisions.
	if i := slices.IndexFunc(bases, func(b base) bool { return !b.Name.Time.After(m.At.Time) }); i > 0 && !m.At.Time.IsZero() {
		bases = slices.Concat(bases[i:], bases[:i])
	}
	for _, b := range bases {
		if b.manifest.ClusterID == 0 {
			var err error
			if b.manifest, err = b.at.Manifest(ctx, b.Name); err != nil {
				continue // the one before it
			}
		}
		if b.manifest.ClusterID != cluster || b.manifest.Revision > revision {
			continue
		}
		end := reach(m.pieces.chain(b.manifest.Revision), b.manifest.Revision)
		if end >= revision {
			return b, nil
		}
		if end > reached {
			best, reached = b, end
		}
	}
	switch {
	case reached > 0:
		return base{}, m.unreachable(ctx, cluster, fmt.Sprintf("the journal has no revision %d", revision),
			fmt.Sprintf("--at %d restores the last revision before it, with %s", reached, best.Name))
	case fixed:
		return base{}, m.unreachable(ctx, cluster, fmt.Sprintf("%s has revision %d", chosen.Name, chosen.manifest.Revision))
	}
	return base{}, m.unreachable(ctx, cluster, fmt.Sprintf("no snapshot has revision %d or an earlier one", revision))
}

// bases are the snapshots that may be continued, newest first.
func (m *moment) bases(chosen base, fixed bool) (all []base) {
	if fixed {
		return []base{chosen}
	}
	for _, e := range merged(m.listed).Snapshots {
		if slices.Contains(m.SkipBases, e.Name) {
			continue
		}
		at := m.listed[slices.IndexFunc(m.listed, func(l Listing) bool { return l.Has(e.Name) })]
		b := base{Entry: e, at: at}
		if e.Name == chosen.Name {
			b = chosen
		}
		all = append(all, b)
	}
	return all
}

// unreachable is the error with what can be restored instead.
func (m *moment) unreachable(ctx context.Context, cluster snapshot.ID, why string, instead ...string) error {
	if older, newer := m.around(ctx, cluster); older != "" || newer != "" {
		for _, n := range []string{older, newer} {
			if n != "" {
				instead = append(instead, n)
			}
		}
	}
	asked := m.At.Text
	if !m.At.Time.IsZero() {
		asked += " (" + m.At.Time.UTC().Format(momentForm) + ")"
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

// around names the snapshots next to the moment.
func (m *moment) around(ctx context.Context, cluster snapshot.ID) (older, newer string) {
	for _, b := range m.bases(base{}, false) {
		manifest, err := b.at.Manifest(ctx, b.Name)
		if err == nil && manifest.ClusterID != cluster && !m.At.Time.IsZero() && !manifest.CreatedAt.After(m.At.Time) {
			return fmt.Sprintf("the cluster was restored since: for a moment before that, name its snapshot %s of %s", b.Name, manifest.CreatedAt.UTC().Format(momentForm)), newer
		}
		if err != nil || manifest.ClusterID != cluster {
			continue
		}
		after := manifest.Revision > m.At.Revision
		if !m.At.Time.IsZero() {
			after = manifest.CreatedAt.After(m.At.Time)
		}
		text := fmt.Sprintf("the snapshot %s is of revision %d, %s", b.Name, manifest.Revision, manifest.CreatedAt.UTC().Format(momentForm))
		if !after {
			return text, newer
		}
		newer = text
	}
	return older, newer
}

// String says for people which state it is.
func (c *Continuation) String() string {
	if c.At.IsZero() {
		return fmt.Sprintf("revision %d", c.Revision)
	}
	return fmt.Sprintf("revision %d, received %s", c.Revision, c.At.UTC().Format(momentForm))
}
