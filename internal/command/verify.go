package command

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
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
		Flags: config.Flags(
			[]cli.Flag{
				config.MinFreeFlag("the unpacked database"),
				config.Bool("general", "restore", "also restore it as a test: start an etcd on it that nobody can reach, and compare what that has"),
				config.FromFlag("store", config.Local, "`PLACE`: local or s3"), config.OutputFlag(),
			},
			config.DirFlags(), config.S3Flags()),
		Action: func(c *cli.Context) error { return verify(c, e) },
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

func verify(c *cli.Context, e env) error {
	cfg, ref, asJSON, err := settingsFor(c)
	if err != nil {
		return err
	}
	p, err := openStored(c, e, cfg, ref)
	if err != nil {
		return err
	}
	defer p.File.Close()
	bar := newProgress(e.stderr, "unpacking")
	r, err := snapshot.Verify(c.Context, p.File, p.Scratch, cfg.Store.MinFree, bar.update)
	bar.done()
	if err != nil {
		return fmt.Errorf("verify %s: %w", p.Name, err)
	}
	out := verified{
		File: p.Name, Size: r.Size, Revision: r.Revision, Keys: r.Keys, Hash: fmt.Sprintf("%x", r.Hash), Manifest: r.Manifest,
	}
	if c.Bool("restore") {
		d, err := drillOpened(c.Context, e, p, cfg.Store.MinFree)
		if err != nil {
			return err
		}
		out.Drill = &d
	}
	if asJSON {
		return printJSON(e.stdout, out)
	}
	return out.print(e)
}

func (v verified) print(e env) error {
	if taken := v.Manifest.Name; taken != filepath.Base(v.File) {
		if _, err := fmt.Fprintf(e.stderr, "the file is a renamed copy of %s\n", taken); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(e.stdout, "%s is intact\n  revision %d, %d keys, hash %s, database %s, taken %s from etcd %s\n",
		v.File, v.Revision, v.Keys, v.Hash, size(v.Manifest.RawSize), v.Manifest.CreatedAt.UTC().Format("2006-01-02 15:04:05 UTC"), v.Manifest.EtcdVersion)
	if err != nil || v.Drill == nil {
		return err
	}
	return printDrill(e.stdout, *v.Drill)
}

// openStored opens the snapshot in the one place that --from names, or the file if ref is a path. One in the bucket is fetched first.
func openStored(c *cli.Context, e env, cfg config.Config, ref string) (*source.Opened, error) {
	from, err := config.ReadPlace(c, config.Local, config.S3)
	if err != nil {
		return nil, err
	}
	bar := newProgress(e.stderr, "downloading")
	defer bar.done()
	return source.Open(c.Context, source.Request{
		Reference: ref, From: from, Dir: cfg.Store.Dir, Bucket: cfg.S3, MinFree: cfg.Store.MinFree, Progress: bar.update,
	})
}

// drillOpened is the drill of verify --restore, with a bar while it unpacks.
func drillOpened(ctx context.Context, e env, p *source.Opened, minFree int64) (drill.Result, error) {
	bar := newProgress(e.stderr, "restoring")
	defer bar.done()
	r, err := service.StartDrill(ctx, p.File, p.Scratch, minFree, func(s drill.Step) {
		if s.Stage == drill.StageUnpack && s.Total > 0 {
			bar.update(s.Done, s.Total)
		}
	})
	if err != nil {
		return r, fmt.Errorf("restore %s as a test: %w", p.Name, err)
	}
	return r, nil
}

func printDrill(w io.Writer, r drill.Result) error {
	_, err := fmt.Fprintf(w, "  restored as a test: etcd %s has all %d keys at revision %d, HashKV %d as in the snapshot, took %s\n",
		r.EtcdVersion, r.Keys, r.Revision, r.HashKV, r.Took.All().Round(time.Millisecond))
	return err
}
