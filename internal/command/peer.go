package command

import (
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/urfave/cli/v2"

	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/peer"
)

// identity is what a member shows to the others: etcd's own certificate.
func identity(c *cli.Context) (peer.Identity, error) {
	id := peer.Identity{CACert: c.String("cacert"), Cert: c.String("cert"), Key: c.String("key")}
	if id.CACert == "" || id.Cert == "" || id.Key == "" {
		return id, usagef("members know each other by certificates: give --cacert, --cert and --key, etcd's own")
	}
	return id, nil
}

// offered is the snapshot that a peer serves.
type offered struct {
	client *peer.Client
	remote peer.Remote
	entry  snapshot.Entry
}

// findPeer asks the peer for its snapshot, which must be the one that the first argument names.
func findPeer(c *cli.Context) (*offered, error) {
	id, err := identity(c)
	if err != nil {
		return nil, err
	}
	client, err := peer.Dial(id, c.String("peer"))
	if err != nil {
		return nil, err
	}
	r, err := client.Offer(c.Context)
	if err != nil {
		return nil, err
	}
	n, err := snapshot.ParseName(r.Name)
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", c.String("peer"), err)
	}
	one := snapshot.Listing{Snapshots: []snapshot.Entry{{Name: n, Size: r.Size}}}
	entry, err := one.Find(reference(c), time.Now())
	if err != nil {
		return nil, fmt.Errorf("ask %s, which serves %s: %w", c.String("peer"), n, err)
	}
	return &offered{client: client, remote: r, entry: entry}, nil
}

// read hands the snapshot's bytes to keep, behind a bar.
func (o *offered) read(c *cli.Context, e env, keep func(body io.Reader, bytes int64, progress func(done, total int64)) error) error {
	body, err := o.client.Get(c.Context, o.remote)
	if err != nil {
		return err
	}
	defer body.Close()
	bar := newProgress(e.stderr, "downloading")
	err = keep(body, o.remote.Size, bar.update)
	bar.done()
	if err != nil {
		return fmt.Errorf("download %s from %s: %w", o.entry.Name, c.String("peer"), err)
	}
	return nil
}

// pickPeer brings it to the disk that it is restored to.
func pickPeer(c *cli.Context, e env) (*picked, error) {
	o, err := findPeer(c)
	if err != nil {
		return nil, err
	}
	return fetchTo(c, e, o.entry.Name.String(), o)
}

// reader is a snapshot elsewhere.
type reader interface {
	read(c *cli.Context, e env, keep func(body io.Reader, bytes int64, progress func(done, total int64)) error) error
}

// fetchTo brings a snapshot to a nameless file on the disk of --data-dir, which is the one that must have room.
func fetchTo(c *cli.Context, e env, name string, from reader) (*picked, error) {
	p := &picked{name: name, scratch: scratchFor(filepath.Dir(filepath.Clean(c.String("data-dir"))))}
	err := from.read(c, e, func(body io.Reader, bytes int64, progress func(done, total int64)) (err error) {
		p.file, err = p.scratch.Fetch(c.Context, body, bytes, 0, progress)
		return err
	})
	if err != nil {
		return nil, err
	}
	return p, nil
}
