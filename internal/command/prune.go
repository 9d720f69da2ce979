package command

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"etcd-rolling-backup/daemon"
	"etcd-rolling-backup/retention"
	"etcd-rolling-backup/snapshot"
)

func pruneCommand(e env) *cli.Command {
	return &cli.Command{
		Name: "prune", Usage: "apply the retention policy to this node's rolling snapshots now",
		Flags: group(
			[]cli.Flag{&cli.BoolFlag{Name: "dry-run", Category: "retention", EnvVars: envVars("dry-run"), Usage: "only show what would be removed, and why"}, outputFlag()},
			policyFlags(), dirFlags(), nodeFlags()),
		Action: func(c *cli.Context) error { return prune(c, e) },
	}
}

// pruned is one decision as --output json shows it.
type pruned struct {
	Name    string   `json:"name"`
	Keep    bool     `json:"keep"`
	Reasons []string `json:"reasons"`
}

func prune(c *cli.Context, e env) error {
	if err := noArgs(c); err != nil {
		return err
	}
	asJSON, err := jsonOutput(c)
	if err != nil {
		return err
	}
	p, err := policy(c)
	if err != nil {
		return err
	}
	name, err := node(c)
	if err != nil {
		return err
	}
	dir, err := directory(c)
	if err != nil {
		return err
	}
	decisions, failed := decide(c, dir, name, p)
	if failed != nil && len(decisions) == 0 {
		return failed
	}
	out := make([]pruned, 0, len(decisions))
	for _, d := range decisions {
		out = append(out, pruned{Name: d.ID, Keep: d.Keep, Reasons: d.Reasons})
	}
	// What was removed before something failed is told all the same.
	if asJSON {
		return errors.Join(printJSON(e.stdout, out), failed)
	}
	return errors.Join(printPruned(e, out, name, p, c.Bool("dry-run")), failed)
}

func decide(c *cli.Context, dir *snapshot.Dir, node string, p retention.Policy) ([]retention.Decision, error) {
	if !c.Bool("dry-run") {
		return daemon.Prune(c.Context, dir, node, p, time.Now())
	}
	l, err := dir.List()
	if err != nil {
		return nil, err
	}
	return daemon.PlanPrune(l.Snapshots, node, p, time.Now()), nil
}

func printPruned(e env, out []pruned, node string, p retention.Policy, dryRun bool) error {
	removed, word := 0, "removed"
	if dryRun {
		word = "would remove"
	}
	var lines [][]string
	for _, d := range out {
		action := "keep"
		if !d.Keep {
			action = word
			removed++
		}
		lines = append(lines, []string{action, d.Name, strings.Join(d.Reasons, ", ")})
	}
	if len(lines) > 0 {
		if err := printTable(e.stdout, []string{"ACTION", "NAME", "REASON"}, lines); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(e.stdout, "%s %d of %d rolling snapshots of node %s; policy: %s\n", word, removed, len(out), node, p)
	return err
}
