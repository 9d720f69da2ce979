package command

import (
	"context"
	"errors"
	"slices"

	"github.com/urfave/cli/v2"

	"etcd-rolling-backup/daemon/mirror"
	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/internal/service"
	"etcd-rolling-backup/snapshot"
)

func mirrorCommand(e env) *cli.Command {
	return &cli.Command{
		Name: "mirror", Usage: "bring the bucket in sync once: upload what is missing, remove what its policy does not keep",
		Flags: slices.Concat(config.S3Flags(), config.S3PolicyFlags(), config.PolicyFlags(), config.DirFlags(), config.NodeFlags(),
			[]cli.Flag{config.JournalKeepFlag(), config.ClusterFlag(), config.OutputFlag()}),
		Action: e.action(0, mirrorSnapshots),
	}
}

// manualMirror returns the options of a mirror pass for one cluster.
func manualMirror(ctx context.Context, c *call) (mirror.Options, error) {
	o := service.ManualMirrorOptions(c.cfg)
	id, err := config.ReadCluster(c.Context)
	if err != nil || c.cfg.S3 == nil {
		return o, err // without a bucket, opening it reports that
	}
	l, err := service.ManualLineage(ctx, c.cfg, id, true)
	o.Lineage = func() snapshot.Lineage { return l }
	return o, err
}

// mirrored is what --output json shows of a pass.
type mirrored struct {
	Uploaded []snapshot.Name `json:"uploaded"`
	Removed  []snapshot.Name `json:"removed"`
	Waiting  int             `json:"waiting"`
	Locked   int             `json:"locked"`
	Swept    int             `json:"swept"`

	Segments segmentsMirrored `json:"journal"`
}

// segmentsMirrored are the segments of the journal, which may be thousands.
type segmentsMirrored struct {
	Uploaded int `json:"uploaded"`
	Removed  int `json:"removed"`
	Waiting  int `json:"waiting"`
}

func mirrorSnapshots(ctx context.Context, c *call) error {
	o, err := manualMirror(ctx, c)
	if err != nil {
		return err
	}
	var bar *progress
	var shown snapshot.Name
	o.Progress = func(n snapshot.Name, done, total int64) {
		if n != shown {
			bar.done()
			bar, shown = newProgress(c.stderr, n.String()), n
		}
		bar.update(done, total)
	}
	bucket := service.Noticing(c.cfg.S3, service.NewLogger(c.cfg.Log, c.stderr))
	done, failed := service.MirrorOnce(ctx, bucket, snapshot.NewDir(c.cfg.Store.Dir), o)
	bar.done()
	var segments mirror.Uploaded
	if done.Listed {
		var err error
		segments, err = service.MirrorSegments(ctx, bucket, snapshot.NewDir(c.cfg.Store.Dir), o.Journal)
		failed = errors.Join(failed, err)
	}
	if failed != nil && len(segments.Segments)+len(done.Segments)+len(done.Uploaded)+len(done.Removed)+done.Pending+done.Locked+done.Swept == 0 {
		return failed
	}
	m := mirrored{Uploaded: append([]snapshot.Name{}, done.Uploaded...), Removed: append([]snapshot.Name{}, done.Removed...), Waiting: done.Pending, Locked: done.Locked, Swept: done.Swept}
	m.Segments = segmentsMirrored{Uploaded: len(segments.Segments), Removed: len(done.Segments), Waiting: segments.Pending}
	// What was done before something failed is shown all the same.
	return errors.Join(c.show(m, func(out *printer) {
		for _, n := range m.Uploaded {
			out.line("uploaded %s", n)
		}
		for _, n := range m.Removed {
			out.line("removed %s", n)
		}
		for _, n := range done.Taken {
			out.line("warning: the bucket had something else under the name of %s: somebody else stores there, or S3 has lost a part of an upload", n)
		}
		out.line("%d uploaded, %d waiting, %d removed, %d held by a lock, %d unfinished uploads swept", len(m.Uploaded), m.Waiting, len(m.Removed), m.Locked, m.Swept)
		if m.Segments != (segmentsMirrored{}) {
			out.line("journal: %d segments uploaded, %d waiting, %d removed", m.Segments.Uploaded, m.Segments.Waiting, m.Segments.Removed)
		}
	}), failed)
}
