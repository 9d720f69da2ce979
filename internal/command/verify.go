package command

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/urfave/cli/v2"

	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/internal/service"
	"etcd-rolling-backup/internal/source"
	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/drill"
)

func verifyCommand(e env) *cli.Command {
	return &cli.Command{
		Name: "verify", Usage: "verify that a snapshot is intact: zstd data, digests, every page of the database",
		ArgsUsage: "[SNAPSHOT]   latest (default), a name, a label, or a file's path",
		Flags: slices.Concat([]cli.Flag{
			config.MinFreeFlag("the unpacked database"),
			config.Bool("general", "restore", "also restore it as a test: start an etcd on it that nobody can reach, and compare what that has"),
			config.Text("store", "from", "", "`PLACE`: local or s3 (default: both, the newer snapshot)"), config.OutputFlag(),
		}, config.DirFlags(), config.S3Flags()),
		Action: e.action(1, verify),
	}
}

// verified is what --output json shows of a snapshot that is intact.
type verified struct {
	File     string            `json:"file"`
	Size     int64             `json:"size"`
	Revision int64             `json:"revision"`
	Keys     int               `json:"keys"`
	Hash     string            `json:"hash"`
	Manifest snapshot.Manifest `json:"manifest"`
	Drill    *drill.Result     `json:"drill,omitempty"`
}

func verify(ctx context.Context, c *call) error {
	p, err := openStored(ctx, c)
	if err != nil {
		return err
	}
	defer p.File.Close()
	bar := newProgress(c.stderr, "unpacking")
	r, err := snapshot.Verify(ctx, p.File, p.Scratch, c.cfg.Store.MinFree, bar.update)
	bar.done()
	if err != nil {
		return fmt.Errorf("verify %s: %w", p.Name, err)
	}
	v := verified{
		File: p.Name, Size: r.Size, Revision: r.Revision, Keys: r.Keys, Hash: fmt.Sprintf("%x", r.Hash), Manifest: r.Manifest,
	}
	if c.Bool("restore") {
		d, err := drillOpened(ctx, c, p)
		if err != nil {
			return err
		}
		v.Drill = &d
	}
	if taken := v.Manifest.Name; !c.asJSON && taken != filepath.Base(v.File) {
		fmt.Fprintf(c.stderr, "the file is a renamed copy of %s\n", taken)
	}
	return c.show(v, v.print)
}

func (v verified) print(out *printer) {
	out.line("%s is intact\n  revision %d, %d keys, hash %s, database %s, taken %s from etcd %s",
		v.File, v.Revision, v.Keys, v.Hash, size(v.Manifest.RawSize), v.Manifest.CreatedAt.UTC().Format("2006-01-02 15:04:05 UTC"), v.Manifest.EtcdVersion)
	if d := v.Drill; d != nil {
		out.line("  restored as a test: etcd %s has all %d keys at revision %d, HashKV %d as in the snapshot, took %s",
			d.EtcdVersion, d.Keys, d.Revision, d.HashKV, d.Took.All().Round(time.Millisecond))
	}
}

// openStored opens the snapshot in the place that --from names, the newer one of both without --from, or the file if it is a path.
func openStored(ctx context.Context, c *call) (*source.Opened, error) {
	from, err := config.ReadPlace(c.Context, config.Anywhere, config.Local, config.S3)
	if err != nil {
		return nil, err
	}
	return c.open(ctx, source.Request{From: from, MinFree: c.cfg.Store.MinFree})
}

// drillOpened is the drill of verify --restore, with a bar while it unpacks.
func drillOpened(ctx context.Context, c *call, p *source.Opened) (drill.Result, error) {
	bar := newProgress(c.stderr, "restoring")
	defer bar.done()
	r, err := service.StartDrill(ctx, p.File, p.Scratch, c.cfg.Store.MinFree, func(s drill.Step) {
		if s.Stage == drill.StageUnpack && s.Total > 0 {
			bar.update(s.Done, s.Total)
		}
	})
	if err != nil {
		return r, fmt.Errorf("restore %s as a test: %w", p.Name, err)
	}
	return r, nil
}
