package source

import (
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

// manifests reads the manifest of each snapshot that fits, or where there are many of the candidates among them, once for copies of the same
// size; that of another program's file is zero. Those that cannot be read are missing; late counts those for which there was no time or room.
func manifests(ctx context.Context, all []Listing, chosen snapshot.Name, fits func(snapshot.Name) bool) (read map[copyOf]snapshot.Manifest, late int) {
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
		wanted, left := candidates(wanted, chosen)
		late += left
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

// clusters returns the clusters of the listed snapshots whose manifests were read, the one with the newest snapshot first. dir has the
// records of restores; the manifests say the same, later.
func clusters(all []Listing, read map[copyOf]snapshot.Manifest, dir *snapshot.Dir) []snapshot.Life {
	var origins []snapshot.Origin
	for _, l := range all {
		for _, e := range l.Snapshots {
			m := read[of(e)]
			origins = append(origins, snapshot.Origin{Cluster: m.ClusterID, Predecessors: m.Predecessors, Name: e.Name})
		}
	}
	lives := snapshot.Lives(origins)
	for i := range lives {
		recorded, _ := dir.Predecessors(lives[i].Cluster)
		lives[i].Predecessors = append(lives[i].Predecessors, recorded...)
	}
	return lives
}

// clusterOf returns that of a manifest; false: it is not among them.
func clusterOf(all []snapshot.Life, m snapshot.Manifest) (snapshot.Life, bool) {
	return lifeOf(all, m.ClusterID)
}

func lifeOf(all []snapshot.Life, id snapshot.ID) (snapshot.Life, bool) {
	i := slices.IndexFunc(all, func(c snapshot.Life) bool { return c.Cluster == id })
	if i < 0 {
		return snapshot.Life{}, false
	}
	return all[i], true
}

// oneHistory refuses to choose the newest of several clusters. It is no question of time: who restores another cluster's data has lost
// this one's. A snapshot whose manifest cannot be read, or that has none, is of any cluster. read has the manifests.
func (r Request) oneHistory(ctx context.Context, all []Listing, chosen snapshot.Entry) (read map[copyOf]snapshot.Manifest, err error) {
	read, late := manifests(ctx, all, chosen.Name, r.mayMean)
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if late > 0 {
		r.notice("warning: %d snapshots in %s were not read, because there are too many for %s: whether another cluster's are among them is not known", late, Wheres(all), manifestLimit)
	}
	r.noticeRevision(read, chosen)
	r.noticeLoss(read, chosen)
	found := clusters(all, read, snapshot.NewDir(r.Dir))
	if m, was := read[of(chosen)]; was && m.Format == "" && len(found) > 0 {
		r.notice("warning: %s does not say of which cluster it is, and other snapshots are of cluster %s: is it the right one?", chosen.Name, found[0].Cluster)
	}
	if len(found) < 2 {
		return read, nil
	}
	base, known := clusterOf(found, read[of(chosen)])
	if !known {
		base = found[0]
	}
	strangers := slices.DeleteFunc(found, base.Continues)
	if len(strangers) == 0 || r.momentDecides() {
		return read, nil
	}
	several := r.several(all, append([]snapshot.Life{base}, strangers...), r.clustersHere(read), nil)
	if r.AnyCluster {
		r.notice("warning: %s", several)
		return read, nil
	}
	return nil, several
}

// SeveralError says that the reference may mean snapshots of several clusters. It is an error of usage.
type SeveralError struct {
	Choices []Choice
	Moment  bool // the choices are the snapshots from which a moment is reached; otherwise the newest ones
	text    string
}

// Choice is a snapshot of one cluster.
type Choice struct {
	Alternative
	Cluster snapshot.ID
	From    snapshot.ID // the one among the clusters that it was restored from; 0: none
	Here    bool        // it has snapshots of this host
}

func (e *SeveralError) Error() string { return e.text }

// Unwrap returns config.ErrUsage.
func (e *SeveralError) Unwrap() error { return config.ErrUsage }

// clustersHere are the clusters that have snapshots of this host.
func (r Request) clustersHere(read map[copyOf]snapshot.Manifest) map[snapshot.ID]bool {
	here := map[snapshot.ID]bool{}
	for c, m := range read {
		if c.name.Node != "" && c.name.Node == r.Host {
			here[m.ClusterID] = true
		}
	}
	return here
}

// namedClusters is how many clusters a refusal names: those of this host, then those with the newest snapshots.
const namedClusters = 8

// several names the snapshots of the clusters that reach the moment which is asked for; nil: the newest ones.
func (r Request) several(all []Listing, found []snapshot.Life, here map[snapshot.ID]bool, reach map[snapshot.ID]snapshot.Name) *SeveralError {
	now, e := time.Now(), &SeveralError{Moment: reach != nil}
	var lines []string
	if len(found) > namedClusters {
		others := slices.DeleteFunc(slices.Clone(found), func(x snapshot.Life) bool { return here[x.Cluster] })
		found = append(slices.DeleteFunc(found, func(x snapshot.Life) bool { return !here[x.Cluster] }), others...)
	}
	for _, x := range found {
		note := ""
		c := Choice{Cluster: x.Cluster, Here: here[x.Cluster]}
		if c.Here {
			note = "; it has snapshots of this host, " + r.Host
		}
		for _, o := range found {
			if o.Cluster != x.Cluster && x.Has(o.Cluster) && c.From == 0 {
				c.From = o.Cluster
				note += fmt.Sprintf("; restored from %s, which went on: was that restore undone?", o.Cluster)
			}
		}
		name, reached := reach[x.Cluster]
		which := "snapshot"
		switch {
		case reach == nil:
			name, which = x.Newest, "newest"
		case !reached:
			lines = append(lines, fmt.Sprintf("cluster %s, without that moment", x.Cluster))
			continue
		}
		for _, l := range slices.Backward(all) { // the first counts
			if e, has := l.entry(name); has {
				c.Alternative = r.alternative(e, false, l)
			}
		}
		e.Choices = append(e.Choices, c)
		lines = append(lines, fmt.Sprintf("cluster %s, %s %s (%s%s)", x.Cluster, which, name, old(name.Time, now), note))
	}
	has := "has"
	if len(all) > 1 {
		has = "have"
	}
	more := ""
	if n := len(lines); n > namedClusters {
		lines, e.Choices = lines[:namedClusters], e.Choices[:min(len(e.Choices), namedClusters)]
		more = fmt.Sprintf("; and %d more: list --node NAME shows those of one node, and fleet the newest of each", n-namedClusters)
	}
	e.text = fmt.Sprintf("%s %s snapshots of %d clusters, and %q may mean any of them: give the full name of the one that you want: %s%s",
		Wheres(all), has, len(found), r.Reference, strings.Join(lines, "; "), more)
	return e
}

// mayMean reports whether the reference, a label or Latest, may mean the snapshot.
func (r Request) mayMean(n snapshot.Name) bool { return n.MayBe(r.Reference) }

// old is an age for people: 3 hours old.
func old(t, now time.Time) string { return humanize.RelTime(t, now, "old", "in the future") }
