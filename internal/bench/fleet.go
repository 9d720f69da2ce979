package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"golang.org/x/sync/errgroup"

	"etcd-rolling-backup/internal/s3test"
	"etcd-rolling-backup/snapshot"
)

const (
	wayFleetFew  = "(i1) fleet, 250 objects of 250 nodes"
	wayFleetMany = "(i2) fleet, 6000 objects of 250 nodes"
	wayListOne   = "(i3) list of one of these nodes"

	fleetFew, fleetMany = "fleet-few", "fleet-many" // buckets
	fleetNodes          = 250
	fleetKept           = 24
)

// fleets measures looking at a bucket that many nodes share.
func (b *bench) fleets(ctx context.Context) (err error) {
	dir := filepath.Join(b.work, "small")
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if _, err := measured(ctx, b.self, "archive", dir, "20480"); err != nil {
		return fmt.Errorf("make a small archive: %w", err)
	}
	file, size, err := onlyFile(dir)
	if err != nil {
		return err
	}
	for bucket, kept := range map[string]int{fleetFew: 1, fleetMany: fleetKept} {
		if err := b.s3.MakeBucket(ctx, bucket, s3test.BucketOptions{}); err != nil {
			return err
		}
		if _, err := measured(ctx, b.self, "crowd", b.s3.Endpoint(), bucket, fmt.Sprint(kept), file); err != nil { // not in this process: see snapshots
			return fmt.Errorf("fill the bucket %s: %w", bucket, err)
		}
	}
	all, err := b.takeTurns(ctx,
		b.look(wayFleetFew, size, "fleet", "--s3-bucket", fleetFew, "--max-age", "1d"),
		b.look(wayFleetMany, size, "fleet", "--s3-bucket", fleetMany, "--max-age", "1d"),
		b.look(wayListOne, size, "list", "--s3-bucket", fleetMany, "--from", "s3", "--node", crowdNode(fleetNodes/2)))
	if err != nil {
		return err
	}
	few, many := all[wayFleetFew], all[wayFleetMany]
	return printTable(os.Stdout, table{
		fmt.Sprintf("A bucket of %d nodes in MinIO, medians of %d rounds", fleetNodes, b.rounds),
		[]string{wayFleetFew, wayFleetMany, wayListOne},
		all,
		[]goal{
			{"wall, (i2)", fmt.Sprintf("%.2f s", many.wall.Seconds()), "under 3 s"},
			{"peak memory, (i2) to (i1)", ratio(many.memory, few.memory, 2), "at most 1.2"},
			{"peak memory, (i2)", ibytes(many.memory), underMemory},
		},
	})
}

func (b *bench) look(way string, size int64, args ...string) turn {
	return func(ctx context.Context, _ string) (map[string]usage, error) {
		u, err := measured(ctx, b.program, append(args, "--s3-endpoint", b.s3.URL())...)
		return only(way, u.leaving(size), err)
	}
}

func crowdNode(i int) string { return fmt.Sprintf("node-%03d", i) }

// crowd stores an archive as so many snapshots of each node, one an hour.
func crowd(ctx context.Context, endpoint, bucket string, kept int, file string) error {
	client, err := minio.New(endpoint, &minio.Options{Creds: credentials.NewEnvAWS()})
	if err != nil {
		return err
	}
	now := time.Now()
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(16)
	for i := range fleetNodes {
		for h := range kept {
			n, err := snapshot.NewName(snapshot.RollingSet, crowdNode(i), now.Add(-time.Duration(h)*time.Hour))
			if err != nil {
				return err
			}
			g.Go(func() error {
				_, err := client.FPutObject(ctx, bucket, n.String(), file, minio.PutObjectOptions{})
				return err
			})
		}
	}
	return g.Wait()
}
