package source

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/dustin/go-humanize/english"

	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/internal/history"
	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/journal"
)

// related are the snapshots that are of one history with the chosen one, as oneHistory understands it, newest first, or of all clusters if a moment
// is asked for. Their manifests were read.
func (r Request) related(all []Listing, lives []snapshot.Life, read map[copyOf]snapshot.Manifest, chosen base) (out []base) {
	own, known := clusterOf(lives, chosen.manifest)
	for _, e := range merged(all).Snapshots {
		b, _ := readBase(all, read, e)
		m := b.manifest
		its, ok := clusterOf(lives, m)
		if !ok || e.Name == chosen.Name || m.ClusterID != chosen.manifest.ClusterID && r.At.Newest() && (!known || !own.Continues(its)) {
			continue
		}
		out = append(out, b)
	}
	i := slices.IndexFunc(out, func(b base) bool { return !b.taken().After(chosen.taken()) })
	if i < 0 {
		i = len(out)
	}
	return slices.Insert(out, i, chosen)
}

// readBase is a snapshot in the first place where its manifest could be read; false: there is none.
func readBase(all []Listing, read map[copyOf]snapshot.Manifest, e snapshot.Entry) (base, bool) {
	for _, l := range all {
		if own, has := l.entry(e.Name); has {
			if m, was := read[of(own)]; was {
				return base{Entry: own, at: l, manifest: m}, true
			}
		}
	}
	return base{}, false
}

// live finds the histories, if there may be several.
func (m *moment) live(ctx context.Context, chosen base) {
	var records history.Records
	cluster, several := chosen.manifest.ClusterID, false
	for _, b := range m.bases {
		if s := b.record(); s.Cluster == cluster || m.anyHistory() {
			records.Snapshots = append(records.Snapshots, s)
			several = several || s.Cluster != cluster
		}
	}
	for _, n := range m.pieces.names() {
		if m.anyHistory() || n.Last > chosen.manifest.Revision {
			records.Segments = append(records.Segments, n)
		}
	}
	m.lives = &history.Histories{}
	records.Manifest = func(snapshot.SegmentName) (unread journal.Manifest) { return unread }
	if known := history.Find(records); !several && !known.Restored() && (!m.anyHistory() || len(known.Rows) < 2) {
		return
	}
	records.Manifest = m.pieces.reader(ctx)
	records.Counts = func(of snapshot.ID, node string) bool { // what another cluster without a snapshot has only if a node has recorded both
		return slices.ContainsFunc(records.Snapshots, func(s history.Snapshot) bool { return s.Cluster == of || s.Cluster == cluster && s.Name.Node == node })
	}
	if found := history.Find(records); found.Several() {
		m.lives = found
	}
}

// historyOf returns that of a snapshot.
func (m *moment) historyOf(b base) history.History {
	return m.lives.Of(b.manifest.ClusterID, b.taken())
}

// search makes a history the one that is searched. A segment that can't be read is of any cluster; it comes to light when it is opened.
func (m *moment) search(h history.History) {
	m.in, m.pieces.searched = h, m.pieces.all
	if !m.lives.Several() {
		return
	}
	names := map[snapshot.SegmentName]bool{}
	for _, r := range m.lives.Rows {
		for _, n := range r.Names {
			names[n] = r.History == h || r.Cluster == 0 && m.lives.Of(h.Cluster, n.Time) == h
		}
	}
	m.pieces.searched = slices.DeleteFunc(slices.Clone(m.pieces.all), func(x *piece) bool { return !names[x.Name] })
}

// inHistory are the snapshots of the history that is searched.
func (m *moment) inHistory() []base {
	return slices.DeleteFunc(slices.Clone(m.bases), func(b base) bool { return m.historyOf(b) != m.in })
}

// atRevision finds the only history that has a revision. One that only has recorded it, and no snapshot that leads to it, counts too: it may be the one that
// is meant.
func (m *moment) atRevision(ctx context.Context, chosen base, revision int64) (found base, continued *Continuation, err error) {
	var had []string // the histories that have it, for people
	var most int64   // that a history has of what comes before the revision
	for _, h := range m.lives.All() {
		m.search(h)
		b, noBase := m.before(chosen, revision)
		if noBase != nil {
			if _, reached := m.nearest(chosen, revision); err == nil || reached > most {
				err, most = noBase, reached
			}
			if at := m.recorded(ctx, revision); !at.IsZero() {
				had = append(had, fmt.Sprintf("at %s (cluster %s, which can't be restored: no snapshot leads to it)", at.UTC().Format(momentForm), h.Cluster))
			}
			continue
		}
		c, err := m.continuation(ctx, b, revision)
		if err != nil {
			return b, nil, err
		}
		at := c.At
		if at.IsZero() {
			at = b.manifest.CreatedAt
		}
		had = append(had, fmt.Sprintf("at %s (cluster %s, snapshot %s)", at.UTC().Format(momentForm), h.Cluster, b.Name))
		found, continued = b, c
	}
	switch {
	case continued == nil:
		return found, nil, err
	case len(had) == 1:
		return found, continued, m.alone(ctx, chosen, m.historyOf(found), m.now)
	}
	slices.Reverse(had)
	return found, nil, config.Usagef("--at %d: the cluster was restored, so it had this revision more than once: %s: give a time, or add the name of the snapshot",
		revision, english.WordSeries(had, "and"))
}

// recorded returns when a revision of the history that is searched was received; zero: it is not in the journal, or can't be read.
func (m *moment) recorded(ctx context.Context, revision int64) (at time.Time) {
	for _, x := range m.pieces.searched {
		if revision < x.Name.First || revision > x.Name.Last {
			continue
		}
		if m.pieces.open(ctx, x) != nil {
			x.bad = nil // nothing is restored from it
			continue
		}
		if x.opened.ClusterID != m.in.Cluster {
			continue
		}
		if at, err := journal.Received(ctx, x.opened, revision); err == nil {
			return at
		}
	}
	return at
}
