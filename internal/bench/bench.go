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
)

// bench measures one database size.
type bench struct {
	program string
	work    string
	version string
	rounds  int
	bytes   int64
}

// ways are measured in this order in each round.
const (
	wayFloor  = "(a) stream thrown away"
	wayTools  = "(b) etcdctl, then deflate"
	wayRoller = "(c) etcd-rolling-backup"
)

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

func (b *bench) run(ctx context.Context) (err error) {
	options := etcdtest.BulkOptions(b.version, b.bytes)
	options.Dir = filepath.Join(b.work, "etcd")
	cluster, err := etcdtest.Start(ctx, options)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, cluster.Stop(), os.RemoveAll(b.work)) }()
	fmt.Fprintf(os.Stderr, "filling etcd %s with %s\n", b.version, humanize.IBytes(uint64(b.bytes)))
	self, err := os.Executable()
	if err != nil {
		return err
	}
	// Not in this process: Linux counts the memory of the parent at the fork as the child's peak.
	if _, err := measured(ctx, self, "fill", cluster.Endpoints()[0], fmt.Sprint(b.bytes)); err != nil {
		return fmt.Errorf("fill etcd: %w", err)
	}
	results := map[string][]usage{}
	// Round 0 warms the page cache and is not counted.
	for round := range b.rounds + 1 {
		for _, way := range []string{wayFloor, wayTools, wayRoller} {
			u, err := b.measure(ctx, self, way, cluster.Endpoints()[0])
			if err != nil {
				return fmt.Errorf("%s: %w", way, err)
			}
			if round > 0 {
				results[way] = append(results[way], u)
			}
		}
		fmt.Fprintf(os.Stderr, "round %d of %d\n", round, b.rounds)
	}
	return printTable(os.Stdout, b, results)
}

// measure runs one way once, into an empty directory.
func (b *bench) measure(ctx context.Context, self, way, endpoint string) (u usage, err error) {
	dir := filepath.Join(b.work, "out")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return u, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	switch way {
	case wayFloor:
		return measured(ctx, self, "floor", endpoint)
	case wayRoller:
		u, err = measured(ctx, b.program, "save", "--endpoints", endpoint, "--dir", dir)
		if err != nil {
			return u, err
		}
		u.archive, err = onlyFile(dir)
		return u, err
	}
	etcdctl, err := etcdtest.Program(b.version, "etcdctl")
	if err != nil {
		return u, err
	}
	raw, zip := filepath.Join(dir, "snapshot"), filepath.Join(dir, "snapshot.zip")
	u, err = measured(ctx, etcdctl, "--endpoints", endpoint, "snapshot", "save", raw)
	if err != nil {
		return u, err
	}
	second, err := measured(ctx, self, "deflate", raw, zip)
	if err != nil {
		return u, err
	}
	u = u.then(second)
	info, err := os.Stat(zip)
	if err != nil {
		return u, err
	}
	u.archive = info.Size()
	return u, nil
}

// onlyFile is the size of the one snapshot in dir.
func onlyFile(dir string) (int64, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.db.zst"))
	if err != nil || len(files) != 1 {
		return 0, errors.Join(err, fmt.Errorf("%d snapshots in %s, not one", len(files), dir))
	}
	info, err := os.Stat(files[0])
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}
