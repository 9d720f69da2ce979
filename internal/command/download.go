package command

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/internal/source"
	"etcd-rolling-backup/snapshot"
)

func downloadCommand(e env) *cli.Command {
	return &cli.Command{
		Name: "download", Usage: "fetch a snapshot from the bucket or a peer and verify it; existing files are never replaced",
		ArgsUsage: "[SNAPSHOT]   latest (default), a name or a label",
		Flags: slices.Concat([]cli.Flag{
			config.Text("store", "to", "", "`PATH` of a directory, or of the new file (default: --dir)"),
			config.MinFreeFlag("the download"), config.PeerFlag(), config.OutputFlag(),
		}, config.S3Flags(), config.VersionFlags(), config.DirFlags(), config.CertificateFlags()),
		Action: e.action(1, download),
	}
}

// downloaded is what --output json shows.
type downloaded struct {
	File     string             `json:"file"`
	Size     int64              `json:"size"`
	Manifest *snapshot.Manifest `json:"manifest,omitempty"` // nil: of another program
}

func download(ctx context.Context, c *call) error {
	r := source.Request{Reference: c.ref, Dir: c.cfg.Store.Dir, Bucket: c.cfg.S3, Peer: c.String("peer"), Identity: c.cfg.Etcd.Identity, Host: hostName()}
	r.Notice = c.notice
	from, err := source.Find(ctx, r)
	if err != nil {
		return err
	}
	defer from.Close()
	dir, base := target(c.String("to"), c.cfg.Store.Dir, from.Entry.Name)
	if err := dir.Prepare(); err != nil {
		return err
	}
	out := downloaded{File: filepath.Join(dir.Path(), base)}
	bar := newProgress(c.stderr, "downloading")
	err = from.Read(ctx, func(body io.Reader, bytes int64) error {
		out.Size = bytes
		m, err := dir.Receive(ctx, from.Entry.Name, base, body, bytes, c.cfg.Store.MinFree, bar.update)
		if m.Format != "" {
			out.Manifest = &m
		}
		return err
	})
	bar.done()
	if err != nil {
		return c.orInstead(ctx, err, from.Entry.Name, from.From, from.From)
	}
	return c.show(out, func(p *printer) {
		what := "zip of another program"
		if from.Entry.Name.Raw() {
			what = "database of another program"
		}
		if m := out.Manifest; m != nil {
			what = fmt.Sprintf("revision %d", m.Revision)
		}
		p.line("downloaded %s\n  %s, %s, verified", out.File, what, size(out.Size))
	})
}

// target is where --to puts the file. A directory other than --dir belongs to somebody else.
func target(to, dir string, n snapshot.Name) (*snapshot.Dir, string) {
	if to == "" {
		return snapshot.NewDir(dir), n.String()
	}
	info, err := os.Stat(to)
	if err == nil && info.IsDir() || strings.HasSuffix(to, "/") {
		return snapshot.Foreign(to), n.String()
	}
	return snapshot.Foreign(filepath.Dir(to)), filepath.Base(to)
}
