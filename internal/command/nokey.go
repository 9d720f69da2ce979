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

// noKey says that there is no such key, of those that an object may have, and what is known of them: that one was deleted, that one came
// later, or which keys are most like it.
func (g *getting) noKey(ctx context.Context, revision int64, keys ...string) error {
	at, err := g.db.At(revision)
	if err != nil {
		return err
	}
	missing := func(key string) error {
		return fmt.Errorf("%w: %s at revision %d of %s", browse.ErrNoKey, shownKey([]byte(key)), at, g.found.Name)
	}
	for _, key := range keys {
		switch x, found, err := g.db.Deletion(ctx, []byte(key), at); {
		case err != nil:
			return err
		case found && x.Last.Key == nil:
			return fmt.Errorf("%w: it was deleted at revision %d, and its last value was compacted: an older snapshot may have it", missing(key), x.Revision)
		case found:
			return fmt.Errorf("%w: it was deleted at revision %d: %s shows its last value", missing(key), x.Revision, g.showing(x.Revision-1))
		}
		if later, err := g.db.Get(ctx, []byte(key), 0); err == nil {
			return fmt.Errorf("%w: it was created at revision %d", missing(key), later.Created)
		}
	}
	like, err := nearest(ctx, g.db, []byte(keys[0]), at)
	if err != nil {
		return err
	}
	if len(like) > 0 {
		return fmt.Errorf("%w: did you mean %s?", missing(keys[0]), strings.Join(like, ", "))
	}
	return fmt.Errorf("%w: ls shows the keys", missing(keys[0]))
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
