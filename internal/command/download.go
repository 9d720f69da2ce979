package command

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"etcd-rolling-backup/s3"
	"etcd-rolling-backup/snapshot"
)

func downloadCommand(e env) *cli.Command {
	return &cli.Command{
		Name: "download", Usage: "bring a snapshot from the bucket, proven; nothing is ever replaced by it",
		ArgsUsage: "[SNAPSHOT]   latest (default), a name or a label",
		Flags: group(
			[]cli.Flag{
				text("store", "to", "", "`PATH` of a directory, or of the new file (default: --dir)"),
				text("store", "min-free", "1GiB", "`SIZE` that the download leaves free on the disk"),
			},
			[]cli.Flag{outputFlag()}, s3Flags(), dirFlags()),
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
	if c.NArg() > 1 {
		return usagef("download takes one snapshot, and %d were given", c.NArg())
	}
	asJSON, err := jsonOutput(c)
	if err != nil {
		return err
	}
	free, err := minFree(c)
	if err != nil {
		return err
	}
	b, err := openBucket(c)
	if err != nil {
		return err
	}
	defer b.Close()
	entry, err := findRemote(c, b)
	if err != nil {
		return err
	}
	dir, base, err := target(c, entry.Name)
	if err != nil {
		return err
	}
	if err := dir.Prepare(); err != nil {
		return err
	}
	body, bytes, err := b.Get(c.Context, entry.Name)
	if err != nil {
		return err
	}
	defer body.Close()
	bar := newProgress(e.stderr, "downloading")
	m, err := dir.Receive(c.Context, base, body, bytes, free, bar.update)
	bar.done()
	if err != nil {
		return fmt.Errorf("download %s from %s: %w", entry.Name, b, err)
	}
	file := filepath.Join(dir.Path(), base)
	if asJSON {
		return printJSON(e.stdout, downloaded{File: file, Size: bytes, Manifest: m})
	}
	_, err = fmt.Fprintf(e.stdout, "downloaded %s\n  revision %d, %s, proven\n", file, m.Revision, size(bytes))
	return err
}

// findRemote picks the snapshot that the first argument names in the bucket.
func findRemote(c *cli.Context, b *s3.Bucket) (snapshot.Entry, error) {
	ref := c.Args().First()
	if ref == "" {
		ref = snapshot.Latest
	}
	entries, err := b.List(c.Context)
	if err != nil {
		return snapshot.Entry{}, err
	}
	entry, err := snapshot.Listing{Snapshots: entries}.Find(ref, time.Now())
	if err != nil {
		return entry, fmt.Errorf("look into %s: %w", b, err)
	}
	return entry, nil
}

// target is where --to puts the file.
func target(c *cli.Context, n snapshot.Name) (*snapshot.Dir, string, error) {
	to := c.String("to")
	if to == "" {
		dir, err := directory(c)
		return dir, n.String(), err
	}
	info, err := os.Stat(to)
	if err == nil && info.IsDir() || strings.HasSuffix(to, "/") {
		return snapshot.NewDir(to), n.String(), nil
	}
	return snapshot.NewDir(filepath.Dir(to)), filepath.Base(to), nil
}
