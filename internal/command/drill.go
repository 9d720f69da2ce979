package command

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/urfave/cli/v2"

	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/drill"
)

// drillChild is what a drill's own process is started with. Nobody else has a use for it.
const drillChild = "drill-child"

func drillChildCommand(e env) *cli.Command {
	return &cli.Command{
		Name: drillChild, Hidden: true, Usage: "for the program's own use: one drill in a process of its own",
		Action: func(c *cli.Context) error { return drill.Main(c.Context, os.Stdin, e.stdout) },
	}
}

// startDrill does one drill on an open archive. The program is started from /proc/self/exe, which is this very program
// also when its file has been replaced by a newer one.
func startDrill(ctx context.Context, file *os.File, scratch *snapshot.Dir, minFree int64, progress func(drill.Step)) (drill.Result, error) {
	return drill.Start(ctx, drill.Child{
		Command: []string{"/proc/self/exe", drillChild}, File: file, Scratch: scratch, MinFree: minFree, Progress: progress,
	})
}

// drillPicked is the drill of verify --restore, with a bar while it unpacks.
func drillPicked(c *cli.Context, e env, p *picked, minFree int64) (drill.Result, error) {
	bar := newProgress(e.stderr, "restoring")
	defer bar.done()
	r, err := startDrill(c.Context, p.file, p.scratch, minFree, func(s drill.Step) {
		if s.Stage == drill.StageUnpack && s.Total > 0 {
			bar.update(s.Done, s.Total)
		}
	})
	if err != nil {
		return r, fmt.Errorf("restore %s for a test: %w", p.name, err)
	}
	return r, nil
}

func printDrill(w io.Writer, r drill.Result) error {
	_, err := fmt.Fprintf(w, "  restored for a test: etcd %s held all %d keys at revision %d, HashKV %d as in the snapshot, took %s\n",
		r.EtcdVersion, r.Keys, r.Revision, r.HashKV, r.Took.All().Round(time.Millisecond))
	return err
}
