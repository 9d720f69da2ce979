package command

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/urfave/cli/v2"

	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/internal/service"
	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/input"
	"etcd-rolling-backup/snapshot/peer"
)

func serveCommand(e env) *cli.Command {
	return &cli.Command{
		Name: "serve", Usage: "serve one snapshot to the other members over mutual TLS, so that all restore the same bytes",
		ArgsUsage: "[SNAPSHOT]   latest (default), a name, a label, or a file's path",
		Flags: config.Flags(
			[]cli.Flag{
				config.Text("serve", "serve-on", ":2380", "`ADDRESS` to listen on; etcd's peer port is open between members, and free while etcd is stopped"),
				config.Text("serve", "for", "1h", "exit after `DURATION`"),
				config.MinFreeFlag("a snapshot from the bucket"),
				config.FromFlag("store", config.Local, "`PLACE`: local or s3"),
			},
			config.CertificateFlags(), config.DirFlags(), config.S3Flags(), config.LogFlags()),
		Action: func(c *cli.Context) error { return serve(c, e) },
	}
}

func serve(c *cli.Context, e env) error {
	cfg, ref, _, err := settingsFor(c)
	if err != nil {
		return err
	}
	id, err := cfg.Etcd.Identity()
	if err != nil {
		return err
	}
	last, err := config.Positive(c, "for")
	if err != nil {
		return err
	}
	p, err := openStored(c, e, cfg, ref)
	if err != nil {
		return err
	}
	defer p.File.Close()
	a, err := verifiedArchive(c.Context, p.File)
	if err != nil {
		return fmt.Errorf("serve %s: %w", p.Name, err)
	}
	return offer(c.Context, e, offering{archive: a, file: p.File, id: id, address: c.String("serve-on"), last: last, log: service.NewLogger(cfg.Log, e.stderr)})
}

// offering is what is served, and how.
type offering struct {
	archive *snapshot.Archive
	file    *os.File
	id      peer.Identity
	address string
	last    time.Duration
	log     logrus.FieldLogger
}

func offer(ctx context.Context, e env, o offering) error {
	if err := o.id.CheckServer(); err != nil { // before serving is announced
		return err
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", o.address)
	if err != nil {
		return fmt.Errorf("%w (--serve-on: a free port of this node)", err)
	}
	ctx, cancel := context.WithTimeout(ctx, o.last)
	defer cancel()
	host, port := addressOf(l, o.address)
	name := o.archive.Manifest.Name
	out := &printer{w: e.stdout}
	out.line("serving %s on %s until %s", name, l.Addr(), time.Now().Add(o.last).Format(time.TimeOnly))
	out.line("  on the other members: etcd-rolling-backup restore --peer %s --name NAME --cacert CA --cert CERT --key KEY", net.JoinHostPort(host, port))
	if out.err != nil {
		return errors.Join(out.err, l.Close())
	}
	return peer.Serve(ctx, l, o.id, peer.Offer{Name: name, Archive: o.file, Size: o.archive.Size}, func(ev peer.Event) { logEvent(o.log, ev) })
}

// verifiedArchive refuses what the other members could not verify: they need the digests in it.
func verifiedArchive(ctx context.Context, file *os.File) (*snapshot.Archive, error) {
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	in, err := input.Open(file, info.Size())
	if err == nil && in.Form != input.FormArchive && in.Form != input.FormZstd { // the latter may be an archive that is cut off
		return nil, config.Usagef("not an archive of this program but a %s, which the other members cannot verify: copy it to them", in.Form)
	}
	a, err := snapshot.OpenArchive(file, info.Size())
	if err != nil {
		return nil, err
	}
	return a, a.VerifyChecksum(ctx)
}

// addressOf is where others reach the listener: its own address, or HOST if it listens on all of them.
func addressOf(l net.Listener, given string) (host, port string) {
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		return given, "" // every TCP listener has a port
	}
	host, _, err = net.SplitHostPort(given)
	if err != nil || host == "" || net.ParseIP(host).IsUnspecified() {
		host = "HOST"
	}
	return host, port
}

func logEvent(log logrus.FieldLogger, ev peer.Event) {
	log = log.WithFields(logrus.Fields{"from": ev.Remote, "client": ev.Client})
	switch {
	case ev.Err != nil && ev.Path == "":
		log.WithError(ev.Err).Warn("connection refused")
	case ev.Err != nil:
		log.WithError(ev.Err).WithFields(logrus.Fields{"path": ev.Path, "bytes": ev.Bytes}).Warn("response aborted")
	case ev.Status >= 400:
		log.WithFields(logrus.Fields{"method": ev.Method, "path": ev.Path, "status": ev.Status}).Warn("request refused")
	default:
		log.WithFields(logrus.Fields{"path": ev.Path, "bytes": ev.Bytes, "duration_seconds": ev.Took.Round(time.Millisecond).Seconds()}).Info("answered")
	}
}
