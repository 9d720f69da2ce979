package command

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/internal/printable"
	"etcd-rolling-backup/internal/service"
	"etcd-rolling-backup/internal/source"
	"etcd-rolling-backup/snapshot"
)

// orInstead adds to the error about a damaged snapshot which other one to use, with the command for it at the end. in is the place of the
// damaged one, from what --from says; more are further flags of the command.
func (c *call) orInstead(ctx context.Context, err error, damaged snapshot.Name, in, from config.Place, more ...string) error {
	// A peer serves the one snapshot that all members are restored from: another one is no substitute.
	if !errors.Is(err, snapshot.ErrDamaged) || in == config.Peer || ctx.Err() != nil {
		return err
	}
	command := c.Command.Name
	if damaged == (snapshot.Name{}) { // a renamed file may be of any time
		return fmt.Errorf("%w: %s another snapshot; %s list shows them", err, command, program)
	}
	ask := source.Request{Reference: c.ref, From: from, Dir: c.cfg.Store.Dir, Bucket: c.cfg.S3}
	other, ok := ask.Instead(ctx, damaged, in)
	if !ok {
		return fmt.Errorf("%w: no older intact snapshot was found on the disk or in the bucket; %s list shows all", err, program)
	}
	if command == "download" && other.Place == config.Local {
		command = "verify"
	}
	what := "the next older snapshot, " + other.Age
	if other.Copy {
		what = "the copy in " + other.Where
	}
	return fmt.Errorf("%w: %s %s: %s", err, command, what, c.commandFor(command, other, more))
}

// commandFor is the command for another snapshot than the one that was asked for.
func (c *call) commandFor(command string, other source.Alternative, more []string) string {
	from := c.origins.Sources(c.Context)
	words := slices.Concat([]string{program, command}, c.before, other.Arguments)
	if from.FileByFlag {
		words = append(words, from.FileFlags...)
	}
	switch other.Place {
	case config.Local:
		words = append(words, service.DirFlags(c.cfg.Store.Dir, from)...)
	case config.S3:
		words = append(words, service.BucketFlags(c.cfg.S3, from)...)
	case config.Anywhere, config.Peer, config.All:
	}
	return printable.Command(append(words, more...)...)
}

// choices prints the command for each cluster that the argument may mean, one in a line. here is the cluster of this node's data, which
// helps to choose and decides nothing: 0 is not known.
func (c *call) choices(err error, here snapshot.ID, more ...string) error {
	several, ok := errors.AsType[*source.SeveralError](err)
	if !ok {
		return err
	}
	for _, x := range several.Choices {
		which := ""
		switch {
		case here != 0 && x.Cluster == here:
			which = ", which the data in --data-dir is of"
		case x.Here:
			which = ", which has snapshots of this host"
		case x.From != 0:
			which = ", restored from " + x.From.String()
		}
		what := "the newest"
		if several.Moment {
			what = "this moment"
		}
		c.note("%s of cluster %s%s (%s): %s", what, x.Cluster, which, x.Age, c.commandFor(c.Command.Name, x.Alternative, more))
	}
	return err
}
