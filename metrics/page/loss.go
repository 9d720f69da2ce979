package page

import (
	"fmt"
	"slices"

	"etcd-rolling-backup/daemon/status"
	"etcd-rolling-backup/retention"
)

// shrunk returns a warning if the snapshot is the newest and shows a loss of keys, or if the database of the one before was more than twice
// as large; "" if not.
func (p *painter) shrunk(r row) string {
	if before, ok := p.beforeLoss(r); ok {
		now, _ := r.Keys.Get()
		had, _ := before.Keys.Get()
		return fmt.Sprintf("it has %s; %s, from before the loss, has %s: which one do you want?", status.Count(int(now), "key", "keys"), before.Name, status.Grouped(had))
	}
	i := slices.IndexFunc(p.rows, func(x row) bool { return x.Name.Time.Before(r.Name.Time) })
	if i < 0 || r.RawSize == 0 || 2*r.RawSize >= p.rows[i].RawSize {
		return ""
	}
	before := p.rows[i]
	return "its database has " + status.Size(r.RawSize) + "; the one before it, " + before.Name.String() + ", has " +
		status.Size(before.RawSize) + ": which one do you want?"
}

// beforeLoss returns the snapshot to restore for the keys which the given one, the newest, has lost.
func (p *painter) beforeLoss(r row) (row, bool) {
	c, ok := p.Compare(retention.GuardWindow, p.now)
	i := slices.IndexFunc(p.rows, func(x row) bool { return x.Name.String() == c.KeysBefore })
	_, known := r.Keys.Get()
	if !ok || i < 0 || !known || r.Name.String() != c.Newest.ID {
		return row{}, false
	}
	return p.rows[i], true
}

// lostKeys reports whether a snapshot has less than half of the keys of the one before it of which they are known.
func (p *painter) lostKeys(r row) bool {
	at := slices.IndexFunc(p.rows, func(x row) bool { return x.Name == r.Name })
	keys, known := r.Keys.Get()
	if at < 0 || !known {
		return false
	}
	for _, x := range p.rows[at+1:] {
		if before, known := x.Keys.Get(); known {
			return retention.Comparison{Newest: retention.Item{Keys: keys, KeysKnown: true}, Keys: before, KeysKnown: true}.KeysFell()
		}
	}
	return false
}
