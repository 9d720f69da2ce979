package command

import (
	"errors"

	"github.com/urfave/cli/v2"

	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/internal/service"
	"etcd-rolling-backup/snapshot"
)

func mirrorCommand(e env) *cli.Command {
	return &cli.Command{
		Name: "mirror", Usage: "bring the bucket in sync once: upload what is missing, remove what its policy does not keep",
		Flags: config.Flags(config.S3Flags(), config.S3PolicyFlags(), config.PolicyFlags(), config.DirFlags(), config.NodeFlags(),
			[]cli.Flag{config.OutputFlag()}),
		Action: func(c *cli.Context) error { return mirror(c, e) },
	}
}

// mirrored is what --output json shows of a pass.
type mirrored struct {
	Uploaded []snapshot.Name `json:"uploaded"`
	Removed  []snapshot.Name `json:"removed"`
	Waiting  int             `json:"waiting"`
	Locked   int             `json:"locked"`
	Swept    int             `json:"swept"`
}

func mirror(c *cli.Context, e env) error {
	cfg, asJSON, err := settings(c)
	if err != nil {
		return err
	}
	o := service.MirrorOptions(cfg)
	var bar *progress
	var shown snapshot.Name
	o.Progress = func(n snapshot.Name, done, total int64) {
		if n != shown {
			bar.done()
			bar, shown = newProgress(e.stderr, n.String()), n
		}
		bar.update(done, total)
	}
	done, failed := service.MirrorOnce(c.Context, cfg.S3, snapshot.NewDir(cfg.Store.Dir), o)
	bar.done()
	if failed != nil && len(done.Uploaded)+len(done.Removed)+done.Waiting+done.Locked+done.Swept == 0 {
		return failed
	}
	out := mirrored{Uploaded: append([]snapshot.Name{}, done.Uploaded...), Removed: append([]snapshot.Name{}, done.Removed...), Waiting: done.Waiting, Locked: done.Locked, Swept: done.Swept}
	// What was done before something failed is shown all the same.
	if asJSON {
		return errors.Join(printJSON(e.stdout, out), failed)
	}
	return errors.Join(out.print(e), failed)
}

func (m mirrored) print(e env) error {
	out := &printer{w: e.stdout}
	for _, n := range m.Uploaded {
		out.line("uploaded %s", n)
	}
	for _, n := range m.Removed {
		out.line("removed %s", n)
	}
	out.line("%d uploaded, %d waiting, %d removed, %d held by a lock, %d unfinished uploads swept", len(m.Uploaded), m.Waiting, len(m.Removed), m.Locked, m.Swept)
	return out.err
}
