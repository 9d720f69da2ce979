package command

import (
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"etcd-rolling-backup/daemon"
	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/member"
)

func saveCommand(e env) *cli.Command {
	return &cli.Command{
		Name: "save", Usage: "take one snapshot now; retention never removes it",
		Flags: group(
			[]cli.Flag{text("snapshot", "name", snapshot.ManualSet, "`LABEL` that begins the snapshot's name")},
			etcdFlags(), storeFlags(), logFlags(), []cli.Flag{outputFlag()}),
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
	if _, err := etcdConfig(c); err != nil {
		return err
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
	o.Progress = bar.update
	t := &taker{connect: func() (member.Config, error) { return etcdConfig(c) }, role: daemon.RoleAny, dir: dir, options: o}
	taken, err := t.Take(c.Context, func() {})
	bar.done()
	if err != nil {
		return err
	}
	if asJSON {
		return printJSON(e.stdout, snapshotRow(taken.Entry, taken.Manifest))
	}
	m := taken.Manifest
	_, err = fmt.Fprintf(e.stdout, "saved %s\n  revision %d, database %s, archive %s, took %s\n", filepath.Join(dir.Path(), taken.Name.String()),
		m.Revision, size(m.RawSize), size(taken.Size), (taken.Stream + taken.Sync).Round(time.Millisecond))
	return err
}
