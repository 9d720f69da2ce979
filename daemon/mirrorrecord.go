package daemon

import (
	"slices"
	"time"

	"etcd-rolling-backup/metrics"
	"etcd-rolling-backup/snapshot"
)

// recordListing tells what was found. A newest snapshot there is proof of an earlier pass, all that is known of passes before the
// start.
func recordListing(remote []snapshot.Entry, o MirrorOptions, now time.Time) {
	if e, ok := Newest(snapshot.Listing{Snapshots: remote}, o.Node, now); ok {
		o.Recorder.Recalled(metrics.Mirror, e.Name.Time)
	}
	o.Recorder.Inventory(metrics.S3, plains(ofNode(remote, o.Node)))
}

// waiting are those to be brought. What only is to be spared is wanted since the newest was taken.
func (p *mirrorPlan) waiting(spare []string) []metrics.Snapshot {
	list := plains(p.upload)
	for i := range list {
		if slices.Contains(spare, list[i].Name) {
			list[i].Wanted = p.newest.Time
		}
	}
	return list
}

// removedOf are those of the node, whose snapshots alone are recorded.
func (m Mirrored) removedOf(node string) []string {
	var out []string
	for _, n := range m.Removed {
		if n.Node == node {
			out = append(out, n.String())
		}
	}
	return out
}

// staysHere tells of a snapshot that was taken with --no-mirror, which only its manifest knows. The daemon's own never are.
// One that can't be read is left to the upload, which tells what is wrong with it.
func staysHere(src Source, e snapshot.Entry) bool {
	if e.Name.Set == snapshot.RollingSet {
		return false
	}
	f, err := src.File(e.Name)
	if err != nil {
		return false
	}
	defer f.Close()
	a, err := snapshot.OpenArchive(f, e.Size)
	return err == nil && a.Manifest.LocalOnly
}
