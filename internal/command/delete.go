package command

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"etcd-rolling-backup/snapshot"
)

func deleteCommand(e env) *cli.Command {
	return &cli.Command{
		Name: "delete", Usage: "remove snapshots by their full names, whatever the policy says",
		ArgsUsage: "SNAPSHOT...   full names, as list shows them",
		Flags:     group([]cli.Flag{fromFlag(fromLocal, "`PLACE`: local, s3 or all; what stays here is mirrored again")}, dirFlags(), s3Flags()),
		Action:    func(c *cli.Context) error { return remove(c, e) },
	}
}

// remove checks all names first, so that a slip of the pen in one leaves all of them.
func remove(c *cli.Context, e env) error {
	if !c.Args().Present() {
		return usagef("delete needs the full names of snapshots: list shows them")
	}
	local, remote, err := places(c)
	if err != nil {
		return err
	}
	names, err := fullNames(c.Args().Slice())
	if err != nil {
		return fmt.Errorf("nothing deleted: %w", err)
	}
	var from []holder
	if local {
		dir, err := directory(c)
		if err != nil {
			return err
		}
		l, err := dir.List()
		if err != nil {
			return err
		}
		from = append(from, holder{"", dir.Path(), dir, l.Snapshots})
	}
	if remote {
		b, err := openBucket(c)
		if err != nil {
			return err
		}
		defer b.Close()
		entries, err := b.List(c.Context)
		if err != nil {
			return err
		}
		from = append(from, holder{" from the bucket", b.String(), b, entries})
	}
	return removeAll(c, e, names, from)
}

// holder is a place that snapshots are removed from.
type holder struct {
	suffix, where string
	store         interface {
		Remove(ctx context.Context, n snapshot.Name) error
	}
	entries []snapshot.Entry
}

func (h holder) has(n snapshot.Name) bool {
	return slices.ContainsFunc(h.entries, func(e snapshot.Entry) bool { return e.Name == n })
}

func fullNames(args []string) ([]snapshot.Name, error) {
	var names []snapshot.Name
	var wrong error
	for _, arg := range args {
		n, err := snapshot.ParseName(arg)
		wrong = errors.Join(wrong, err)
		if !slices.Contains(names, n) {
			names = append(names, n)
		}
	}
	return names, wrong
}

// removeAll wants each name in one of the places at least.
func removeAll(c *cli.Context, e env, names []snapshot.Name, from []holder) error {
	var wrong error
	for _, n := range names {
		if !slices.ContainsFunc(from, func(h holder) bool { return h.has(n) }) {
			wrong = errors.Join(wrong, fmt.Errorf("%w: %s: list shows what there is", snapshot.ErrNotFound, n))
		}
	}
	if wrong != nil {
		var where []string
		for _, h := range from {
			where = append(where, h.where)
		}
		return fmt.Errorf("nothing deleted from %s: %w", strings.Join(where, " and "), wrong)
	}
	for _, n := range names {
		for _, h := range from {
			if !h.has(n) {
				continue
			}
			if err := h.store.Remove(c.Context, n); err != nil {
				return err
			}
			if _, err := fmt.Fprintf(e.stdout, "deleted %s%s\n", n, h.suffix); err != nil {
				return err
			}
		}
	}
	return nil
}
