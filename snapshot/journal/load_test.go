package journal_test

import (
	"context"
	"fmt"
	"math/rand/v2"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// load changes keys in every way that there is.
type load struct {
	*bed
	rng    *rand.Rand
	leases []clientv3.LeaseID
}

func newLoad(b *bed) *load { return &load{bed: b, rng: rand.New(rand.NewPCG(1, 2))} }

func (l *load) key() string { return fmt.Sprintf("/registry/k%d\x00\xff", l.rng.IntN(60)) }

func (l *load) value() string {
	v := make([]byte, l.rng.IntN(3000))
	for i := range v {
		v[i] = byte(l.rng.IntN(7) * 41)
	}
	return string(v)
}

func (l *load) run(n int) {
	l.t.Helper()
	ctx := l.t.Context()
	for range n {
		must(l.t, l.change(ctx, l.rng.IntN(14)))
	}
}

func (l *load) change(ctx context.Context, kind int) (err error) {
	switch kind {
	case 0:
		_, err = l.client.Delete(ctx, l.key())
	case 1:
		_, err = l.client.Delete(ctx, "/registry/k1", clientv3.WithPrefix())
	case 2: // nested, with several changes and a delete-range
		_, err = l.client.Txn(ctx).Then(clientv3.OpPut("/txn/a", l.value()), clientv3.OpPut("/txn/b", l.value()),
			clientv3.OpTxn(nil, []clientv3.Op{clientv3.OpPut("/txn/c", l.value())}, nil),
			clientv3.OpDelete("/registry/k2", clientv3.WithPrefix())).Commit()
	case 3:
		_, err = l.client.Txn(ctx).Then(clientv3.OpDelete("/txn/", clientv3.WithPrefix())).Commit()
	case 4:
		_, err = l.client.Put(ctx, "/registry/same", "same")
	case 5:
		if _, err = l.client.Put(ctx, "/registry/ignored", l.value()); err == nil {
			_, err = l.client.Put(ctx, "/registry/ignored", "", clientv3.WithIgnoreValue())
		}
	case 6:
		var g *clientv3.LeaseGrantResponse
		if g, err = l.client.Grant(ctx, int64(2+l.rng.IntN(500))); err == nil {
			l.leases = append(l.leases, g.ID)
			_, err = l.client.Put(ctx, fmt.Sprintf("/leased/%d", l.rng.IntN(20)), "x", clientv3.WithLease(g.ID))
		}
	case 7:
		if len(l.leases) > 3 {
			_, err = l.client.Revoke(ctx, l.leases[0])
			l.leases = l.leases[1:]
			if err != nil {
				err = nil // it has expired
			}
		}
	default:
		_, err = l.client.Put(ctx, l.key(), l.value())
	}
	return err
}
