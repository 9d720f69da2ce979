package rketools

import "etcd-rolling-backup/snapshot"

// minFree is how many bytes a new snapshot leaves free on the disk of /backup: what ETCD_BACKUP_MIN_FREE says, else a share of what is free
// now, because rke-tools saves wherever there is room. A download for a restore leaves nothing free without the variable: RKE gives the
// download from a peer none, and a restore that fits must not fail.
func (c call) minFree() int64 {
	if !c.sharesSpace() {
		return c.ours.Store.MinFree
	}
	share, err := snapshot.NewDir(c.paths.Backup()).FreeShare()
	if err != nil { // what uses the directory reports it
		return 0
	}
	return share
}

// sharesSpace reports whether ETCD_BACKUP_MIN_FREE is not set.
func (c call) sharesSpace() bool { return c.ours.Store.MinFree == 0 }
