package daemon

import (
	"context"
	"errors"
	"slices"
	"time"

	"etcd-rolling-backup/daemon/prune"
	"etcd-rolling-backup/daemon/status"
	"etcd-rolling-backup/snapshot"
)

// Store is the directory with the snapshots; *snapshot.Dir is one.
type Store interface {
	prune.Store
	// RemovePartials removes the partial files of dead processes and returns their names.
	RemovePartials(ctx context.Context) ([]string, error)
	// VerifyChecksum reads an archive in full. The error for a damaged one wraps snapshot.ErrDamaged. progress may be nil.
	VerifyChecksum(ctx context.Context, n snapshot.Name, progress func(done, total int64)) error
	// Quarantine reads an archive again, and renames it to NAME.broken if it is damaged. An intact one stays, without an error; the
	// error for a missing one wraps snapshot.ErrNotFound.
	Quarantine(ctx context.Context, n snapshot.Name) (broken bool, err error)
}

// list lists the directory and records the result, so that manual changes are noticed too.
func (d *Daemon) list() {
	d.listing.Lock()
	defer d.listing.Unlock()
	l, err := d.Store.List()
	if err != nil {
		d.Status.SetInventory(status.Local, nil, err)
		return
	}
	d.setInventory(l)
}

// setInventory records a listing; it reads the manifests that are not known yet. Damaged ones are left to the damage loop.
func (d *Daemon) setInventory(l snapshot.Listing) {
	var copies, broken, others []status.Copy
	damaged := map[snapshot.Name]error{}
	for _, e := range l.Snapshots {
		c, known := d.Status.Known(status.Local, e)
		if (!known || c.RawSize > 0 && c.Cluster == 0) && c.Damage == "" { // earlier versions did not save the cluster
			m, err := d.Store.Manifest(e.Name)
			if err == nil {
				c = described(e, m)
			}
			if errors.Is(err, snapshot.ErrDamaged) && e.Name.OfNode(d.Node) && e.Name.File == "" { // another program's may be in any state
				damaged[e.Name] = err
			}
		}
		switch {
		case e.Name.Raw():
		case e.Name.OfNode(d.Node):
			copies = append(copies, c)
		default:
			others = append(others, c)
		}
	}
	for _, e := range l.Broken {
		if e.Name.OfNode(d.Node) {
			broken = append(broken, status.Copy{Name: e.Name, Size: e.Size, Modified: e.Modified, Found: e.Modified, Damage: "set aside as damaged"})
		}
	}
	d.Status.SetBroken(broken)
	d.Status.SetInventory(status.Local, copies, nil)
	d.Status.SetNodes(status.Local, others, time.Time{})
	d.setSegments(l)
	for n, err := range damaged {
		d.Status.SetDamaged(status.Local, d.clock(), n, err)
		notifyOne(d.damageFound)
	}
}

func described(e snapshot.Entry, m snapshot.Manifest) status.Copy {
	return status.Copy{Name: e.Name, Size: e.Size, Modified: e.Modified, Facts: m.Facts()}
}

// details are what pruning needs to know. The status has it for every snapshot with a readable manifest.
func (d *Daemon) details(_ context.Context, e snapshot.Entry) (snapshot.Facts, error) {
	if c, _ := d.Status.Known(status.Local, e); c.Cluster != 0 {
		return c.Facts, nil
	}
	return prune.FromManifest(d.Store.Manifest(e.Name))
}

// newest returns the newest rolling snapshot of a listing that the state has, except those of other clusters and of the future.
func (d *Daemon) newest(l snapshot.Listing) (snapshot.Entry, bool) {
	l.Snapshots = slices.DeleteFunc(slices.Clone(l.Snapshots), func(e snapshot.Entry) bool { return d.Status.Stranger(status.Local, e) })
	return l.Newest(d.Node, d.clock())
}

// proven reports whether this program took a snapshot, and so has verified it. rke-tools' names are the same for its own, which may be cut off.
func (d *Daemon) proven(e snapshot.Entry) bool {
	c, _ := d.Status.Known(status.Local, e)
	return e.Name.File == "" || c.Cluster != 0
}

// logNodes names the other nodes with snapshots in the directory: after a rename, nothing removes what has the earlier name.
func (d *Daemon) logNodes() {
	nodes := map[string]int{}
	for _, c := range d.Status.State().Places[status.Local].Nodes {
		if c.Name.OfOtherNode(d.Node) {
			nodes[c.Name.Node]++
		}
	}
	if len(nodes) > 0 && d.OrphanAfter == 0 {
		d.Log.WithField("nodes", nodes).Warn("the directory has snapshots of other node names; nothing removes those of an earlier name of this node, unless --orphan-after is set")
	}
}

// damageLoop reads every file that was found damaged a second time, and renames it if the damage is confirmed.
func (d *Daemon) damageLoop(ctx context.Context) {
	unread := map[snapshot.Name]time.Time{} // when a file could not be read
	for ctx.Err() == nil {
		here := d.Status.State().Places[status.Local]
		for _, x := range slices.Concat(here.Copies, here.Others) {
			if x.Damage != "" && d.clock().Sub(unread[x.Name]).Abs() >= maxPause && !d.quarantine(ctx, x) {
				unread[x.Name] = d.clock()
			}
		}
		await(ctx, lookInterval, d.damageFound)
	}
}

// quarantine returns false if the file can't be read or renamed, so that it must be tried again.
func (d *Daemon) quarantine(ctx context.Context, x status.Copy) bool {
	log := d.Log.WithField("snapshot", x.Name.String())
	newest := x.Name.Rolling(d.Node) && !d.hasNewer(x.Name)
	broken, err := d.Store.Quarantine(ctx, x.Name)
	switch {
	case ctx.Err() != nil || errors.Is(err, snapshot.ErrNotFound): // if it is gone, the next listing shows that
		return true
	case err != nil:
		log.WithError(err).Error("a damaged snapshot could not be renamed to NAME.broken")
	case broken:
		log.WithField("damage", x.Damage).Error("renamed a damaged snapshot to NAME.broken")
	default:
		log.Warn("a snapshot that was found damaged is intact on the second read; the disk or the memory may be failing")
		d.Status.SetIntact(status.Local, x.Name)
	}
	if newest && (broken || err != nil) {
		notifyOne(d.replace)
	}
	d.list()
	return broken || err == nil
}

// hasNewer reports whether the disk has a newer rolling snapshot.
func (d *Daemon) hasNewer(n snapshot.Name) bool {
	l, err := d.Store.List() // the next run reports the error
	e, ok := d.newest(l)
	return err == nil && ok && e.Name.Time.After(n.Time)
}
