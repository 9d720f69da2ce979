package service

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/dustin/go-humanize"

	"etcd-rolling-backup/daemon"
	"etcd-rolling-backup/daemon/status"
	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/journal"
	"etcd-rolling-backup/snapshot/member"
)

// base is a snapshot that the journal may continue.
type base struct {
	name snapshot.Name
	snapshot.Manifest
}

// newestBase is this node's newest snapshot; zero: there is none that can be read.
func (r *recorder) newestBase(node string, l snapshot.Listing) base {
	e, ok := l.Newest(node, r.now())
	if !ok {
		return base{}
	}
	r.newest.Store(e.Size)
	m, err := r.dir.Manifest(e.Name)
	if err != nil {
		return base{}
	}
	return base{e.Name, m}
}

// snapshots are those that there are now. Their times do not say whether they are older than a watch: the clock may be set.
func (r *recorder) snapshots() (map[snapshot.Name]bool, error) {
	l, err := r.dir.List()
	all := make(map[snapshot.Name]bool, len(l.Snapshots))
	for _, e := range l.Snapshots {
		all[e.Name] = true
	}
	return all, err
}

// checkBase asks for a new snapshot if the journal does not continue the newest one, or if that lacks what no watch shows. It returns an error if etcd
// refuses the login by now: the watch goes on without it, and nothing else would.
func (r *recorder) checkBase(ctx context.Context, cfg config.Config, m *member.Member, want position, events daemon.JournalEvents) error {
	limited, cancel := context.WithTimeout(ctx, cfg.Etcd.Timeout)
	defer cancel()
	auth, err := m.ReadAuth(limited) // without the right to, or without an answer, it is not compared; here for the renewed login in any case
	if err != nil && journalReason(err) == status.Credentials {
		return err
	}
	members, _ := m.ReadMembers(limited) // without an answer, they are not compared
	l, err := r.dir.List()               // after the questions: a snapshot that is saved meanwhile will do
	if err != nil || ctx.Err() != nil {
		return nil // the snapshots report it
	}
	newest := r.newestBase(cfg.Store.Node, l)
	why := needsBase(newest, want, auth, members)
	if why == "" {
		why = r.broken(newest, l)
	}
	r.owed.Store(why != "")
	events.NeedBase(why)
	return nil
}

// needsBase returns why a new snapshot is needed; "": the newest one will do.
func needsBase(base base, want position, auth string, members []snapshot.Member) string {
	switch {
	case base.ClusterID != want.cluster || base.Revision < want.base || want.before[base.name],
		base.Revision > want.head && want.there[base.name]: // of another history
		return fmt.Sprintf("it has no snapshot since revision %d", want.base)
	case auth != "" && base.Auth != "" && auth != base.Auth:
		return "users or roles have changed"
	case len(members) > 0 && len(base.Members) > 0 && !reflect.DeepEqual(ordered(members), ordered(base.Members)):
		return "members have changed"
	}
	return ""
}

// broken returns which revisions behind the newest snapshot are missing, because somebody has removed segments; "": all are there.
func (r *recorder) broken(newest base, l snapshot.Listing) (why string) {
	for range 2 { // a segment may get its name while it is listed
		var since []snapshot.SegmentName
		for _, e := range l.Segments {
			if n := e.Name; n.Node == newest.name.Node && !n.Time.Before(newest.name.Time) && !n.Time.After(r.now()) {
				since = append(since, n)
			}
		}
		end := newest.Revision
		for _, n := range journal.Follow(names(l, newest.name.Node), end) {
			end = n.Last
		}
		if !slices.ContainsFunc(since, func(n snapshot.SegmentName) bool { return n.First > end+1 }) {
			return ""
		}
		why = fmt.Sprintf("the journal has no revision %d any more", end+1)
		again, err := r.dir.List()
		if err != nil {
			return "" // the snapshots report it
		}
		l = again
	}
	return why
}

// names are those of the complete segments of a node.
func names(l snapshot.Listing, node string) (all []snapshot.SegmentName) {
	for _, e := range l.Segments {
		if e.Name.Node == node && e.Name.Complete() {
			all = append(all, e.Name)
		}
	}
	return all
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
	return journalRoom(r.dir, r.config().Store.MinFree, r.newest.Load(), segments)
}

// JournalRoom returns an error if a journal would not begin, because the disk has no room for it and the next snapshot.
func JournalRoom(dir *snapshot.Dir, store config.Store) error {
	l, err := dir.List()
	if err != nil {
		return err
	}
	newest, _ := l.Newest(store.Node, time.Now())
	return journalRoom(dir, store.MinFree, newest.Size, beginSize)
}

func journalRoom(dir *snapshot.Dir, reserve, next, segments int64) error {
	free, err := dir.Free()
	if err != nil || free >= reserve+next+segments {
		return err
	}
	need := reserve + next + beginSize // to go on
	bytes := func(n int64) string { return humanize.IBytes(uint64(max(n, 0))) }
	return fmt.Errorf("%w for a journal: %s free in %s, and it needs %s (%s for --min-free, %s for the next snapshot, %s for itself): free another %s, or keep fewer snapshots",
		snapshot.ErrLowSpace, bytes(free), dir.Path(), bytes(need), bytes(reserve), bytes(next), bytes(beginSize), bytes(need-free))
}
