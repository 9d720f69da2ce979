package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/dustin/go-humanize"

	"etcd-rolling-backup/internal/etcdtest"
	"etcd-rolling-backup/internal/s3test"
)

// bench measures one size.
type bench struct {
	program, self string
	work          string
	version       string
	rounds        int
	bytes         int64
	endpoint      string // etcd's
	s3            s3test.Target
}

// A turn measures one way, or several that share steps, in an empty directory.
type turn func(ctx context.Context, dir string) (map[string]usage, error)

func parseSizes(list string) ([]int64, error) {
	var sizes []int64
	for text := range strings.SplitSeq(list, ",") {
		n, err := humanize.ParseBytes(text)
		if err != nil || n > 1<<40 {
			return nil, fmt.Errorf("-sizes: %q is not a size like 1GiB", text)
		}
		sizes = append(sizes, int64(n))
	}
	return sizes, nil
}

// snapshots measures the ways from etcd to an archive and to a bucket.
func (b *bench) snapshots(ctx context.Context) (err error) {
	options := etcdtest.BulkOptions(b.version, b.bytes)
	options.Dir = filepath.Join(b.work, "etcd")
	cluster, err := etcdtest.Start(ctx, options)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, cluster.Stop(), os.RemoveAll(options.Dir)) }()
	b.endpoint = cluster.Endpoints()[0]
	fmt.Fprintf(os.Stderr, "filling etcd %s with %s\n", b.version, humanize.IBytes(uint64(b.bytes)))
	// Not in this process: Linux counts the parent's memory at the fork in the child's peak.
	if _, err := measured(ctx, b.self, "fill", b.endpoint, fmt.Sprint(b.bytes)); err != nil {
		return fmt.Errorf("fill etcd: %w", err)
	}
	all, err := b.takeTurns(ctx, b.floor, b.tools, b.roller, b.rollerMirrored)
	if err != nil {
		return err
	}
	if err := errors.Join(printTable(os.Stdout, b.snapshotTable(all)), printTable(os.Stdout, b.endToEndTable(all))); err != nil {
		return err
	}
	if err := b.restores(ctx); err != nil {
		return err
	}
	return b.looks(ctx)
}

// uploads measures the ways from a large archive into the bucket at.
func (b *bench) uploads(ctx context.Context, at string) (err error) {
	dir := filepath.Join(b.work, "store")
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	fmt.Fprintf(os.Stderr, "making an archive of %s\n", humanize.IBytes(uint64(b.bytes)))
	if _, err := measured(ctx, b.self, "archive", dir, fmt.Sprint(b.bytes)); err != nil {
		return fmt.Errorf("make an archive: %w", err)
	}
	file, size, err := onlyFile(dir)
	if err != nil {
		return err
	}
	all, err := b.takeTurns(ctx, b.put(file, size), b.mirror(dir, size))
	if err != nil {
		return err
	}
	return printTable(os.Stdout, b.uploadTable(at, all))
}

// takeTurns returns the median of each way.
func (b *bench) takeTurns(ctx context.Context, turns ...turn) (map[string]usage, error) {
	all := map[string][]usage{}
	// Round 0 warms the page cache and is not counted.
	for round := range b.rounds + 1 {
		for _, t := range turns {
			ways, err := b.take(ctx, t)
			if err != nil {
				return nil, err
			}
			for way, u := range ways {
				if round > 0 {
					all[way] = append(all[way], u)
				}
			}
		}
		fmt.Fprintf(os.Stderr, "round %d of %d\n", round, b.rounds)
	}
	medians := map[string]usage{}
	for way, us := range all {
		medians[way] = median(us)
	}
	return medians, nil
}

// take runs a turn with an empty directory and an empty bucket.
func (b *bench) take(ctx context.Context, t turn) (ways map[string]usage, err error) {
	dir := filepath.Join(b.work, "out")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if b.s3.AccessKey == "" { // without a MinIO
		return t(ctx, dir)
	}
	if err := b.s3.MakeBucket(ctx, bucket, s3test.BucketOptions{}); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, b.s3.RemoveBucket(ctx, bucket, true)) }()
	return t(ctx, dir)
}
