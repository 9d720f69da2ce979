package command

import (
	"fmt"
	"time"

	"github.com/urfave/cli/v2"
)

func listCommand(e env) *cli.Command {
	return &cli.Command{
		Name: "list", Usage: "show the snapshots, newest first",
		Flags: group(
			[]cli.Flag{&cli.BoolFlag{Name: "all", Category: "store", EnvVars: envVars("all"), Usage: "also show partial and foreign files"}, outputFlag()},
			dirFlags()),
		Action: func(c *cli.Context) error { return list(c, e) },
	}
}

// listing is the whole of what --output json shows.
type listing struct {
	Snapshots []row    `json:"snapshots"`
	Partials  []string `json:"partials,omitempty"`
	Foreign   []string `json:"foreign,omitempty"`
}

func list(c *cli.Context, e env) error {
	if err := noArgs(c); err != nil {
		return err
	}
	asJSON, err := jsonOutput(c)
	if err != nil {
		return err
	}
	dir, err := directory(c)
	if err != nil {
		return err
	}
	found, err := dir.List()
	if err != nil {
		return err
	}
	out := listing{Snapshots: []row{}}
	for _, entry := range found.Snapshots {
		m, err := dir.Manifest(entry.Name)
		r := snapshotRow(entry, m)
		if err != nil {
			r.Error = err.Error()
		}
		out.Snapshots = append(out.Snapshots, r)
	}
	if c.Bool("all") {
		out.Partials, out.Foreign = found.Partials, found.Foreign
	}
	if asJSON {
		return printJSON(e.stdout, out)
	}
	return out.print(e, time.Now())
}

func (l listing) print(e env, now time.Time) error {
	var lines [][]string
	for _, r := range l.Snapshots {
		line := []string{r.Name, age(now, r.Time), size(r.Size)}
		if m := r.Manifest; m != nil {
			line = append(line, size(m.RawSize), fmt.Sprint(m.Revision), m.EtcdVersion)
		} else {
			line = append(line, "-", "-", "unreadable: run verify")
		}
		lines = append(lines, line)
	}
	for _, name := range l.Partials {
		lines = append(lines, []string{name, "-", "-", "-", "-", "partial"})
	}
	for _, name := range l.Foreign {
		lines = append(lines, []string{name, "-", "-", "-", "-", "foreign"})
	}
	if len(lines) == 0 {
		_, err := fmt.Fprintln(e.stdout, "no snapshots yet")
		return err
	}
	return printTable(e.stdout, []string{"NAME", "AGE", "SIZE", "DATABASE", "REVISION", "ETCD"}, lines)
}
