package service

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/dustin/go-humanize"

	"etcd-rolling-backup/daemon"
	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/member"
)

// newestBase is the manifest of this node's newest snapshot; zero: there is none that can be read.
func (r *recorder) newestBase(node string, l snapshot.Listing) snapshot.Manifest {
	e, ok := l.Newest(node, time.Now())
	if !ok {
		return snapshot.Manifest{}
	}
	r.newest.Store(e.Size)
	m, err := r.dir.Manifest(e.Name)
	if err != nil {
		return snapshot.Manifest{}
	}
	return m
}

// checkBase asks for a new snapshot if the journal does not continue the newest one, or if that lacks what no watch shows.
func (r *recorder) checkBase(ctx context.Context, cfg config.Config, m *member.Member, want position, events daemon.JournalEvents) {
	l, err := r.dir.List()
	if err != nil || ctx.Err() != nil {
		return // the snapshots report it
	}
	ctx, cancel := context.WithTimeout(ctx, cfg.Etcd.Timeout)
	defer cancel()
	why := r.needsBase(ctx, m, want, r.newestBase(cfg.Store.Node, l))
	r.owed.Store(why != "")
	events.NeedBase(why)
}

// needsBase returns why a new snapshot is needed; "": the newest one will do.
func (r *recorder) needsBase(ctx context.Context, m *member.Member, want position, base snapshot.Manifest) string {
	auth, _ := m.ReadAuth(ctx) // without the right to, or without an answer, it is not compared; here for the renewed login in any case
	switch {
	case base.ClusterID != want.cluster || base.Revision < want.base || base.CreatedAt.Before(want.after),
		base.Revision > want.head && base.CreatedAt.Before(want.opened): // of another history
		return fmt.Sprintf("it has no snapshot since revision %d", want.base)
	case auth != "" && base.Auth != "" && auth != base.Auth:
		return "users or roles have changed"
	}
	members, err := m.ReadMembers(ctx)
	if err == nil && len(base.Members) > 0 && !reflect.DeepEqual(ordered(members), ordered(base.Members)) {
		return "members have changed"
	}
	return ""
}

// ordered makes lists of members comparable.
func ordered(members []snapshot.Member) (out []string) {
	for _, m := range members {
		out = append(out, fmt.Sprintf("%s %q %q %q %t", m.ID, m.Name, m.PeerURLs, m.ClientURLs, m.Learner))
	}
	slices.Sort(out)
	return out
}

// room returns an error if the disk has room for less than the next snapshot and so many bytes of the journal: snapshots come first.
func (r *recorder) room(segments int64) error {
	free, err := r.dir.Free()
	if err != nil {
		return err
	}
	next := r.newest.Load()
	if need := r.config().Store.MinFree + next + segments; free < need {
		return fmt.Errorf("%w for a journal: %s free in %s, and %s stay free for the next snapshot and --min-free: free some space, or keep fewer snapshots",
			snapshot.ErrLowSpace, humanize.IBytes(uint64(max(free, 0))), r.dir.Path(), humanize.IBytes(uint64(max(need-segments, 0))))
	}
	return nil
}
