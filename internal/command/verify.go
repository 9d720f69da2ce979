package command

import (
	"fmt"
	"path/filepath"

	"github.com/urfave/cli/v2"

	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/drill"
)

func verifyCommand(e env) *cli.Command {
	return &cli.Command{
		Name: "verify", Usage: "prove a snapshot whole: zstd data, digests, every page of the database",
		ArgsUsage: "[SNAPSHOT]   latest (default), a name, a label, or a file's path",
		Flags: group(
			[]cli.Flag{
				text("store", "min-free", "1GiB", "`SIZE` that the unpacked database leaves free on the disk"),
				&cli.BoolFlag{
					Name: "restore", Category: "general", EnvVars: envVars("restore"),
					Usage: "also restore it for a test: start an etcd on it that nobody can reach, and compare what that holds",
				},
				fromFlag(fromLocal, "`PLACE`: local or s3"), outputFlag(),
			},
			dirFlags(), s3Flags()),
		Action: func(c *cli.Context) error { return verify(c, e) },
	}
}

// verified is what --output json shows of a snapshot that is whole.
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
	p, err := pick(c, e, free)
	if err != nil {
		return err
	}
	defer p.file.Close()
	bar := newProgress(e.stderr, "unpacking")
	r, err := snapshot.Verify(c.Context, p.file, p.scratch, free, bar.update)
	bar.done()
	if err != nil {
		return fmt.Errorf("verify %s: %w", p.name, err)
	}
	out := verified{
		File: p.name, Size: r.Size, Revision: r.Revision, Keys: r.Keys, Hash: fmt.Sprintf("%x", r.Hash), Manifest: r.Manifest,
	}
	if c.Bool("restore") {
		d, err := drillPicked(c, e, p, free)
		if err != nil {
			return err
		}
		out.Drill = &d
	}
	if asJSON {
		return printJSON(e.stdout, out)
	}
	if taken := r.Manifest.Name; taken != filepath.Base(p.name) {
		if _, err := fmt.Fprintf(e.stderr, "the file is a renamed copy of %s\n", taken); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintf(e.stdout, "%s is whole\n  revision %d, %d keys, hash %x, database %s, taken %s from etcd %s\n",
		p.name, r.Revision, r.Keys, r.Hash, size(r.Manifest.RawSize), r.Manifest.CreatedAt.UTC().Format("2006-01-02 15:04:05 UTC"), r.Manifest.EtcdVersion)
	if err != nil || out.Drill == nil {
		return err
	}
	return printDrill(e.stdout, *out.Drill)
}
