package command

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/urfave/cli/v2"

	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/internal/source"
	"etcd-rolling-backup/snapshot/input"
	"etcd-rolling-backup/snapshot/restore"
)

func restoreCommand(e env) *cli.Command {
	return &cli.Command{
		Name: "restore", Usage: "build an etcd data directory from a snapshot; existing data is never destroyed",
		ArgsUsage: "[SNAPSHOT]   latest (default), a name, a label, or a file's path",
		Flags: config.Flags(
			[]cli.Flag{config.FromFlag("source", config.Anywhere, "`PLACE`: local, s3 or peer (default: local, and if it is not there, s3)"), config.PeerFlag()},
			config.RestoreFlags(), config.MemberFlags(), []cli.Flag{config.OutputFlag()}, config.DirFlags(), config.CertificateFlags(), config.S3Flags()),
		Action: func(c *cli.Context) error { return restoreSnapshot(c, e) },
	}
}

func restoreSnapshot(c *cli.Context, e env) (err error) {
	cfg, ref, asJSON, err := settingsFor(c)
	if err != nil {
		return err
	}
	o, err := config.ReadRestore(c)
	if err != nil {
		return err
	}
	now := time.Now()
	// Before anything is fetched.
	if err := restore.Check(o.Options, now); err != nil {
		return err
	}
	p, err := openSource(c.Context, e, cfg, o, ref)
	if err != nil {
		return err
	}
	defer p.File.Close()
	info, err := p.File.Stat()
	if err != nil {
		return err
	}
	in, err := input.Open(p.File, info.Size())
	if err != nil {
		return fmt.Errorf("restore %s: %w", p.Name, err)
	}
	report := restoreReport{Snapshot: p.Name, Place: p.Place, Form: string(in.Form), Manifest: in.Manifest, peer: p.From == config.Peer, now: now}
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
	plan, err := restore.Prepare(c.Context, in, o.Options, report.now)
	bar.done()
	if err != nil {
		return fmt.Errorf("restore %s: %w", p.Name, err)
	}
	defer func() { err = errors.Join(err, plan.Close()) }()
	report.take(plan, o)
	if !report.DryRun {
		_ = p.File.Close() // a fetched one is on the same disk, which now needs room for the database twice
		if err := plan.Run(c.Context); err != nil {
			return fmt.Errorf("restore %s: %w", p.Name, err)
		}
	}
	if asJSON {
		return printJSON(e.stdout, report)
	}
	return report.print(e.stdout)
}

// openSource finds the snapshot to restore. A fetched one is put on the disk of --data-dir, which is the one that must have room.
func openSource(ctx context.Context, e env, cfg config.Config, o config.Restore, ref string) (*source.Opened, error) {
	bar := newProgress(e.stderr, "downloading")
	defer bar.done()
	return source.Open(ctx, source.Request{
		Reference: ref, From: o.From, Dir: cfg.Store.Dir, Bucket: cfg.S3, Peer: o.Peer, Identity: cfg.Etcd.Identity,
		Scratch: filepath.Dir(filepath.Clean(o.DataDir)), Progress: bar.update,
		Notice: func(text string) { fmt.Fprintln(e.stderr, text) },
	})
}
