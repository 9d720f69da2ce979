package command

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize/english"
	"github.com/urfave/cli/v2"

	"etcd-rolling-backup/daemon/mirror"
	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/internal/service"
	"etcd-rolling-backup/internal/source"
	"etcd-rolling-backup/s3"
	"etcd-rolling-backup/snapshot"
)

const saveName = "save"

func saveCommand(e env) *cli.Command {
	return &cli.Command{
		Name: saveName, Usage: "take one snapshot now; without --rolling, retention never removes it",
		Flags: slices.Concat([]cli.Flag{
			config.Text("snapshot", "label", snapshot.ManualSet, "`LABEL` that the snapshot's name begins with"),
			config.Deprecated("name", "label"),
			config.Bool("snapshot", "rolling", "take it as the daemon does: prune applies the retention policy to it"),
			config.Bool("snapshot", "no-mirror", "never upload this snapshot to the bucket"),
		}, config.EtcdFlags(), config.StoreFlags(), config.S3Flags(), config.LogFlags(), []cli.Flag{config.OutputFlag()}),
		Action: e.action(0, save),
	}
}

func save(ctx context.Context, c *call) error {
	cfg := c.cfg
	label, err := saveLabel(c)
	if err != nil {
		return err
	}
	// Opened before anything is taken, for a wrong file can be fixed immediately. Nobody is asked: an S3 that is down must not prevent it.
	var b *s3.Bucket
	if cfg.S3 != nil && !c.Bool("no-mirror") {
		if b, err = source.OpenBucket(service.Noticing(cfg.S3, service.NewLogger(cfg.Log, c.stderr))); err != nil {
			return err
		}
		defer b.Close()
	}
	bar := newProgress(c.stderr, "saving")
	taken, err := service.Save(ctx, cfg, snapshot.TakeOptions{
		Set: label, Node: cfg.Store.Node, ToolVersion: c.version, LocalOnly: c.Bool("no-mirror"),
		MinFree: cfg.Store.MinFree, Stall: cfg.Etcd.Stall, Progress: bar.update,
	}, service.NewLogger(cfg.Log, c.stderr))
	bar.done()
	if err != nil {
		return err
	}
	failed := saveMirror(ctx, c, b, taken.Entry)
	m := taken.Manifest
	c.warnOfState(m)
	return errors.Join(c.show(snapshotRow(taken.Entry, m), func(out *printer) {
		out.line("saved %s", filepath.Join(cfg.Store.Dir, taken.Name.String()))
		out.line("  revision %d, database %s, archive %s, took %s", m.Revision, size(m.RawSize), size(taken.Size), (taken.Stream + taken.Sync).Round(time.Millisecond))
		if failed == nil && b != nil {
			out.line("  mirrored to %s", cfg.S3.Place())
		}
	}), failed)
}

// warnOfState says what the manifest records of a member that is not well, because a snapshot by hand is often the last before a restore.
func (c *call) warnOfState(m snapshot.Manifest) {
	if !m.Healthy {
		c.warn("the member knows no leader: the cluster may have lost its quorum, and another member may have newer writes: " +
			"save on each member that runs, and use the snapshot with the highest revision")
	}
	if alarms := slices.Compact(slices.Sorted(slices.Values(m.Alarms))); len(alarms) > 0 { // one of each member
		c.warn("etcd has the alarm %s: etcdctl alarm list shows where", english.WordSeries(alarms, "and"))
	}
}

// saveLabel is what the snapshot's name begins with.
func saveLabel(c *call) (string, error) {
	label, deprecated := c.String("label"), c.IsSet("name") && !c.IsSet("label")
	if c.Bool("rolling") {
		if c.IsSet("label") || c.IsSet("name") {
			return "", config.Usagef("--rolling and --label exclude each other: retention never removes a snapshot with a label")
		}
		return snapshot.RollingSet, nil
	}
	if deprecated {
		label = c.String("name")
	}
	if err := checkLabel(label); err != nil {
		return "", err
	}
	if deprecated {
		fmt.Fprintln(c.stderr, program+": save --name and ETCD_BACKUP_NAME are deprecated for the label: use --label or ETCD_BACKUP_LABEL")
	}
	return label, nil
}

// checkLabel refuses labels that mean something else where a snapshot is asked for, or that retention prunes.
func checkLabel(label string) error {
	if err := snapshot.CheckPart("label", label); err != nil {
		return config.Usagef("--label: %w", err)
	}
	if strings.EqualFold(label, snapshot.RollingSet) {
		return config.Usagef("--label: %q is reserved for snapshots that retention prunes: choose another label, or use --rolling", label)
	}
	if strings.EqualFold(label, snapshot.Latest) {
		return config.Usagef("--label: %q means the newest of all wherever a snapshot is asked for: choose another label", label)
	}
	return nil
}

// saveMirror uploads the new snapshot to the bucket, if there is one.
func saveMirror(ctx context.Context, c *call, b *s3.Bucket, entry snapshot.Entry) error {
	if b == nil {
		return nil
	}
	bar := newProgress(c.stderr, "mirroring")
	defer bar.done()
	err := mirror.Upload(ctx, snapshot.NewDir(c.cfg.Store.Dir), b, entry, false, func(_ snapshot.Name, done, total int64) { bar.update(done, total) })
	if err != nil {
		return partialError{fmt.Errorf("the snapshot is safe here but not in the bucket: %w (once that is fixed, run: mirror)", err)}
	}
	return nil
}
