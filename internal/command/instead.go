package command

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/internal/source"
	"etcd-rolling-backup/snapshot"
)

// orInstead adds to the error about a damaged snapshot what can be used instead, with its command. in is the place of the damaged one.
func (c *call) orInstead(ctx context.Context, err error, r source.Request, n snapshot.Name, in config.Place) error {
	if !errors.Is(err, snapshot.ErrDamaged) || n == (snapshot.Name{}) || ctx.Err() != nil {
		return err
	}
	r.Reference, r.Dir, r.Bucket = c.ref, c.cfg.Store.Dir, c.cfg.S3
	a, ok := r.Instead(ctx, n, in)
	if !ok {
		return fmt.Errorf("%w; no copy and no older snapshot was found to use instead", err)
	}
	command, what := c.Command.Name, fmt.Sprintf("the next older one is in %s, %s", a.Where, a.Age)
	if a.Copy {
		what = "there is a copy in " + a.Where
	}
	if command == "download" && a.Place == config.Local {
		command = "verify"
	}
	words := slices.Concat([]string{program, command}, a.Arguments, config.Again(c.Context, slices.Concat(config.DirFlags(), config.S3Flags())))
	return fmt.Errorf("%w; %s: %s", err, what, strings.Join(words, " "))
}
