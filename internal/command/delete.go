package command

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/internal/source"
	"etcd-rolling-backup/snapshot"
)

func deleteCommand(e env) *cli.Command {
	return &cli.Command{
		Name: "delete", Usage: "delete snapshots by their full names, regardless of the policy",
		ArgsUsage: "SNAPSHOT...   full names, as list shows them",
		Flags: slices.Concat([]cli.Flag{
			config.Text("store", "from", string(config.Local), "`PLACE`: local, s3 or all; what stays in --dir is mirrored again"), config.OutputFlag(),
		}, config.DirFlags(), config.S3Flags()),
		Action: e.action(math.MaxInt, remove),
	}
}

// remove checks all names first, so that a typo in one of them deletes nothing.
func remove(ctx context.Context, c *call) error {
	if !c.Args().Present() {
		return config.Usagef("delete needs the full names of snapshots: list shows them")
	}
	var names []snapshot.Name
	var wrong error
	for _, arg := range c.Args().Slice() {
		n, err := snapshot.ParseName(arg)
		wrong = errors.Join(wrong, err)
		if !slices.Contains(names, n) {
			names = append(names, n)
		}
	}
	if wrong != nil {
		return fmt.Errorf("nothing deleted: %w", wrong)
	}
	if _, _, err := config.ReadRemovalPlaces(c.Context, c.cfg.S3); err != nil {
		return err
	}
	from, failures, err := listPlaces(ctx, c)
	if err != nil {
		return err
	}
	for _, p := range from {
		defer p.Close()
	}
	if len(failures) > 0 { // what it has would stay, as a copy that nobody expects
		return fmt.Errorf("nothing deleted: %w", failures[0])
	}
	gone, failed := removeAll(ctx, names, from)
	if gone == nil {
		return failed
	}
	return errors.Join(c.show(gone, func(out *printer) {
		for _, d := range gone {
			out.line("deleted %s%s", d.Name, map[config.Place]string{config.S3: " from the bucket"}[d.Place])
		}
	}), failed)
}

// deleted is what --output json shows of a deleted snapshot.
type deleted struct {
	Name  snapshot.Name `json:"name"`
	Place config.Place  `json:"place"`
}

// removeAll needs each name in at least one of the places. What was deleted before something failed is returned with the error.
func removeAll(ctx context.Context, names []snapshot.Name, from []source.Listing) ([]deleted, error) {
	gone := []deleted{}
	var wrong error
	for _, n := range names {
		if !slices.ContainsFunc(from, func(l source.Listing) bool { return l.Has(n) }) {
			wrong = errors.Join(wrong, fmt.Errorf("%w: %s: list shows what there is", snapshot.ErrNotFound, n))
		}
	}
	if wrong != nil {
		var where []string
		for _, p := range from {
			where = append(where, p.Where)
		}
		return nil, fmt.Errorf("nothing deleted from %s: %w", strings.Join(where, " and "), wrong)
	}
	for _, n := range names {
		for _, p := range from {
			if !p.Has(n) {
				continue
			}
			if err := p.Remove(ctx, n); err != nil {
				return gone, err
			}
			gone = append(gone, deleted{Name: n, Place: p.Place})
		}
	}
	return gone, nil
}
