package command

import (
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
		Flags:     group([]cli.Flag{fromFlag(fromLocal, "`PLACE`: local, s3 or all; what stays here is mirrored again"), outputFlag()}, dirFlags(), s3Flags()),
		Action:    func(c *cli.Context) error { return remove(c, e) },
	}
}

// remove checks all names first, so that a slip of the pen in one leaves all of them.
func remove(c *cli.Context, e env) error {
	if !c.Args().Present() {
		return usagef("delete needs the full names of snapshots: list shows them")
	}
	asJSON, err := jsonOutput(c)
	if err != nil {
		return err
	}
	names, err := fullNames(c.Args().Slice())
	if err != nil {
		return fmt.Errorf("nothing deleted: %w", err)
	}
	from, err := listPlaces(c)
	if err != nil {
		return err
	}
	for _, p := range from {
		defer p.close()
	}
	gone, failed := removeAll(c, names, from)
	if gone == nil {
		return failed
	}
	return errors.Join(printDeleted(e, gone, asJSON), failed)
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

// deleted is what --output json shows of one that is gone.
type deleted struct {
	Name  string `json:"name"`
	Place string `json:"place"`
}

// removeAll wants each name in one of the places at least. What is gone before something fails is returned beside
// the error.
func removeAll(c *cli.Context, names []snapshot.Name, from []place) ([]deleted, error) {
	gone := []deleted{}
	var wrong error
	for _, n := range names {
		if !slices.ContainsFunc(from, func(p place) bool { return p.has(n) }) {
			wrong = errors.Join(wrong, fmt.Errorf("%w: %s: list shows what there is", snapshot.ErrNotFound, n))
		}
	}
	if wrong != nil {
		var where []string
		for _, p := range from {
			where = append(where, p.where)
		}
		return nil, fmt.Errorf("nothing deleted from %s: %w", strings.Join(where, " and "), wrong)
	}
	for _, n := range names {
		for _, p := range from {
			if !p.has(n) {
				continue
			}
			if err := p.store.Remove(c.Context, n); err != nil {
				return gone, err
			}
			gone = append(gone, deleted{Name: n.String(), Place: p.name})
		}
	}
	return gone, nil
}

func printDeleted(e env, gone []deleted, asJSON bool) error {
	if asJSON {
		return printJSON(e.stdout, gone)
	}
	for _, d := range gone {
		from := ""
		if d.Place == fromS3 {
			from = " from the bucket"
		}
		if _, err := fmt.Fprintf(e.stdout, "deleted %s%s\n", d.Name, from); err != nil {
			return err
		}
	}
	return nil
}
