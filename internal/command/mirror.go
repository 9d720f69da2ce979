package command

import (
	"errors"
	"fmt"

	"github.com/urfave/cli/v2"

	"etcd-rolling-backup/snapshot"
)

func mirrorCommand(e env) *cli.Command {
	return &cli.Command{
		Name: "mirror", Usage: "bring the bucket in line once: upload what it misses, remove what its policy does not keep",
		Flags:  group(s3Flags(), s3PolicyFlags(), policyFlags(), dirFlags(), nodeFlags(), []cli.Flag{outputFlag()}),
		Action: func(c *cli.Context) error { return mirror(c, e) },
	}
}

// mirrored is what --output json shows of a pass.
type mirrored struct {
	Uploaded []string `json:"uploaded"`
	Removed  []string `json:"removed"`
	Waiting  int      `json:"waiting"`
	Locked   int      `json:"locked"`
	Swept    int      `json:"swept"`
}

func mirror(c *cli.Context, e env) error {
	if err := noArgs(c); err != nil {
		return err
	}
	asJSON, err := jsonOutput(c)
	if err != nil {
		return err
	}
	local, err := policy(c)
	if err != nil {
		return err
	}
	name, err := node(c)
	if err != nil {
		return err
	}
	o, err := mirrorOptions(c, name, local)
	if err != nil {
		return err
	}
	dir, err := directory(c)
	if err != nil {
		return err
	}
	var bar *progress
	var shown snapshot.Name
	o.Progress = func(n snapshot.Name, done, total int64) {
		if n != shown {
			bar.done()
			bar, shown = newProgress(e.stderr, n.String()), n
		}
		bar.update(done, total)
	}
	done, failed := mirrorPass(c.Context, c, dir, o)
	bar.done()
	if failed != nil && len(done.Uploaded)+len(done.Removed)+done.Waiting+done.Locked+done.Swept == 0 {
		return failed
	}
	out := mirrored{Uploaded: texts(done.Uploaded), Removed: texts(done.Removed), Waiting: done.Waiting, Locked: done.Locked, Swept: done.Swept}
	// What was done before something failed is told all the same.
	if asJSON {
		return errors.Join(printJSON(e.stdout, out), failed)
	}
	return errors.Join(out.print(e), failed)
}

func (m mirrored) print(e env) error {
	for _, n := range m.Uploaded {
		if _, err := fmt.Fprintln(e.stdout, "uploaded", n); err != nil {
			return err
		}
	}
	for _, n := range m.Removed {
		if _, err := fmt.Fprintln(e.stdout, "removed", n); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(e.stdout, "%d uploaded, %d waiting, %d removed, %d held by a lock, %d unfinished uploads swept\n",
		len(m.Uploaded), m.Waiting, len(m.Removed), m.Locked, m.Swept)
	return err
}

func texts(names []snapshot.Name) []string {
	out := []string{}
	for _, n := range names {
		out = append(out, n.String())
	}
	return out
}
