package source

import (
	"slices"

	"etcd-rolling-backup/snapshot"
)

const (
	// allRead is up to how many snapshots of a place the manifests of all are read. One node or cluster hardly has more.
	allRead = 1000
	// closely is how many of the newest snapshots of the chosen one's node are read where a place has more than allRead: with them
	// it is compared, and the journal may continue each of them. Hourly ones of 20 days are among them.
	closely = 500
)

// candidates are the snapshots whose manifests show whether others than the chosen one may be meant. Of a folder that hundreds of nodes
// share these are few: of each node and label the two newest, because two clusters with one node name take turns, and the oldest, which
// stays if its cluster is gone. What counts most comes first, because time may end: the chosen one's node, then the newest of each. all is
// ordered newest first. left is how many nodes and labels there was no room for.
func candidates(all []snapshot.Entry, chosen snapshot.Name) (wanted []snapshot.Entry, left int) {
	if len(all) <= allRead {
		return all, 0
	}
	type series struct{ set, node string }
	of := func(n snapshot.Name) series { return series{n.Set, n.Node} }
	seen := map[series]int{}
	last := map[series]snapshot.Entry{}
	var near, first, second, oldest []snapshot.Entry
	for _, e := range all {
		s := of(e.Name)
		seen[s]++
		switch n := seen[s]; {
		case s == of(chosen) && n <= closely:
			near = append(near, e)
		case n == 1:
			first = append(first, e)
		case n == 2:
			second = append(second, e)
		default:
			last[s] = e
		}
	}
	for _, e := range all {
		if last[of(e.Name)].Name == e.Name {
			oldest = append(oldest, e)
		}
	}
	wanted = slices.Concat(near, first, second, oldest)
	return wanted[:min(len(wanted), allRead)], max(len(seen)-1-(allRead-len(near)), 0)
}
