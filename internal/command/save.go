package command

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"etcd-rolling-backup/daemon"
	"etcd-rolling-backup/s3"
	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/member"
)

func saveCommand(e env) *cli.Command {
	return &cli.Command{
		Name: "save", Usage: "take one snapshot now; retention never removes it",
		Flags: group(
			[]cli.Flag{
				text("snapshot", "name", snapshot.ManualSet, "`LABEL` that begins the snapshot's name"),
				&cli.BoolFlag{Name: "no-mirror", Category: "snapshot", EnvVars: envVars("no-mirror"), Usage: "never bring this snapshot to the bucket"},
			},
			etcdFlags(), storeFlags(), s3Flags(), logFlags(), []cli.Flag{outputFlag()}),
		Action: func(c *cli.Context) error { return save(c, e) },
	}
}

func save(c *cli.Context, e env) error {
	if err := noArgs(c); err != nil {
		return err
	}
	asJSON, err := jsonOutput(c)
	if err != nil {
		return err
	}
	log, err := newLogger(c, e.stderr)
	if err != nil {
		return err
	}
	o, err := takeOptions(c, e.version)
	if err != nil {
		return err
	}
	o.Set = c.String("name")
	if err := snapshot.CheckPart("label", o.Set); err != nil {
		return usagef("--name: %w", err)
	}
	if strings.EqualFold(o.Set, snapshot.RollingSet) {
		return usagef("--name: %q is the daemon's own, which retention prunes: choose another label", o.Set)
	}
	if strings.EqualFold(o.Set, snapshot.Latest) {
		return usagef("--name: %q names the newest of all wherever a snapshot is asked for: choose another label", o.Set)
	}
	if _, err := etcdConfig(c); err != nil {
		return err
	}
	b, err := saveBucket(c)
	if err != nil {
		return err
	}
	if b != nil {
		defer b.Close()
	}
	dir, err := directory(c)
	if err != nil {
		return err
	}
	if err := dir.Prepare(); err != nil {
		return err
	}
	removed, err := dir.RemovePartials(c.Context)
	if err != nil {
		return err
	}
	if len(removed) > 0 {
		log.WithField("files", removed).Warn("removed partial snapshots of a run that was cut off")
	}
	bar := newProgress(e.stderr, "saving")
	o.Progress, o.LocalOnly = bar.update, c.Bool("no-mirror")
	t := &taker{connect: func() (member.Config, error) { return etcdConfig(c) }, role: daemon.RoleAny, dir: dir, options: o}
	taken, err := t.Take(c.Context, log, func() {})
	bar.done()
	if err != nil {
		return err
	}
	failed := saveMirror(c, e, dir, b, taken.Entry)
	if asJSON {
		return errors.Join(printJSON(e.stdout, snapshotRow(taken.Entry, taken.Manifest)), failed)
	}
	m := taken.Manifest
	_, err = fmt.Fprintf(e.stdout, "saved %s\n  revision %d, database %s, archive %s, took %s\n", filepath.Join(dir.Path(), taken.Name.String()),
		m.Revision, size(m.RawSize), size(taken.Size), (taken.Stream + taken.Sync).Round(time.Millisecond))
	if err == nil && failed == nil && b != nil {
		_, err = fmt.Fprintf(e.stdout, "  mirrored to s3://%s\n", c.String("s3-bucket"))
	}
	return errors.Join(err, failed)
}

// saveBucket is where the snapshot is brought, nil for nowhere. It is opened before anything is taken: somebody waits, who can mend
// a wrong file at once. No server is asked, for one that is away must not keep a snapshot from being taken.
func saveBucket(c *cli.Context) (*s3.Bucket, error) {
	if err := checkS3(c); err != nil || !hasBucket(c) || c.Bool("no-mirror") {
		return nil, err
	}
	return openBucket(c)
}

// saveMirror brings the new snapshot to the bucket, where there is one.
func saveMirror(c *cli.Context, e env, dir *snapshot.Dir, b *s3.Bucket, entry snapshot.Entry) error {
	if b == nil {
		return nil
	}
	bar := newProgress(e.stderr, "mirroring")
	err := daemon.MirrorOne(c.Context, dir, b, entry, daemon.MirrorOptions{
		Progress: func(_ snapshot.Name, done, total int64) { bar.update(done, total) },
	})
	bar.done()
	if err != nil {
		return halfDone{fmt.Errorf("the snapshot is safe here and not in the bucket: %w (once that is mended: mirror)", err)}
	}
	return nil
}
