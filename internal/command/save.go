package command

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"etcd-rolling-backup/daemon"
	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/internal/service"
	"etcd-rolling-backup/internal/source"
	"etcd-rolling-backup/s3"
	"etcd-rolling-backup/snapshot"
)

func saveCommand(e env) *cli.Command {
	return &cli.Command{
		Name: "save", Usage: "take one snapshot now; retention never removes it",
		Flags: config.Flags(
			[]cli.Flag{
				config.Text("snapshot", "name", snapshot.ManualSet, "`LABEL` that the snapshot's name begins with"),
				config.Bool("snapshot", "no-mirror", "never upload this snapshot to the bucket"),
			},
			config.EtcdFlags(), config.StoreFlags(), config.S3Flags(), config.LogFlags(), []cli.Flag{config.OutputFlag()}),
		Action: func(c *cli.Context) error { return save(c, e) },
	}
}

func save(c *cli.Context, e env) error {
	cfg, asJSON, err := settings(c)
	if err != nil {
		return err
	}
	label := c.String("name")
	if err := checkLabel(label); err != nil {
		return err
	}
	b, err := saveBucket(cfg.S3, c.Bool("no-mirror"))
	if err != nil {
		return err
	}
	if b != nil {
		defer b.Close()
	}
	bar := newProgress(e.stderr, "saving")
	taken, err := service.Save(c.Context, cfg, snapshot.TakeOptions{
		Set: label, Node: cfg.Store.Node, ToolVersion: e.version, LocalOnly: c.Bool("no-mirror"),
		MinFree: cfg.Store.MinFree, Stall: cfg.Etcd.Stall, Progress: bar.update,
	}, service.NewLogger(cfg.Log, e.stderr))
	bar.done()
	if err != nil {
		return err
	}
	failed := saveMirror(c.Context, e, cfg.Store.Dir, b, taken.Entry)
	if asJSON {
		return errors.Join(printJSON(e.stdout, snapshotRow(taken.Entry, taken.Manifest)), failed)
	}
	m := taken.Manifest
	out := &printer{w: e.stdout}
	out.line("saved %s", filepath.Join(cfg.Store.Dir, taken.Name.String()))
	out.line("  revision %d, database %s, archive %s, took %s", m.Revision, size(m.RawSize), size(taken.Size), (taken.Stream + taken.Sync).Round(time.Millisecond))
	if failed == nil && b != nil {
		out.line("  mirrored to s3://%s", cfg.S3.Bucket)
	}
	return errors.Join(out.err, failed)
}

// checkLabel refuses labels that mean something else where a snapshot is asked for, or that retention prunes.
func checkLabel(label string) error {
	if err := snapshot.CheckPart("label", label); err != nil {
		return config.Usagef("--name: %w", err)
	}
	if strings.EqualFold(label, snapshot.RollingSet) {
		return config.Usagef("--name: %q is reserved for the daemon, whose snapshots retention prunes: choose another label", label)
	}
	if strings.EqualFold(label, snapshot.Latest) {
		return config.Usagef("--name: %q means the newest of all wherever a snapshot is asked for: choose another label", label)
	}
	return nil
}

// saveBucket is where the snapshot is uploaded to, nil for nowhere. It is opened before anything is taken: somebody waits, who can fix
// a wrong file immediately. No server is asked, for one that is down must not prevent a snapshot.
func saveBucket(b *s3.Config, noMirror bool) (*s3.Bucket, error) {
	if b == nil || noMirror {
		return nil, nil //nolint:nilnil // no bucket is no error
	}
	return source.OpenBucket(b)
}

// saveMirror uploads the new snapshot to the bucket, if there is one.
func saveMirror(ctx context.Context, e env, dir string, b *s3.Bucket, entry snapshot.Entry) error {
	if b == nil {
		return nil
	}
	bar := newProgress(e.stderr, "mirroring")
	err := daemon.MirrorOne(ctx, snapshot.NewDir(dir), b, entry, daemon.MirrorOptions{
		Progress: func(_ snapshot.Name, done, total int64) { bar.update(done, total) },
	})
	bar.done()
	if err != nil {
		return partialError{fmt.Errorf("the snapshot is safe here but not in the bucket: %w (once that is fixed, run: mirror)", err)}
	}
	return nil
}
