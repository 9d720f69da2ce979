package command

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"etcd-rolling-backup/daemon/mirror"
	"etcd-rolling-backup/daemon/prune"
	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/internal/service"
	"etcd-rolling-backup/internal/source"
	"etcd-rolling-backup/retention"
	"etcd-rolling-backup/snapshot"
)

func pruneCommand(e env) *cli.Command {
	return &cli.Command{
		Name: "prune", Usage: "apply the retention policy to this node's rolling snapshots now",
		Flags: slices.Concat([]cli.Flag{
			config.Bool("retention", "dry-run", "only show what would be removed, and why"), config.OutputFlag(), config.ClusterFlag(), config.OrphanFlag(), config.JournalKeepFlag(),
			config.Text("store", "from", "", "`PLACE`: local, s3 or all (default: all if --s3-bucket is given, else local)"),
		}, config.PolicyFlags(), config.S3PolicyFlags(), config.S3Flags(), config.DirFlags(), config.NodeFlags()),
		Action: e.action(0, pruneSnapshots),
	}
}

// pruned is one decision as --output json shows it.
type pruned struct {
	Name    string       `json:"name"`
	Place   config.Place `json:"place"`
	Keep    bool         `json:"keep"`
	Reasons []string     `json:"reasons"`
}

func pruneSnapshots(ctx context.Context, c *call) error {
	cfg := c.cfg
	local, inBucket, err := config.ReadRemovalPlaces(c.Context, cfg.S3)
	if err != nil {
		return err
	}
	dryRun := c.Bool("dry-run")
	if policy, bucketPolicy := config.PolicyGiven(c.Context); !dryRun && !policy && (local || !bucketPolicy) {
		return config.Usagef("prune deletes snapshots, and no policy is given: repeat the daemon's --keep-... flags or its --config, or try --dry-run first")
	}
	id, err := config.ReadCluster(c.Context)
	if err != nil {
		return err
	}
	lineage, err := service.ManualLineage(ctx, cfg, id, inBucket)
	if err != nil {
		return err
	}
	dir, out := snapshot.NewDir(cfg.Store.Dir), []pruned{}
	journal := prunedSegments{keep: cfg.Journal}
	add := func(place config.Place, decisions []prune.Decision, err error) error {
		for _, d := range decisions {
			out = append(out, pruned{Name: fileName(d), Place: place, Keep: d.Keep, Reasons: d.Reasons})
		}
		return err
	}
	var failed error
	if local {
		s := prune.Scope{Node: cfg.Store.Node, Lineage: lineage, Policy: cfg.Policy, OrphanAfter: cfg.Store.OrphanAfter, Journal: prune.Journal{Keep: cfg.Journal.Keep}}
		decisions, err := prune.Local(ctx, dir, s, time.Now(), service.ManualDetails(cfg, dir), dryRun)
		if failed = add(config.Local, decisions, err); failed == nil {
			journal.local, failed = prune.LocalSegments(ctx, dir, dir, s, time.Now(), service.ManualDetails(cfg, dir), dryRun)
		}
	}
	if inBucket && failed == nil {
		done, err := pruneBucket(ctx, dir, cfg, lineage, out, dryRun)
		failed, journal.bucket = add(config.S3, done.Decisions, err), done.Segments
	}
	if failed != nil && len(out) == 0 {
		return failed
	}
	// What was removed before something failed is shown all the same.
	return errors.Join(c.show(append(slices.Clone(out), journal.list()...), func(p *printer) {
		removed, word, lines := 0, "removed", [][]string{}
		if dryRun {
			word = "would remove"
		}
		for _, d := range out {
			action := "keep"
			if !d.Keep {
				action = word
				removed++
			}
			lines = append(lines, []string{action, string(d.Place), d.Name, strings.Join(d.Reasons, ", ")})
		}
		if len(lines) > 0 {
			p.table([]string{"ACTION", "PLACE", "NAME", "REASON"}, lines)
		}
		policy := policyText(local, inBucket, cfg.Policy, cfg.Mirror.Policy)
		p.line("%s %d of %d rolling snapshots of node %s; policy: %s", word, removed, len(out), cfg.Store.Node, policy)
		journal.show(p, word, slices.ContainsFunc(out, func(d pruned) bool { return slices.Contains(d.Reasons, retention.ReasonJournal) }))
	}), failed)
}

// pruneBucket prunes the bucket, or only says how. What was decided for the directory already counts: a dry run has removed nothing.
func pruneBucket(ctx context.Context, dir *snapshot.Dir, cfg config.Config, lineage snapshot.Lineage, local []pruned, dryRun bool) (done mirror.Pruned, err error) {
	b, err := source.OpenBucket(cfg.S3)
	if err != nil {
		return done, err
	}
	defer b.Close()
	l, err := dir.List()
	if err != nil && !errors.Is(err, snapshot.ErrUnusableDir) { // another machine has none
		return done, err
	}
	l.Snapshots = slices.DeleteFunc(l.Snapshots, func(e snapshot.Entry) bool {
		return slices.ContainsFunc(local, func(d pruned) bool { return !d.Keep && d.Name == e.Name.String() })
	})
	o := service.ManualMirrorOptions(cfg) // the daemon may have counted keys that the manifests do not have
	o.Lineage = func() snapshot.Lineage { return lineage }
	o.Journal.Source, o.Journal.Bucket = dir, b
	return mirror.Prune(ctx, dir, l, b, o, time.Now(), dryRun)
}

// fileName is what list --all shows.
func fileName(d prune.Decision) string {
	if d.Broken {
		return d.Name.String() + snapshot.BrokenSuffix
	}
	return d.Name.String()
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
