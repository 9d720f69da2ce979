package command

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"etcd-rolling-backup/snapshot"
)

func verifyCommand(e env) *cli.Command {
	return &cli.Command{
		Name: "verify", Usage: "prove a snapshot whole: zstd data, digests, every page of the database",
		ArgsUsage: "[SNAPSHOT]   latest (default), a name, a label, or a file's path",
		Flags: group(
			[]cli.Flag{
				text("store", "min-free", "1GiB", "`SIZE` that the unpacked database leaves free on the disk"),
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
}

func verify(c *cli.Context, e env) error {
	if c.NArg() > 1 {
		return usagef("verify takes one snapshot, and %d were given", c.NArg())
	}
	asJSON, err := jsonOutput(c)
	if err != nil {
		return err
	}
	free, err := minFree(c)
	if err != nil {
		return err
	}
	local, remote, err := places(c)
	if err != nil {
		return err
	}
	if local && remote {
		return usagef("--from: verify takes one snapshot from one place: local or s3")
	}
	var f *os.File
	var scratch *snapshot.Dir
	var name string
	if remote {
		f, scratch, name, err = fetchSnapshot(c, e, free)
	} else if f, scratch, err = openSnapshot(c); err == nil {
		name = f.Name()
	}
	if err != nil {
		return err
	}
	defer f.Close()
	bar := newProgress(e.stderr, "unpacking")
	r, err := snapshot.Verify(c.Context, f, scratch, free, bar.update)
	bar.done()
	if err != nil {
		return fmt.Errorf("verify %s: %w", name, err)
	}
	if asJSON {
		return printJSON(e.stdout, verified{
			File: name, Size: r.Size, Revision: r.Revision, Keys: r.Keys, Hash: fmt.Sprintf("%x", r.Hash), Manifest: r.Manifest,
		})
	}
	if taken := r.Manifest.Name; taken != filepath.Base(name) {
		if _, err := fmt.Fprintf(e.stderr, "the file is a renamed copy of %s\n", taken); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintf(e.stdout, "%s is whole\n  revision %d, %d keys, hash %x, database %s, taken %s from etcd %s\n",
		name, r.Revision, r.Keys, r.Hash, size(r.Manifest.RawSize), r.Manifest.CreatedAt.Format("2006-01-02 15:04:05 UTC"), r.Manifest.EtcdVersion)
	return err
}

// fetchSnapshot brings what the first argument names in the bucket into a nameless file, whose disk is that of --dir
// where there is one, else of the temporary files.
func fetchSnapshot(c *cli.Context, e env, free int64) (*os.File, *snapshot.Dir, string, error) {
	b, err := openBucket(c)
	if err != nil {
		return nil, nil, "", err
	}
	defer b.Close()
	entry, err := findRemote(c, b)
	if err != nil {
		return nil, nil, "", err
	}
	dir, err := directory(c)
	if err != nil {
		return nil, nil, "", err
	}
	scratch := scratchFor(dir.Path())
	body, bytes, err := b.Get(c.Context, entry.Name)
	if err != nil {
		return nil, nil, "", err
	}
	defer body.Close()
	bar := newProgress(e.stderr, "downloading")
	f, err := scratch.Fetch(c.Context, body, bytes, free, bar.update)
	bar.done()
	return f, scratch, entry.Name.String(), err
}

// openSnapshot opens what the first argument names. The scratch directory is the one that the file lies in where
// that can be written, for snapshots are large and /tmp may be small.
func openSnapshot(c *cli.Context) (*os.File, *snapshot.Dir, error) {
	ref := c.Args().First()
	if ref == "" {
		ref = snapshot.Latest
	}
	if strings.ContainsRune(ref, filepath.Separator) {
		// Before opening it, which would wait for ever for a pipe's other end.
		info, err := os.Stat(ref)
		if err == nil && !info.Mode().IsRegular() {
			err = usagef("%s is not a file", ref)
		}
		if err != nil {
			return nil, nil, err
		}
		f, err := os.Open(ref)
		return f, scratchFor(filepath.Dir(ref)), err
	}
	dir, err := directory(c)
	if err != nil {
		return nil, nil, err
	}
	l, err := dir.List()
	if err != nil {
		return nil, nil, err
	}
	entry, err := l.Find(ref, time.Now())
	if err != nil {
		if ref != snapshot.Latest {
			err = fmt.Errorf("%w (a file elsewhere: give its path with a slash in it)", err)
		}
		return nil, nil, fmt.Errorf("look into %s: %w", dir.Path(), err)
	}
	f, err := dir.File(entry.Name)
	return f, scratchFor(dir.Path()), err
}

func scratchFor(path string) *snapshot.Dir {
	if dir := snapshot.NewDir(path); dir.Writable() == nil {
		return dir
	}
	return snapshot.NewDir(os.TempDir())
}
