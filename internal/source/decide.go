package source

import (
	"context"
	"errors"
	"fmt"
	"time"

	"etcd-rolling-backup/internal/history"
	"etcd-rolling-backup/snapshot"
)

// momentDecides reports that a moment says which cluster is meant, among several.
func (r Request) momentDecides() bool {
	return r.wantsJournal() && r.Reference == snapshot.Latest && !r.At.Newest()
}

// decide searches the history that was alive at the time that is asked for. That of a snapshot that was named must be the one.
func (m *moment) decide(ctx context.Context, chosen base) error {
	if !m.lives.Several() {
		return nil
	}
	t := m.At.Time
	switch alive := m.lives.At(t); {
	case !m.fixed():
		m.search(alive)
		return m.alone(ctx, chosen, alive, t)
	case alive != m.in && m.lives.Begun(m.in, t) && !m.lives.SideBySide(alive, m.in):
		return m.unreachable("the cluster was restored between that snapshot and the moment")
	}
	return nil
}

// alone refuses a history if another one may have been alive at the same time, and neither continues the other.
func (m *moment) alone(ctx context.Context, chosen base, alive history.History, t time.Time) error {
	own, known := lifeOf(m.clusters, alive.Cluster)
	both := []snapshot.Life{own}
	strangers := map[snapshot.ID]bool{}
	of := map[snapshot.ID]history.History{alive.Cluster: alive}
	for _, x := range m.lives.All() {
		its, found := lifeOf(m.clusters, x.Cluster)
		if !known || !found || own.Continues(its) || of[x.Cluster] != (history.History{}) {
			continue
		}
		strangers[x.Cluster] = true
		if m.lives.Begun(x, t) && m.lives.SideBySide(alive, x) {
			both, of[x.Cluster] = append(both, its), x
		}
	}
	if len(both) == 1 {
		if len(strangers) > 0 {
			m.notice("there are snapshots of %d clusters: this moment is of cluster %s", len(strangers)+1, alive.Cluster)
		}
		return nil
	}
	reach := map[snapshot.ID]snapshot.Name{}
	for _, x := range both {
		if b, err := m.reaching(ctx, chosen, of[x.Cluster]); err == nil {
			reach[x.Cluster] = b.Name
		} else if !errors.Is(err, ErrMoment) {
			return err
		}
	}
	m.search(alive)
	several := m.several(m.listed, both, m.clustersHere(m.read), reach)
	if m.AnyCluster {
		m.notice("warning: %s", several)
		return nil
	}
	return several
}

// reaching returns the snapshot of a history from which the moment is reached.
func (m *moment) reaching(ctx context.Context, chosen base, of history.History) (b base, err error) {
	m.search(of)
	revision := m.At.Revision
	if revision == 0 {
		revision, err = m.atTime(ctx, chosen)
	}
	if err != nil {
		return b, err
	}
	return m.before(chosen, revision)
}

// advised adds to the error that a named snapshot does not lead to the moment which one does.
func (m *moment) advised(ctx context.Context, chosen base, err error) error {
	if !m.lives.Several() || !m.fixed() || m.At.Time.IsZero() || !errors.Is(err, ErrMoment) {
		return err
	}
	other := *m
	other.Reference, other.Notice = snapshot.Latest, nil
	if b, _, e := other.choose(ctx, chosen); e == nil && b.Name != chosen.Name {
		return fmt.Errorf("%w; the snapshot %s with --at %q restores it", err, b.Name, m.At.Text)
	}
	return err
}
