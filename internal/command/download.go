package command

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"etcd-rolling-backup/snapshot"
)

func downloadCommand(e env) *cli.Command {
	return &cli.Command{
		Name: "download", Usage: "bring a snapshot from the bucket or a peer, proven; nothing is ever replaced by it",
		ArgsUsage: "[SNAPSHOT]   latest (default), a name or a label",
		Flags: group(
			[]cli.Flag{
				text("store", "to", "", "`PATH` of a directory, or of the new file (default: --dir)"),
				text("store", "min-free", "1GiB", "`SIZE` that the download leaves free on the disk"),
				peerFlag(),
			},
			[]cli.Flag{outputFlag()}, s3Flags(), dirFlags(), certificateFlags()),
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
	if err := oneSnapshot(c); err != nil {
		return err
	}
	asJSON, err := jsonOutput(c)
	if err != nil {
		return err
	}
	free, err := minFree(c)
	if err != nil {
		return err
	}
	from, entry, done, err := downloadSource(c)
	if err != nil {
		return err
	}
	defer done()
	dir, base, err := target(c, entry.Name)
	if err != nil {
		return err
	}
	if err := dir.Prepare(); err != nil {
		return err
	}
	out := downloaded{File: filepath.Join(dir.Path(), base)}
	err = from.read(c, e, func(body io.Reader, bytes int64, progress func(done, total int64)) (err error) {
		out.Size = bytes
		out.Manifest, err = dir.Receive(c.Context, base, body, bytes, free, progress)
		return err
	})
	if err != nil {
		return err
	}
	if asJSON {
		return printJSON(e.stdout, out)
	}
	_, err = fmt.Fprintf(e.stdout, "downloaded %s\n  revision %d, %s, proven\n", out.File, out.Manifest.Revision, size(out.Size))
	return err
}

// downloadSource is the peer where one is given, else the bucket. done lets go of it.
func downloadSource(c *cli.Context) (from reader, entry snapshot.Entry, done func(), err error) {
	if c.String("peer") != "" {
		o, err := findPeer(c)
		if err != nil {
			return nil, snapshot.Entry{}, nil, err
		}
		return o, o.entry, func() {}, nil
	}
	r, err := findRemote(c)
	if err != nil {
		return nil, snapshot.Entry{}, nil, err
	}
	return r, r.entry, r.bucket.Close, nil
}

// target is where --to puts the file. What lies there is somebody else's, unlike --dir.
func target(c *cli.Context, n snapshot.Name) (*snapshot.Dir, string, error) {
	to := c.String("to")
	if to == "" {
		dir, err := directory(c)
		return dir, n.String(), err
	}
	info, err := os.Stat(to)
	if err == nil && info.IsDir() || strings.HasSuffix(to, "/") {
		return snapshot.Foreign(to), n.String(), nil
	}
	return snapshot.Foreign(filepath.Dir(to)), filepath.Base(to), nil
}
