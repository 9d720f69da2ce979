package command

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/dustin/go-humanize/english"

	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/internal/source"
	"etcd-rolling-backup/snapshot"
)

const (
	// shownUnasked is how many snapshots of other nodes are shown although nobody asked for them, because this node has none.
	shownUnasked = 1000
	// namedNodes is how many nodes a note names.
	namedNodes = 20
)

// listNodes lists the places for one node: the one that is asked for, otherwise this one. Of the bucket it lists what it shows. If no node
// is asked for, the directory is shown in full, and the bucket too if neither has anything of this node: on a new host, somebody looks for
// the snapshots of a lost one.
func listNodes(ctx context.Context, c *call) ([]source.Listing, []*source.PlaceError, error) {
	local, inBucket, err := config.ReadPlaces(c.Context, c.cfg.S3 != nil)
	if err != nil {
		return nil, nil, err
	}
	if c.Bool("all-nodes") {
		all, failed, err := listPlaces(ctx, c, true)
		return all, c.notFresh(failed), err
	}
	var all []source.Listing
	var failed []*source.PlaceError
	asked := c.origins.Of(c.Context, "node").Kind == config.FromFlag
	if local {
		all, failed = source.List(ctx, c.cfg.Store.Dir, nil)
	}
	names := []string{c.cfg.Store.Node}
	has := asked // this node has snapshots
	for i, l := range all {
		if asked {
			all[i] = c.onlyOf(l, c.cfg.Store.Node)
			continue
		}
		for _, e := range l.Snapshots {
			names = append(names, e.Name.Node)
			has = has || e.Name.Node == c.cfg.Store.Node
		}
	}
	if inBucket {
		slices.Sort(names)
		remote, remoteFailed := c.listBucketNodes(ctx, slices.Compact(names), asked, has)
		all, failed = append(all, remote...), append(failed, remoteFailed...)
	}
	if len(all) == 0 {
		return nil, nil, c.noPlace(failed)
	}
	return all, c.notFresh(failed), nil
}

// noPlace is the error if nothing could be listed.
func (c *call) noPlace(failed []*source.PlaceError) (err error) {
	if len(failed) > 1 {
		failed = c.notFresh(failed)
	}
	for _, f := range failed {
		err = errors.Join(err, f)
	}
	if c.cfg.S3 == nil && failed[0].NoDirectory() {
		err = fmt.Errorf("%w (in a bucket? set --s3-bucket)", err)
	}
	return err
}

// notFresh leaves out that there is no directory: on a fresh machine, the bucket has all that there is.
func (c *call) notFresh(failed []*source.PlaceError) []*source.PlaceError {
	return slices.DeleteFunc(failed, func(f *source.PlaceError) bool {
		fresh := f.NoDirectory() && c.String("from") == ""
		if fresh {
			c.note("there are no snapshots on this machine: %s does not exist", f.Where)
		}
		return fresh
	})
}

// onlyOf leaves in a listing of the directory what is of the node or does not say the node.
func (c *call) onlyOf(l source.Listing, node string) source.Listing {
	isOthers := func(e snapshot.Entry) bool { return e.Name.Node != "" && e.Name.Node != node }
	others := slices.DeleteFunc(slices.Clone(l.Snapshots), func(e snapshot.Entry) bool { return !isOthers(e) })
	l.Snapshots, l.Broken = slices.DeleteFunc(l.Snapshots, isOthers), slices.DeleteFunc(l.Broken, isOthers)
	l.Segments = slices.DeleteFunc(l.Segments, func(e snapshot.SegmentEntry) bool { return e.Name.Node != node })
	if l.Others = len(others) > 0; l.Others {
		c.note("%s also has %s: --all-nodes shows them", l.Where, nodesOf(others))
	}
	return l
}

// listBucketNodes lists what the bucket has of some nodes. If there is nothing of this node, it finds out which nodes there are. has says
// that this node has snapshots elsewhere, or that nothing else is asked for.
func (c *call) listBucketNodes(ctx context.Context, names []string, asked, has bool) ([]source.Listing, []*source.PlaceError) {
	all, failed := source.Places{Bucket: c.cfg.S3, Nodes: names, Journal: true}.List(ctx)
	if len(all) == 0 || !all[0].Others {
		return all, failed
	}
	found := all[0]
	of := func(wanted func(node string) bool) bool {
		return slices.ContainsFunc(found.Snapshots, func(e snapshot.Entry) bool { return wanted(e.Name.Node) })
	}
	if of(func(node string) bool { return node == c.cfg.Store.Node }) || has && of(func(node string) bool { return node != "" }) {
		c.note("%s also has snapshots of other nodes: --all-nodes shows them", found.Where)
		return all, nil
	}
	whole, failed := source.Places{Bucket: c.cfg.S3, Journal: true}.List(ctx)
	if len(failed) > 0 {
		found.Close()
		return nil, failed
	}
	text := fmt.Sprintf("%s has no snapshots of node %s, but %s", found.Where, c.cfg.Store.Node, nodesOf(whole[0].Snapshots))
	if asked || len(whole[0].Snapshots) > shownUnasked {
		c.note("%s: --node NAME shows those of one node, --all-nodes those of all, and fleet the newest of each", text)
		whole[0].Close()
		return all, nil
	}
	found.Close()
	c.note("%s: showing all; --node NAME shows those of one node", text)
	return whole, nil
}

// nodesOf says how many snapshots there are of which nodes.
func nodesOf(entries []snapshot.Entry) string {
	count := map[string]int{}
	total := 0
	for _, e := range entries {
		if e.Name.Node != "" {
			count[e.Name.Node]++
			total++
		}
	}
	names := slices.Sorted(maps.Keys(count))
	more := ""
	if len(names) > namedNodes {
		names, more = names[:namedNodes], fmt.Sprintf(" and %d more", len(names)-namedNodes)
	}
	noun := "node"
	if len(count) > 1 {
		noun = "nodes"
	}
	return fmt.Sprintf("%s of %s %s%s", english.Plural(total, "snapshot", ""), noun, strings.Join(names, ", "), more)
}
