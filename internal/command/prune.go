package command

import (
	"errors"
	"fmt"
	"slices"
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
			[]cli.Flag{fromFlag("", "`PLACE`: local, s3 or all (default: all where --s3-bucket is given, else local)")},
			policyFlags(), s3PolicyFlags(), s3Flags(), dirFlags(), nodeFlags()),
		Action: func(c *cli.Context) error { return prune(c, e) },
	}
}

// pruned is one decision as --output json shows it.
type pruned struct {
	Name    string   `json:"name"`
	Place   string   `json:"place"`
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
	local, remote, err := places(c)
	if err != nil {
		return err
	}
	mirror, err := mirrorOptions(c, name, p)
	if err != nil {
		return err
	}
	if !c.Bool("dry-run") && !hasPolicy(c, "") && (local || !hasPolicy(c, "s3-")) {
		return usagef("prune removes for good, and no policy is given: repeat the daemon's --keep-... flags or its --config, or look first with --dry-run")
	}
	out := []pruned{}
	var failed error
	if local {
		decisions, err := decide(c, dir, name, p)
		out, failed = appendPruned(out, decisions, fromLocal), err
	}
	if remote && failed == nil {
		var decisions []retention.Decision
		decisions, failed = decideRemote(c, dir, mirror, out)
		out = appendPruned(out, decisions, fromS3)
	}
	if failed != nil && len(out) == 0 {
		return failed
	}
	// What was removed before something failed is told all the same.
	if asJSON {
		return errors.Join(printJSON(e.stdout, out), failed)
	}
	return errors.Join(printPruned(e, out, name, policyText(local, remote, p, mirror.Policy), c.Bool("dry-run")), failed)
}

// hasPolicy tells whether a flag of the policy whose flags begin with prefix is given.
func hasPolicy(c *cli.Context, prefix string) bool {
	return slices.ContainsFunc(policyFlags(), func(f cli.Flag) bool { return c.IsSet(prefix + f.Names()[0]) })
}

func appendPruned(out []pruned, decisions []retention.Decision, place string) []pruned {
	for _, d := range decisions {
		out = append(out, pruned{Name: d.ID, Place: place, Keep: d.Keep, Reasons: d.Reasons})
	}
	return out
}

// decideRemote prunes the bucket, or only says how. What is decided on here already counts: a dry run has removed nothing.
func decideRemote(c *cli.Context, dir *snapshot.Dir, o daemon.MirrorOptions, here []pruned) ([]retention.Decision, error) {
	b, err := openBucket(c)
	if err != nil {
		return nil, err
	}
	defer b.Close()
	l, err := dir.List()
	if err != nil && !errors.Is(err, snapshot.ErrUnusableDir) { // on another machine there is none
		return nil, err
	}
	l.Snapshots = slices.DeleteFunc(l.Snapshots, func(e snapshot.Entry) bool {
		return slices.ContainsFunc(here, func(d pruned) bool { return !d.Keep && d.Name == e.Name.String() })
	})
	remote, err := b.List(c.Context)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	decisions, orphans, arrived := daemon.PlanMirrorPrune(l.Snapshots, remote, o, now)
	for _, n := range orphans {
		decisions = append(decisions, retention.Decision{
			Item: retention.Item{ID: n.String(), Time: n.Time}, Reasons: []string{"its node has had no new one for " + age(now, n.Time)},
		})
	}
	if !arrived {
		for i := range decisions {
			if d := &decisions[i]; !d.Keep && !slices.ContainsFunc(orphans, func(n snapshot.Name) bool { return n.String() == d.ID }) {
				d.Keep, d.Reasons = true, append(d.Reasons, "but the newest is not in the bucket yet: mirror first")
			}
		}
	}
	if c.Bool("dry-run") {
		return decisions, nil
	}
	done, err := daemon.MirrorPrune(c.Context, l.Snapshots, b, o, now)
	stays := "it could not be removed: held by Object Lock, or see the error"
	switch {
	case err == nil:
		stays = "but Object Lock holds it"
	case done.Locked == 0:
		stays = "it could not be removed"
	}
	for i := range decisions {
		if d := &decisions[i]; !d.Keep && !slices.ContainsFunc(done.Removed, func(n snapshot.Name) bool { return n.String() == d.ID }) {
			d.Keep, d.Reasons = true, append(d.Reasons, stays)
		}
	}
	return decisions, err
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

// policyText names the policy of each place that was pruned.
func policyText(local, remote bool, here, there retention.Policy) string {
	switch {
	case !remote:
		return here.String()
	case !local:
		return there.String()
	case here == there:
		return here.String()
	}
	return fmt.Sprintf("%s; in the bucket: %s", here, there)
}

func printPruned(e env, out []pruned, node, policy string, dryRun bool) error {
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
		lines = append(lines, []string{action, d.Place, d.Name, strings.Join(d.Reasons, ", ")})
	}
	if len(lines) > 0 {
		if err := printTable(e.stdout, []string{"ACTION", "PLACE", "NAME", "REASON"}, lines); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(e.stdout, "%s %d of %d rolling snapshots of node %s; policy: %s\n", word, removed, len(out), node, policy)
	return err
}
