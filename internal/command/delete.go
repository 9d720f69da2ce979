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

// remove finds all names first, so that a typo in one of them deletes nothing.
func remove(ctx context.Context, c *call) error {
	if !c.Args().Present() {
		return config.Usagef("delete needs the full names of snapshots: list shows them")
	}
	if _, _, err := config.ReadRemovalPlaces(c.Context, c.cfg.S3); err != nil {
		return err
	}
	from, failures, err := listPlaces(ctx, c, false)
	if err != nil {
		return err
	}
	for _, p := range from {
		defer p.Close()
	}
	if len(failures) > 0 { // what it has would stay, as a copy that nobody expects
		return fmt.Errorf("nothing deleted: %w", failures[0])
	}
	names, err := findNames(c.Args().Slice(), from)
	if err != nil {
		return err
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

// findNames needs each name, that of a zip without .zip too, in at least one of the places.
func findNames(args []string, from []source.Listing) (names []snapshot.Name, err error) {
	var where []string
	for _, p := range from {
		where = append(where, p.Where)
	}
	var wrong, missing error
	for _, arg := range args {
		i := slices.IndexFunc(from, func(l source.Listing) bool { _, has := l.Named(arg); return has })
		_, invalid := snapshot.ParseName(arg)
		switch {
		case i >= 0:
			if e, _ := from[i].Named(arg); !slices.Contains(names, e.Name) {
				names = append(names, e.Name)
			}
		case invalid != nil:
			wrong = errors.Join(wrong, invalid)
		default:
			missing = errors.Join(missing, fmt.Errorf("%w: %s: list shows what there is", snapshot.ErrNotFound, arg))
		}
	}
	switch {
	case wrong != nil:
		return nil, fmt.Errorf("nothing deleted: %w", wrong)
	case missing != nil:
		return nil, fmt.Errorf("nothing deleted from %s: %w", strings.Join(where, " and "), missing)
	}
	return names, nil
}

// removeAll deletes each name wherever it is. What was deleted before something failed is returned with the error.
func removeAll(ctx context.Context, names []snapshot.Name, from []source.Listing) ([]deleted, error) {
	gone := []deleted{}
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
