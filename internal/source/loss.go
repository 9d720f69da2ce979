package source

import (
	"time"

	"github.com/dustin/go-humanize"

	"etcd-rolling-backup/retention"
	"etcd-rolling-backup/snapshot"
)

// lossWindow is how far back an older snapshot may show that the chosen one lacks keys. Health and guard look back a day; somebody who restores
// after a weekend wants to know too.
const lossWindow = 7 * 24 * time.Hour

// noticeRevision warns if an older snapshot of the same cluster has a higher revision than the chosen one: then etcd had lost data before
// that was taken.
func (r Request) noticeRevision(read map[copyOf]snapshot.Manifest, chosen snapshot.Entry) {
	own := read[of(chosen)]
	var highest snapshot.Manifest
	for _, m := range read {
		if own.Format != "" && m.ClusterID == own.ClusterID && m.CreatedAt.Before(own.CreatedAt) && m.Revision > max(own.Revision, highest.Revision) {
			highest = m
		}
	}
	if highest.Format != "" {
		r.notice("warning: %s is older than %s and has a higher revision, %d instead of %d: etcd may have lost data in between; to use it, give its full name",
			highest.Name, chosen.Name, highest.Revision, own.Revision)
	}
}

// noticeLoss warns if older snapshots of the same cluster have more than twice the keys: the chosen one is from after a loss of data, and is the
// wrong one for whoever wants the data back.
func (r Request) noticeLoss(read map[copyOf]snapshot.Manifest, chosen snapshot.Entry) {
	own := read[of(chosen)]
	names := map[string]snapshot.Name{}
	var items []retention.Item
	for c, m := range read {
		if own.Format == "" || m.Format == "" || m.ClusterID != own.ClusterID || c.name.Time.After(chosen.Name.Time) {
			continue
		}
		id := c.name.String()
		item := retention.Item{ID: id, Time: c.name.Time, Revision: m.Revision}
		item.Keys, item.KeysKnown = m.Keys.Get()
		names[id], items = c.name, append(items, item)
	}
	c, ok := retention.Compare(items, lossWindow, chosen.Name.Time)
	if !ok || !c.KeysFell() {
		return
	}
	before := names[c.KeysBefore]
	r.notice("warning: %s has %s keys, less than half of the %s before: if nobody deleted them on purpose, use %s (%s): give its full name",
		chosen.Name, humanize.Comma(c.Newest.Keys), humanize.Comma(c.Keys), before, old(before.Time, time.Now()))
}
