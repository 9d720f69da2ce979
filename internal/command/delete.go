package command

import (
	"errors"
	"fmt"
	"slices"

	"github.com/urfave/cli/v2"

	"etcd-rolling-backup/snapshot"
)

func deleteCommand(e env) *cli.Command {
	return &cli.Command{
		Name: "delete", Usage: "remove snapshots by their full names, whatever the policy says",
		ArgsUsage: "SNAPSHOT...   full names, as list shows them",
		Flags:     dirFlags(),
		Action:    func(c *cli.Context) error { return remove(c, e) },
	}
}

// remove checks all names first, so that a slip of the pen in one leaves all of them.
func remove(c *cli.Context, e env) error {
	if !c.Args().Present() {
		return usagef("delete needs the full names of snapshots: list shows them")
	}
	dir, err := directory(c)
	if err != nil {
		return err
	}
	l, err := dir.List()
	if err != nil {
		return err
	}
	var names []snapshot.Name
	var wrong error
	for _, arg := range c.Args().Slice() {
		n, err := snapshot.ParseName(arg)
		if err == nil {
			_, err = l.Find(arg)
		}
		if !slices.Contains(names, n) {
			names = append(names, n)
		}
		wrong = errors.Join(wrong, err)
	}
	if wrong != nil {
		return fmt.Errorf("nothing deleted from %s: %w", dir.Path(), wrong)
	}
	for _, n := range names {
		if err := dir.Remove(c.Context, n); err != nil {
			return err
		}
		if _, err := fmt.Fprintln(e.stdout, "deleted", n); err != nil {
			return err
		}
	}
	return nil
}
