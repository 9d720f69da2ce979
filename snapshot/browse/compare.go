package browse

import (
	"bytes"
	"context"

	"etcd-rolling-backup/snapshot"
)

// Cursor reads keys in etcd's order. What it returns is valid until the next call.
type Cursor interface {
	Next(context.Context) (kv KeyValue, ok bool, err error)
}

// Compare reads two states side by side, and calls visit for each key that only one of them has (the other one is nil), or whose value
// differs. The values decide: after a restore, two clusters have different ones at the same revision.
func Compare(ctx context.Context, before, after Cursor, visit func(before, after *KeyValue) error) error {
	return snapshot.Guard(func() error {
		a, hasA, err := before.Next(ctx)
		if err != nil {
			return err
		}
		b, hasB, err := after.Next(ctx)
		for n := 0; err == nil && (hasA || hasB); n++ {
			if n%pollEvery == 0 && ctx.Err() != nil {
				return context.Cause(ctx)
			}
			order := bytes.Compare(a.Key, b.Key)
			switch {
			case !hasB || hasA && order < 0:
				order, err = -1, visit(&a, nil)
			case !hasA || order > 0:
				order, err = 1, visit(nil, &b)
			case !bytes.Equal(a.Value, b.Value):
				err = visit(&a, &b)
			}
			if err == nil && order <= 0 {
				a, hasA, err = before.Next(ctx)
			}
			if err == nil && order >= 0 {
				b, hasB, err = after.Next(ctx)
			}
		}
		return err
	})
}
