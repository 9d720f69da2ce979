package command

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"etcd-rolling-backup/snapshot/input"
	"etcd-rolling-backup/snapshot/restore"
)

// kubernetesBump is how far --kubernetes raises the revision: above all that a cluster writes between a snapshot and its loss,
// and small against the 2^63 there are (https://github.com/kubernetes/kubernetes/issues/118501,
// https://github.com/etcd-io/etcd/issues/16028).
const kubernetesBump = 1_000_000_000

func restoreCommand(e env) *cli.Command {
	return &cli.Command{
		Name: "restore", Usage: "make an etcd data directory of a snapshot; what is there is never destroyed",
		ArgsUsage: "[SNAPSHOT]   latest (default), a name, a label, or a file's path",
		Flags: group(
			[]cli.Flag{
				text("source", "from", "", "`PLACE`: local, s3 or peer (default: local, and where nothing is there s3)"),
				peerFlag(),
			},
			restoreFlags(), memberFlags(), []cli.Flag{outputFlag()}, dirFlags(), certificateFlags(), s3Flags()),
		Action: func(c *cli.Context) error { return restoreSnapshot(c, e) },
	}
}

func restoreSnapshot(c *cli.Context, e env) (err error) {
	if err := oneSnapshot(c); err != nil {
		return err
	}
	asJSON, err := jsonOutput(c)
	if err != nil {
		return err
	}
	o, err := restoreOptions(c)
	if err != nil {
		return err
	}
	now := time.Now()
	// Before anything is brought from elsewhere.
	if err := restore.Check(o, now); err != nil {
		return err
	}
	p, err := pickSource(c, e)
	if err != nil {
		return err
	}
	defer p.file.Close()
	info, err := p.file.Stat()
	if err != nil {
		return err
	}
	in, err := input.Open(p.file, info.Size())
	if err != nil {
		return fmt.Errorf("restore %s: %w", p.name, err)
	}
	report := restoreReport{Snapshot: p.name, Place: p.place, Form: string(in.Form), Manifest: in.Manifest, peer: p.peer, now: now}
	if !asJSON {
		if err := report.printSource(e.stdout, in, info.ModTime()); err != nil {
			return err
		}
	}
	o.Size = in.Size
	if in.Manifest != nil {
		o.Recorded = in.Manifest.Members
	}
	bar := newProgress(e.stderr, "unpacking")
	o.Progress = bar.update
	plan, err := restore.Prepare(c.Context, in, o, report.now)
	bar.done()
	if err != nil {
		return fmt.Errorf("restore %s: %w", p.name, err)
	}
	defer func() { err = errors.Join(err, plan.Close()) }()
	report.take(c, plan, o)
	if !report.DryRun {
		_ = p.file.Close() // one from elsewhere lies on the same disk, which has to hold the database twice now
		if err := plan.Run(c.Context); err != nil {
			return fmt.Errorf("restore %s: %w", p.name, err)
		}
	}
	if asJSON {
		return printJSON(e.stdout, report)
	}
	return report.print(e.stdout)
}

// restoreOptions reads what is made, and refuses what contradicts itself before anything is fetched.
func restoreOptions(c *cli.Context) (restore.Options, error) {
	o := restore.Options{
		DataDir: c.String("data-dir"), WALDir: c.String("wal-dir"), Replace: c.Bool("replace"),
		MarkCompacted: c.Bool("mark-compacted"), SkipHashCheck: c.Bool("skip-hash-check"),
		Identity: restore.Identity{
			Name: c.String("name"), InitialCluster: c.String("initial-cluster"), Token: c.String("initial-cluster-token"),
			Members: restore.MemberMode(c.String("members")),
		},
	}
	for _, name := range []string{"data-dir", "name", "initial-cluster", "initial-cluster-token", "initial-advertise-peer-urls", "members", "wal-dir", "chown", "from", "peer"} {
		if c.IsSet(name) && strings.TrimSpace(c.String(name)) == "" {
			return o, usagef("--%s is empty: give a value, or leave the flag out", name)
		}
	}
	bump := c.Int("bump-revision")
	if bump < 0 || bump > math.MaxInt32 {
		return o, usagef("--bump-revision: %d is not a number from 0 to %d", bump, math.MaxInt32)
	}
	o.BumpRevision = uint64(bump)
	if urls := c.String("initial-advertise-peer-urls"); urls != "" {
		o.PeerURLs = strings.Split(urls, ",")
	}
	switch {
	case o.Members != "" && o.Members != restore.Recorded && o.Members != restore.Single:
		return o, usagef("--members: %q is not recorded or single", o.Members)
	case o.Members != "" && o.InitialCluster != "":
		return o, usagef("--members and --initial-cluster both say who is in the cluster: give one of them")
	case c.Bool("kubernetes") && (o.BumpRevision > 0 || o.MarkCompacted):
		return o, usagef("--kubernetes is --bump-revision %d --mark-compacted: leave those out, or leave it out and give both", kubernetesBump)
	case (o.BumpRevision > 0) != o.MarkCompacted:
		return o, usagef("--bump-revision and --mark-compacted go together: give both or none")
	}
	if c.Bool("kubernetes") {
		o.BumpRevision, o.MarkCompacted = kubernetesBump, true
	}
	if owner := c.String("chown"); owner != "" {
		parsed, err := restore.ParseOwner(owner)
		if err != nil {
			return o, usageError{err}
		}
		o.Owner = &parsed
	}
	return o, nil
}
