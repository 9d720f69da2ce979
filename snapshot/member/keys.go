package member

import (
	"context"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"etcd-rolling-backup/snapshot"
)

// countTimeout is how long the number of keys may take. etcd counts about three million keys a second, in memory.
const countTimeout = 5 * time.Second

// countKeys returns the number of live keys. The request is count-only, so etcd reads no values, and serializable, so it works without
// quorum. Where it fails, as for lack of rights on all keys or in time, the number is not known: no snapshot fails because of it.
func (m *Member) countKeys(ctx context.Context) snapshot.Count {
	ctx, cancel := context.WithTimeout(ctx, countTimeout)
	defer cancel()
	all := []byte{0} // as key and end of the range: every key
	r, err := pb.NewKVClient(m.client.ActiveConnection()).Range(ctx, &pb.RangeRequest{Key: all, RangeEnd: all, CountOnly: true, Serializable: true})
	if err != nil || r.GetCount() < 0 {
		return snapshot.Count{}
	}
	return snapshot.Counted(r.GetCount())
}
