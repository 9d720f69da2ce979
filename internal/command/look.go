package command

import (
	"context"
	"errors"
	"fmt"
	"time"

	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/internal/printable"
	"etcd-rolling-backup/internal/source"
	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/browse"
)

// look opens the database of the snapshot that --snapshot names.
func (c *call) look(ctx context.Context) (*browse.DB, error) {
	c.before = append(c.Args().Slice(), "--snapshot")
	if err := c.readAt(); err != nil {
		return nil, err
	}
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
	ask := source.Request{
		Reference: ref, From: from, Peer: c.String("peer"), MinFree: c.cfg.Store.MinFree, UseIntactCopy: true, AnyCluster: true, At: c.at,
	}
	for {
		p, err := c.open(ctx, ask)
		if err != nil {
			return nil, err
		}
		c.found = p
		d, err := c.unpack(ctx, p)
		_ = errors.Join(p.File.Close(), p.Journal.Close()) // they were only read
		switch {
		case err == nil:
			return d, nil
		case learn(&ask, p, err):
			c.warn("%s: trying without it", line(err))
		default:
			if ask.At != nil {
				more = append([]string{"--at", ask.At.Text}, more...)
			}
			return nil, c.orInstead(ctx, fmt.Errorf("look into %s: %w", p.Name, err), p.Snapshot, p.From, from, more...)
		}
	}
}

// showing are the flags with which the command shows the state at an earlier revision that the opened database has.
func (c *call) showing(revision int64) string {
	j, name := c.found.Journal, c.found.Name
	if c.found.Snapshot != (snapshot.Name{}) {
		name = c.found.Snapshot.String()
	}
	flag := "--at"
	if c.at == nil || j == nil || revision < j.Base { // the snapshot retains it, and the one before it may be gone
		flag = "--revision"
	}
	words := []string{flag, fmt.Sprint(revision)}
	if c.at != nil && (j == nil || revision < j.Base || j.Several) {
		words = append([]string{"--snapshot", name}, words...)
	}
	return printable.Command(words...)
}

// readAt reads --at.
func (c *call) readAt() error {
	text := c.String("at")
	if text == "" {
		return nil
	}
	at, err := config.ParseAt(text, time.Now())
	if err == nil && !at.Base && c.String("revision") != "" {
		return config.Usagef("--at and --revision both say which state is meant: remove one of them")
	}
	if !at.Base {
		c.at = &at
	}
	return err
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
	from := browse.Source{Input: in, Scratch: p.Scratch, MinFree: c.cfg.Store.MinFree, Progress: bar.update}
	if j := p.Journal; j != nil {
		from.Continue = j.Merge
	}
	d, proof, err := browse.Open(ctx, from)
	if err != nil {
		return nil, err
	}
	bar.done()
	if from.Continue != nil {
		c.note("%s, continued by the journal to %s", p.Name, p.Journal)
		if late := p.Journal.Late; late != nil {
			c.warn("%s", late)
		}
	}
	switch {
	case proof.Damage != nil:
		c.warn("%s: %s", p.Name, line(proof.Damage))
	case !proof.Digest:
		c.warn("%s has no digest: its pages are valid, and whether a value was changed is not known", p.Name)
	}
	return d, nil
}
