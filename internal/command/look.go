package command

import (
	"context"
	"fmt"

	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/internal/source"
	"etcd-rolling-backup/snapshot/browse"
)

// look opens the database of the snapshot that --snapshot names.
func (c *call) look(ctx context.Context) (*browse.DB, error) {
	c.before = append(c.Args().Slice(), "--snapshot")
	return c.lookInto(ctx, c.String("snapshot"))
}

// lookInto opens the database of a snapshot, unpacked and proven. It says what else there is to know of the snapshot, because the answer may
// be what somebody restores an object from.
func (c *call) lookInto(ctx context.Context, ref string, more ...string) (*browse.DB, error) {
	c.ref = ref
	from, err := config.ReadPlace(c.Context, config.Anywhere, config.Local, config.S3, config.Peer)
	if err != nil {
		return nil, err
	}
	p, err := c.open(ctx, source.Request{
		From: from, Peer: c.String("peer"), MinFree: c.cfg.Store.MinFree, UseIntactCopy: true, AnyCluster: true,
	})
	if err != nil {
		return nil, err
	}
	defer p.File.Close()
	c.found = p
	d, err := c.unpack(ctx, p)
	if err != nil {
		return nil, c.orInstead(ctx, fmt.Errorf("look into %s: %w", p.Name, err), p.Snapshot, p.From, from, more...)
	}
	return d, nil
}

func (c *call) unpack(ctx context.Context, p *source.Opened) (*browse.DB, error) {
	in, err := openInput(p)
	if err != nil {
		return nil, err
	}
	c.foundCluster = 0
	if in.Manifest != nil {
		c.foundCluster = in.Manifest.ClusterID
	}
	bar := newProgress(c.stderr, "unpacking")
	defer bar.done()
	d, proof, err := browse.Open(ctx, browse.Source{Input: in, Scratch: p.Scratch, MinFree: c.cfg.Store.MinFree, Progress: bar.update})
	if err != nil {
		return nil, err
	}
	bar.done()
	switch {
	case proof.Damage != nil:
		c.note("warning: %s: %s", p.Name, line(proof.Damage))
	case !proof.Digest:
		c.note("warning: %s has no digest: its pages are valid, and whether a value was changed is not known", p.Name)
	}
	return d, nil
}
