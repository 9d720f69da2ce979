package command

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/urfave/cli/v2"

	"etcd-rolling-backup/internal/service"
	"etcd-rolling-backup/internal/source"
	"etcd-rolling-backup/snapshot/drill"
)

// drillChildCommand is for the process that a drill starts; people have no use for it.
func drillChildCommand(e env) *cli.Command {
	return &cli.Command{
		Name: service.DrillChild, Hidden: true, Usage: "for the program's own use: one drill in a process of its own",
		Action: func(c *cli.Context) error { return drill.Main(c.Context, os.Stdin, e.stdout) },
	}
}

// drillOpened is the drill of verify --restore, with a bar while it unpacks.
func drillOpened(ctx context.Context, e env, p *source.Opened, minFree int64) (drill.Result, error) {
	bar := newProgress(e.stderr, "restoring")
	defer bar.done()
	r, err := service.StartDrill(ctx, p.File, p.Scratch, minFree, func(s drill.Step) {
		if s.Stage == drill.StageUnpack && s.Total > 0 {
			bar.update(s.Done, s.Total)
		}
	})
	if err != nil {
		return r, fmt.Errorf("restore %s as a test: %w", p.Name, err)
	}
	return r, nil
}

func printDrill(w io.Writer, r drill.Result) error {
	_, err := fmt.Fprintf(w, "  restored as a test: etcd %s has all %d keys at revision %d, HashKV %d as in the snapshot, took %s\n",
		r.EtcdVersion, r.Keys, r.Revision, r.HashKV, r.Took.All().Round(time.Millisecond))
	return err
}
