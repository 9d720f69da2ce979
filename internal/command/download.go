package command

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
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
		Flags: config.Flags(
			[]cli.Flag{
				config.Text("store", "to", "", "`PATH` of a directory, or of the new file (default: --dir)"),
				config.MinFreeFlag("the download"),
				config.PeerFlag(),
			},
			[]cli.Flag{config.OutputFlag()}, config.S3Flags(), config.DirFlags(), config.CertificateFlags()),
		Action: func(c *cli.Context) error { return download(c, e) },
	}
}

// downloaded is what --output json shows.
type downloaded struct {
	File     string            `json:"file"`
	Size     int64             `json:"size"`
	Manifest snapshot.Manifest `json:"manifest"`
}

func download(c *cli.Context, e env) error {
	cfg, ref, asJSON, err := settingsFor(c)
	if err != nil {
		return err
	}
	from, err := source.Find(c.Context, source.Request{Reference: ref, Bucket: cfg.S3, Peer: c.String("peer"), Identity: cfg.Etcd.Identity})
	if err != nil {
		return err
	}
	defer from.Close()
	dir, base := target(c.String("to"), cfg.Store.Dir, from.Entry.Name)
	if err := dir.Prepare(); err != nil {
		return err
	}
	out := downloaded{File: filepath.Join(dir.Path(), base)}
	bar := newProgress(e.stderr, "downloading")
	err = from.Read(c.Context, func(body io.Reader, bytes int64) (err error) {
		out.Size = bytes
		out.Manifest, err = dir.Receive(c.Context, base, body, bytes, cfg.Store.MinFree, bar.update)
		return err
	})
	bar.done()
	if err != nil {
		return err
	}
	if asJSON {
		return printJSON(e.stdout, out)
	}
	_, err = fmt.Fprintf(e.stdout, "downloaded %s\n  revision %d, %s, verified\n", out.File, out.Manifest.Revision, size(out.Size))
	return err
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
