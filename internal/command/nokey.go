package command

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/xrash/smetrics"

	"etcd-rolling-backup/snapshot/browse"
)

// noKey says that a key does not exist, and what is known of it: that it was deleted, that it came later, or which keys are most like it.
func (g *getting) noKey(ctx context.Context, key []byte, revision int64) error {
	d := g.db
	at, err := d.At(revision)
	if err != nil {
		return err
	}
	missing := fmt.Errorf("%w: %s at revision %d of %s", browse.ErrNoKey, shownKey(key), at, g.found.Name)
	switch x, found, err := d.Deletion(ctx, key, at); {
	case err != nil:
		return err
	case found && x.Last.Key == nil:
		return fmt.Errorf("%w: it was deleted at revision %d, and its last value was compacted: an older snapshot may have it", missing, x.Revision)
	case found:
		return fmt.Errorf("%w: it was deleted at revision %d: --revision %d shows its last value", missing, x.Revision, x.Revision-1)
	}
	if later, err := d.Get(ctx, key, 0); err == nil {
		return fmt.Errorf("%w: it was created at revision %d", missing, later.Created)
	}
	like, err := nearest(ctx, d, key, at)
	if err != nil {
		return err
	}
	if len(like) > 0 {
		return fmt.Errorf("%w: did you mean %s?", missing, strings.Join(like, ", "))
	}
	return fmt.Errorf("%w: ls shows the keys", missing)
}

// nearest returns the keys that are most like the given one, the most similar first.
func nearest(ctx context.Context, d *browse.DB, key []byte, revision int64) ([]string, error) {
	const (
		most    = 3
		similar = 0.85
	)
	type match struct {
		key   string
		score float64
	}
	var best []match
	l, err := d.List(ctx, nil, revision)
	if err != nil {
		return nil, err
	}
	err = l.Each(ctx, func(kv browse.KeyValue) error {
		score := smetrics.JaroWinkler(string(key), string(kv.Key), 0.7, 4)
		if score < similar || len(best) == most && score <= best[most-1].score {
			return nil
		}
		best = append(best, match{string(kv.Key), score})
		slices.SortStableFunc(best, func(a, b match) int { return cmp.Compare(b.score, a.score) })
		best = best[:min(len(best), most)]
		return nil
	})
	var keys []string
	for _, m := range best {
		keys = append(keys, shownKey([]byte(m.key)))
	}
	return keys, err
}
