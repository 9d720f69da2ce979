package source

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/snapshot"
)

const (
	// manifestLimit bounds how long the manifests in a bucket are read. A cluster that only very old snapshots are of is then not seen.
	manifestLimit = 30 * time.Second
	// manifestReads is how many requests for them run at the same time.
	manifestReads = 16
)

// copyOf identifies the bytes of a snapshot as far as a listing can: copies of other sizes may be of another cluster.
type copyOf struct {
	name snapshot.Name
	size int64
}

func of(e snapshot.Entry) copyOf { return copyOf{e.Name, e.Size} }

// manifests reads the manifest of each snapshot that fits, once for copies of the same size, newest first. Those that cannot be read
// are missing; late counts those for which there was no time.
func manifests(ctx context.Context, all []Listing, fits func(snapshot.Name) bool) (read map[copyOf]snapshot.Manifest, late int) {
	limited, cancel := context.WithTimeout(ctx, manifestLimit)
	defer cancel()
	read = map[copyOf]snapshot.Manifest{}
	for _, l := range all {
		var wanted []snapshot.Entry
		for _, e := range l.Snapshots {
			if _, known := read[of(e)]; fits(e.Name) && !known {
				wanted = append(wanted, e)
			}
		}
		for _, r := range l.Manifests(limited, wanted) {
			switch {
			case r.Err == nil:
				read[of(r.Entry)] = r.Manifest
			case limited.Err() != nil:
				late++
			}
		}
	}
	return read, late
}

// cluster is what the snapshots of one etcd cluster say about it.
type cluster struct {
	id     snapshot.ID
	from   []snapshot.ID  // the clusters that it was restored from
	newest snapshot.Entry // of its snapshots
	oldest time.Time
}

// clusters groups snapshots by their cluster, the one with the newest snapshot first. dir has the records of restores.
func clusters(read map[copyOf]snapshot.Manifest, dir *snapshot.Dir) []*cluster {
	byID := map[snapshot.ID]*cluster{}
	for c, m := range read {
		if m.ClusterID == 0 {
			continue
		}
		of, known := byID[m.ClusterID]
		if !known {
			of = &cluster{id: m.ClusterID, oldest: c.name.Time}
			of.from, _ = dir.Predecessors(m.ClusterID) // the manifests say the same, later
			byID[m.ClusterID] = of
		}
		of.from = append(of.from, m.Predecessors...)
		if !known || c.name.Time.After(of.newest.Name.Time) {
			of.newest = snapshot.Entry{Name: c.name, Size: c.size}
		}
		if c.name.Time.Before(of.oldest) {
			of.oldest = c.name.Time
		}
	}
	all := make([]*cluster, 0, len(byID))
	for _, c := range byID {
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b *cluster) int {
		return cmp.Or(snapshot.NewestFirst(a.newest, b.newest), cmp.Compare(a.id, b.id))
	})
	return all
}

// continues reports whether the two are one history: one was restored from the other, or both from the same one, and neither has a
// snapshot from the time of the other. Two that live at the same time are two clusters, even if one began as a copy of the other.
func (c *cluster) continues(d *cluster) bool {
	if c.id == d.id {
		return true
	}
	related := slices.Contains(c.from, d.id) || slices.Contains(d.from, c.id) ||
		slices.ContainsFunc(c.from, func(id snapshot.ID) bool { return slices.Contains(d.from, id) })
	return related && (!c.newest.Name.Time.After(d.oldest) || !d.newest.Name.Time.After(c.oldest))
}

// oneHistory refuses to choose the newest of several clusters. It is no question of time: who restores another cluster's data has lost
// this one's. A snapshot whose manifest cannot be read is of any cluster.
func (r Request) oneHistory(ctx context.Context, all []Listing, chosen snapshot.Entry) error {
	read, late := manifests(ctx, all, r.mayMean)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if late > 0 {
		r.notice("%d snapshots in %s were not read within %s: whether another cluster's are among them is not known", late, wheres(all), manifestLimit)
	}
	found := clusters(read, snapshot.NewDir(r.Dir))
	if len(found) < 2 {
		return nil
	}
	base := found[0]
	if m, known := read[of(chosen)]; known {
		base = found[slices.IndexFunc(found, func(c *cluster) bool { return c.id == m.ClusterID })]
	}
	strangers := slices.DeleteFunc(slices.Clone(found), base.continues)
	if len(strangers) == 0 {
		return nil
	}
	now := time.Now()
	var lines []string
	for _, c := range append([]*cluster{base}, strangers...) {
		lines = append(lines, fmt.Sprintf("cluster %s, newest %s (%s)", c.id, c.newest.Name, old(c.newest.Name.Time, now)))
	}
	text := fmt.Sprintf("%s has snapshots of %d clusters, and %q may mean any of them: give the full name of the one that you want: %s",
		wheres(all), len(lines), r.Reference, strings.Join(lines, "; "))
	if r.AnyCluster {
		r.notice("warning: %s", text)
		return nil
	}
	return config.Usagef("%s", text)
}

// mayMean reports whether the reference, a label or Latest, may mean the snapshot.
func (r Request) mayMean(n snapshot.Name) bool {
	return r.Reference == snapshot.Latest || r.Reference == n.Set
}

// old is an age for people: 3 hours old.
func old(t, now time.Time) string { return humanize.RelTime(t, now, "old", "in the future") }
