package command

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"etcd-rolling-backup/daemon"
	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/internal/service"
	"etcd-rolling-backup/internal/source"
	"etcd-rolling-backup/retention"
	"etcd-rolling-backup/snapshot"
)

func pruneCommand(e env) *cli.Command {
	return &cli.Command{
		Name: "prune", Usage: "apply the retention policy to this node's rolling snapshots now",
		Flags: config.Flags([]cli.Flag{
			config.Bool("retention", "dry-run", "only show what would be removed, and why"), config.OutputFlag(),
			config.FromFlag("store", config.Anywhere, "`PLACE`: local, s3 or all (default: all if --s3-bucket is given, else local)"),
		}, config.PolicyFlags(), config.S3PolicyFlags(), config.S3Flags(), config.DirFlags(), config.NodeFlags()),
		Action: func(c *cli.Context) error { return prune(c, e) },
	}
}

// pruned is one decision as --output json shows it.
type pruned struct {
	Name    string       `json:"name"`
	Place   config.Place `json:"place"`
	Keep    bool         `json:"keep"`
	Reasons []string     `json:"reasons"`
}

func prune(c *cli.Context, e env) error {
	cfg, asJSON, err := settings(c)
	if err != nil {
		return err
	}
	local, inBucket, err := config.ReadPlaces(c, cfg.S3 != nil)
	if err != nil {
		return err
	}
	dryRun := c.Bool("dry-run")
	if policy, bucketPolicy := config.PolicyGiven(c); !dryRun && !policy && (local || !bucketPolicy) {
		return config.Usagef("prune deletes snapshots, and no policy is given: repeat the daemon's --keep-... flags or its --config, or try --dry-run first")
	}
	dir, out := snapshot.NewDir(cfg.Store.Dir), []pruned{}
	var failed error
	if local {
		decisions, err := pruneLocal(c.Context, dir, cfg, dryRun)
		out, failed = appendPruned(out, decisions, config.Local), err
	}
	if inBucket && failed == nil {
		var decisions []retention.Decision
		decisions, failed = pruneBucket(c.Context, dir, cfg, out, dryRun)
		out = appendPruned(out, decisions, config.S3)
	}
	if failed != nil && len(out) == 0 {
		return failed
	}
	// What was removed before something failed is shown all the same.
	if asJSON {
		return errors.Join(printJSON(e.stdout, out), failed)
	}
	return errors.Join(printPruned(e, out, cfg.Store.Node, policyText(local, inBucket, cfg.Policy, cfg.Mirror.Policy), dryRun), failed)
}

func appendPruned(out []pruned, decisions []retention.Decision, place config.Place) []pruned {
	for _, d := range decisions {
		out = append(out, pruned{Name: d.ID, Place: place, Keep: d.Keep, Reasons: d.Reasons})
	}
	return out
}

// pruneBucket prunes the bucket, or only says how. What was decided for the directory already counts: a dry run has removed nothing.
func pruneBucket(ctx context.Context, dir *snapshot.Dir, cfg config.Config, local []pruned, dryRun bool) ([]retention.Decision, error) {
	b, err := source.OpenBucket(cfg.S3)
	if err != nil {
		return nil, err
	}
	defer b.Close()
	l, err := dir.List()
	if err != nil && !errors.Is(err, snapshot.ErrUnusableDir) { // another machine has none
		return nil, err
	}
	l.Snapshots = slices.DeleteFunc(l.Snapshots, func(e snapshot.Entry) bool {
		return slices.ContainsFunc(local, func(d pruned) bool { return !d.Keep && d.Name == e.Name.String() })
	})
	remote, err := b.List(ctx)
	if err != nil {
		return nil, err
	}
	now, o := time.Now(), service.MirrorOptions(cfg)
	decisions, orphans, arrived := daemon.PlanMirrorPrune(l.Snapshots, remote, o, now)
	for _, n := range orphans {
		decisions = append(decisions, retention.Decision{
			Item: retention.Item{ID: n.String(), Time: n.Time}, Reasons: []string{"its node has taken no new one for " + age(now, n.Time)},
		})
	}
	if !arrived {
		keepUnless(decisions, orphans, "but the newest is not in the bucket yet: mirror first")
	}
	if dryRun {
		return decisions, nil
	}
	done, err := daemon.MirrorPrune(ctx, l.Snapshots, b, o, now)
	stays := "it could not be removed: held by Object Lock, or see the error"
	switch {
	case err == nil:
		stays = "but Object Lock holds it"
	case done.Locked == 0:
		stays = "it could not be removed"
	}
	keepUnless(decisions, done.Removed, stays)
	return decisions, err
}

// keepUnless turns decisions to remove, except those on the given names, into decisions to keep, for a further reason.
func keepUnless(decisions []retention.Decision, names []snapshot.Name, reason string) {
	for i := range decisions {
		if d := &decisions[i]; !d.Keep && !slices.ContainsFunc(names, func(n snapshot.Name) bool { return n.String() == d.ID }) {
			d.Keep, d.Reasons = true, append(d.Reasons, reason)
		}
	}
}

func pruneLocal(ctx context.Context, dir *snapshot.Dir, cfg config.Config, dryRun bool) ([]retention.Decision, error) {
	if !dryRun {
		return daemon.Prune(ctx, dir, cfg.Store.Node, cfg.Policy, time.Now())
	}
	l, err := dir.List()
	if err != nil {
		return nil, err
	}
	return daemon.PlanPrune(l.Snapshots, cfg.Store.Node, cfg.Policy, time.Now()), nil
}

// policyText names the policy of each place that was pruned.
func policyText(local, inBucket bool, here, there retention.Policy) string {
	switch {
	case !inBucket:
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
		lines = append(lines, []string{action, string(d.Place), d.Name, strings.Join(d.Reasons, ", ")})
	}
	if len(lines) > 0 {
		if err := printTable(e.stdout, []string{"ACTION", "PLACE", "NAME", "REASON"}, lines); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(e.stdout, "%s %d of %d rolling snapshots of node %s; policy: %s\n", word, removed, len(out), node, policy)
	return err
}
