package command

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/urfave/cli/v2"

	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/internal/service"
	"etcd-rolling-backup/internal/source"
	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/input"
	"etcd-rolling-backup/snapshot/peer"
)

func serveCommand(e env) *cli.Command {
	return &cli.Command{
		Name: "serve", Usage: "serve one snapshot to the other members over mutual TLS, so that all restore the same bytes",
		ArgsUsage: "[SNAPSHOT]   latest (default), a name, a label, or a file's path",
		Flags: slices.Concat([]cli.Flag{
			config.Text("serve", "serve-on", ":2380", "`ADDRESS` to listen on; etcd's peer port is open between members, and free while etcd is stopped"),
			config.Text("serve", "for", "1h", "exit after `DURATION`"),
			config.MinFreeFlag("a snapshot from the bucket"),
			config.Text("store", "from", "", "`PLACE`: local or s3 (default: both, the newer snapshot)"),
		}, config.CertificateFlags(), config.DirFlags(), config.S3Flags(), config.LogFlags()),
		Action: e.action(1, serve),
	}
}

func serve(ctx context.Context, c *call) error {
	id, err := c.cfg.Etcd.Identity()
	if err != nil {
		return err
	}
	last, err := config.Positive(c.Context, "for")
	if err != nil {
		return err
	}
	p, err := openStored(ctx, c, false)
	if err != nil {
		return err
	}
	defer p.File.Close()
	a, err := verifiedArchive(ctx, p)
	if err != nil {
		return c.orInstead(ctx, fmt.Errorf("serve %s: %w", p.Name, err), p.Snapshot, p.From, config.Place(c.String("from")))
	}
	if err := id.CheckServer(); err != nil { // before serving is announced
		return err
	}
	given := c.String("serve-on")
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", given)
	if err != nil {
		return fmt.Errorf("%w (--serve-on: a free port of this node)", err)
	}
	ctx, cancel := context.WithTimeout(ctx, last)
	defer cancel()
	name := cmp.Or(a.Manifest.Name, p.Snapshot.String()) // a renamed archive has its own
	out := &printer{w: c.stdout}
	out.line("serving %s on %s until %s", name, l.Addr(), time.Now().Add(last).Format(time.TimeOnly))
	out.line("  on the other members, with etcd stopped, and with the flags that restore printed for them:")
	for _, command := range c.fetchCommands(ctx, a.Manifest.Members, l, given) {
		out.line("    %s", command)
	}
	if out.err != nil {
		return errors.Join(out.err, l.Close())
	}
	log := service.NewLogger(c.cfg.Log, c.stderr)
	return peer.Serve(ctx, l, id, peer.Offer{Name: name, Archive: p.File, Size: a.Size}, func(ev peer.Event) { service.LogPeerEvent(log, ev) })
}

// verifiedArchive refuses what the other members could not verify: they need the digests in it.
func verifiedArchive(ctx context.Context, p *source.Opened) (*snapshot.Archive, error) {
	in, err := openInput(p)
	switch {
	case err != nil:
		return nil, err
	case in.Damage != nil:
		return nil, in.Damage
	case in.Manifest == nil && in.Form == input.FormZip && !p.Snapshot.Zip():
		return nil, config.Usagef("a zip is served under its own name: rename it to NAME.zip")
	case in.Manifest == nil && in.Form != input.FormZip && in.Form != input.FormZstd: // the latter may be an archive that is cut off
		return nil, config.Usagef("neither an archive of this program nor a zip but a %s, which the other members cannot verify: copy it to them", in.Form)
	}
	info, err := p.File.Stat()
	if err != nil {
		return nil, err
	}
	a, err := snapshot.OpenNamed(p.Snapshot, p.File, info.Size())
	if err != nil {
		return nil, err
	}
	return a, a.VerifyChecksum(ctx)
}
