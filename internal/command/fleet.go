package command

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize/english"
	"github.com/urfave/cli/v2"

	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/internal/fleet"
	"etcd-rolling-backup/internal/source"
)

func fleetCommand(e env) *cli.Command {
	return &cli.Command{
		Name: "fleet", Usage: "show for every node in a bucket how old its newest snapshot is, and whether it is late",
		Flags: slices.Concat([]cli.Flag{
			config.Text("fleet", "max-age", "0s", "a node is late if its newest snapshot is older than `DURATION`; 0s: its own rhythm decides"),
			config.Bool("fleet", "any-node", "a node is not late while another node of its cluster is in time, as with --only-on leader, or after it was replaced"),
			config.Bool("fleet", "verify", "download the newest snapshot of each node, and compare it with its checksum"),
			config.OutputFlag(),
		}, config.S3Flags()),
		Action: e.action(0, showFleet),
	}
}

func showFleet(ctx context.Context, c *call) error {
	maxAge, err := config.ReadMaxAge(c.Context)
	if err != nil {
		return err
	}
	b, err := source.OpenBucket(c.cfg.S3)
	if err != nil {
		return err
	}
	defer b.Close()
	report, err := fleet.Look(ctx, b, c.cfg.S3.Place(), fleet.Options{MaxAge: maxAge, AnyNode: c.Bool("any-node"), Verify: c.Bool("verify")})
	if err != nil {
		return err
	}
	return errors.Join(c.show(report, func(out *printer) { printFleet(out, report) }), report.Err())
}

func printFleet(out *printer, r fleet.Report) {
	if len(r.Nodes) == 0 {
		return
	}
	columns := []string{"STATE", "FOLDER", "CLUSTER", "NODE", "AGE", "EVERY", "KEPT", "SIZE", "DATABASE", "KEYS", "NOTE"}
	used := map[string]bool{"FOLDER": false, "KEYS": false, "NOTE": false}
	var lines [][]string
	for _, x := range r.Nodes {
		l := fleetLine(r.At, x)
		used["FOLDER"] = used["FOLDER"] || x.Folder != r.Nodes[0].Folder
		used["KEYS"] = used["KEYS"] || l[9] != "-"
		used["NOTE"] = used["NOTE"] || len(x.Notes) > 0
		lines = append(lines, l)
	}
	for column, isUsed := range used {
		if !isUsed {
			columns, lines = without(column, columns, lines)
		}
	}
	out.table(columns, lines)
	out.line("%s", fleetSummary(r))
}

func fleetLine(now time.Time, x fleet.Row) []string {
	l := []string{
		string(x.State), cmp.Or(x.Folder, "-"), "-", cmp.Or(x.Node, "-"), age(now, x.Time), "-",
		fmt.Sprint(x.Kept), size(x.Size), "-", "-", strings.Join(x.Notes, "; "),
	}
	if x.ClusterID != 0 {
		l[2] = x.ClusterID.String()
	}
	if x.Every > 0 {
		l[5] = fleet.Shortly(time.Duration(x.Every) * time.Second)
	}
	if x.RawSize > 0 {
		l[8] = size(x.RawSize)
	}
	if n, known := x.Keys.Get(); known {
		l[9] = fmt.Sprint(n)
	}
	return l
}

// fleetSummary is the last line.
func fleetSummary(r fleet.Report) string {
	var states []string
	for _, s := range fleet.States() {
		if n := r.States[s]; n > 0 {
			states = append(states, fmt.Sprintf("%d %s", n, s))
		}
	}
	text := fmt.Sprintf("%s of %s: %s; %s, %s", english.Plural(len(r.Nodes), "node", ""), english.Plural(r.Clusters, "cluster", ""),
		strings.Join(states, ", "), english.Plural(r.Snapshots, "snapshot", ""), size(r.Bytes))
	if r.Others+r.Foreign > 0 {
		text += fmt.Sprintf("; not judged: %s of other programs, %s", english.Plural(r.Others, "snapshot", ""), english.Plural(r.Foreign, "other file", ""))
	}
	return text
}
