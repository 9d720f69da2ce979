package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/urfave/cli/v2"

	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/internal/source"
	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/input"
	"etcd-rolling-backup/snapshot/restore"
)

func restoreCommand(e env) *cli.Command {
	return &cli.Command{
		Name: "restore", Usage: "build an etcd data directory from a snapshot; existing data is never destroyed",
		ArgsUsage: "[SNAPSHOT]   latest (default), a name, a label, or a file's path",
		Flags: slices.Concat(
			[]cli.Flag{config.Text("source", "from", "", "`PLACE`: local, s3 or peer (default: local and s3, the newer snapshot)"), config.PeerFlag()},
			config.RestoreFlags(), config.MemberFlags(), []cli.Flag{config.OutputFlag()}, config.DirFlags(), config.CertificateFlags(), config.S3Flags()),
		Action: e.action(1, restoreSnapshot),
	}
}

func restoreSnapshot(ctx context.Context, c *call) (err error) {
	o, err := config.ReadRestore(c.Context)
	if err != nil {
		return err
	}
	now := time.Now()
	// Before anything is fetched.
	if err := restore.Check(o.Options, now); err != nil {
		return err
	}
	// A fetched one is put on the disk of --data-dir, which is the one that must have room.
	p, err := c.open(ctx, source.Request{From: o.From, Peer: o.Peer, Mend: true, Scratch: filepath.Dir(filepath.Clean(o.DataDir))})
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
	if !c.asJSON {
		if err := printSource(c.stdout, p, in, info.ModTime(), now); err != nil {
			return err
		}
	}
	o.Size = in.Size
	if in.Manifest != nil {
		o.Recorded = in.Manifest.Members
	}
	bar := newProgress(c.stderr, "unpacking")
	o.Progress = bar.update
	plan, err := restore.Prepare(ctx, in, o.Options, now)
	bar.done()
	if err != nil {
		return fmt.Errorf("restore %s: %w", p.Name, err)
	}
	defer func() { err = errors.Join(err, plan.Close()) }()
	report := newRestoreReport(p, in, plan, o)
	if !o.DryRun {
		_ = p.File.Close() // a fetched one is on the same disk, which now needs room for the database twice
		if err := plan.Run(ctx); err != nil {
			return fmt.Errorf("restore %s: %w", p.Name, err)
		}
	}
	return c.show(report, report.print)
}

// printSource says which snapshot is used, before the work begins.
func printSource(w io.Writer, p *source.Opened, in *input.Input, changed, now time.Time) error {
	out := &printer{w: w}
	when := func(t time.Time) string {
		return fmt.Sprintf("%s (%s)", t.UTC().Format(time.DateTime+" UTC"), humanize.RelTime(t, now, "ago", "from now"))
	}
	out.line("restoring %s from %s", p.Name, p.Place)
	m := in.Manifest
	if m == nil {
		form := string(in.Form)
		if in.Member != "" {
			form += " with " + in.Member + " in it"
		}
		if n, err := snapshot.ParseName(filepath.Base(p.Name)); err == nil && in.Form == input.FormZstd {
			out.line("  taken %s on %s; its end is damaged and its manifest is lost: run verify. etcd's digest proves the database in it", when(n.Time), n.Node)
		} else {
			out.line("  a %s, last changed %s", form, when(changed))
		}
		return out.err
	}
	out.line("  taken %s on %s, revision %d, database %s, etcd %s", when(m.CreatedAt), m.Node, m.Revision, size(m.RawSize), m.EtcdVersion)
	if !m.Healthy {
		out.line("  its member knew no leader: other members may have later changes")
	}
	if len(m.Alarms) > 0 {
		out.line("  etcd had raised the alarms %s when it was taken", strings.Join(m.Alarms, ", "))
	}
	return out.err
}
