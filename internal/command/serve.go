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

	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/input"
	"etcd-rolling-backup/snapshot/peer"
)

func serveCommand(e env) *cli.Command {
	return &cli.Command{
		Name: "serve", Usage: "give one snapshot to the other members over mutual TLS, so that all restore the same bytes",
		ArgsUsage: "[SNAPSHOT]   latest (default), a name, a label, or a file's path",
		Flags: group(
			[]cli.Flag{
				text("serve", "serve-on", ":2380", "`ADDRESS` to listen on; etcd's peer port is open between members, and free while etcd is stopped"),
				text("serve", "for", "1h", "end after `DURATION`"),
				text("store", "min-free", "1GiB", "`SIZE` that a snapshot from the bucket leaves free on the disk"),
				fromFlag(fromLocal, "`PLACE`: local or s3"),
			},
			certificateFlags(), dirFlags(), s3Flags(), logFlags()),
		Action: func(c *cli.Context) error { return serve(c, e) },
	}
}

func serve(c *cli.Context, e env) error {
	if err := oneSnapshot(c); err != nil {
		return err
	}
	log, err := newLogger(c, e.stderr)
	if err != nil {
		return err
	}
	id, err := identity(c)
	if err != nil {
		return err
	}
	last, err := positive(c, "for")
	if err != nil {
		return err
	}
	free, err := minFree(c)
	if err != nil {
		return err
	}
	p, err := pick(c, e, free)
	if err != nil {
		return err
	}
	defer p.file.Close()
	a, err := provenArchive(c.Context, p)
	if err != nil {
		return fmt.Errorf("serve %s: %w", p.name, err)
	}
	return offer(c.Context, e, offering{archive: a, file: p.file, id: id, address: c.String("serve-on"), last: last, log: log})
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
	if err := o.id.CheckServer(); err != nil { // before anything says that it serves
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

// provenArchive refuses what the others could not prove: they rely on the digests in it.
func provenArchive(ctx context.Context, p *picked) (*snapshot.Archive, error) {
	info, err := p.file.Stat()
	if err != nil {
		return nil, err
	}
	in, err := input.Open(p.file, info.Size())
	if err == nil && in.Form != input.FormArchive && in.Form != input.FormZstd { // the latter may be an archive that is cut off
		return nil, usagef("it is no archive of this program but a %s, which the others can't prove: copy it to them", in.Form)
	}
	a, err := snapshot.OpenArchive(p.file, info.Size())
	if err != nil {
		return nil, err
	}
	return a, a.Prove(ctx)
}

// addressOf is what others may reach the listener by: its own address, or HOST where it listens on all.
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
		log.WithError(ev.Err).Warn("refused a connection")
	case ev.Err != nil:
		log.WithError(ev.Err).WithFields(logrus.Fields{"path": ev.Path, "bytes": ev.Bytes}).Warn("answer broke off")
	case ev.Status >= 400:
		log.WithFields(logrus.Fields{"method": ev.Method, "path": ev.Path, "status": ev.Status}).Warn("refused a request")
	default:
		log.WithFields(logrus.Fields{"path": ev.Path, "bytes": ev.Bytes, "duration_seconds": ev.Took.Round(time.Millisecond).Seconds()}).Info("answered")
	}
}
