package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"etcd-rolling-backup/internal/etcdtest"
	"etcd-rolling-backup/internal/s3test"
	"etcd-rolling-backup/snapshot"
)

// busyBase is the size of the database that is streamed meanwhile.
const busyBase = 512 << 20

// busy measures the memory of a daemon with a journal that does all at once.
func (b *bench) busy(ctx context.Context) error {
	peak, err := b.busyMemory(ctx)
	if err != nil {
		return fmt.Errorf("memory of a busy daemon: %w", err)
	}
	fmt.Printf("\n%d puts a second, of which %d have %d bytes, during snapshots of %s and their upload, with a journal of a week\n\n", mixedRate, mixedRate/mixedLarge, largeBytes, ibytes(busyBase))
	fmt.Printf("| figure | measured | wanted |\n|--- |--- |--- |\n| peak memory of daemon --journal, without mapped files | %s | under 96 MiB |\n", ibytes(peak))
	return nil
}

// busyMemory returns the peak of a daemon's own memory while it does all at once: it records large values at a high rate, streams a large snapshot
// as fast as it can, again and again, and uploads both, with the segments of a week.
func (b *bench) busyMemory(ctx context.Context) (peak int64, err error) {
	work := filepath.Join(b.work, "busy")
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	options := etcdtest.BulkOptions(b.version, busyBase)
	options.Dir, options.QuotaBytes = filepath.Join(work, "etcd"), 8<<30
	cluster, err := etcdtest.Start(ctx, options)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, cluster.Stop()) }()
	b.endpoint = cluster.Endpoints()[0]
	if _, err := measured(ctx, b.self, "fill", b.endpoint, strconv.Itoa(busyBase)); err != nil {
		return 0, err
	}
	if err := b.s3.MakeBucket(ctx, bucket, s3test.BucketOptions{}); err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, b.s3.RemoveBucket(ctx, bucket, true)) }()
	client, err := cluster.Client(ctx)
	if err != nil {
		return 0, err
	}
	defer client.Close()
	store := filepath.Join(work, "store")
	status, err := client.Status(ctx, b.endpoint)
	if err == nil {
		err = errors.Join(writeWeek(store, snapshot.ID(status.Header.ClusterId)), liveAWeek(ctx, client))
	}
	if err != nil {
		return 0, err
	}
	j, err := b.startJournal(ctx, client, store, append(b.s3Flags(), "--schedule", "@every 1s", "--stream-rate", "off", "--keep-last", "2")...)
	if err != nil {
		return 0, err
	}
	own := watchMemory(j.cmd.Process.Pid)
	f, err := b.phase(ctx, "mixed", nil)
	peak = own()
	if err := errors.Join(err, j.end(os.Interrupt)); err != nil {
		return 0, err
	}
	log, err := os.ReadFile(j.log.Name())
	if err != nil {
		return 0, err
	}
	saved, mirrored := bytes.Count(log, []byte("snapshot saved")), bytes.Count(log, []byte("mirrored"))
	fmt.Fprintf(os.Stderr, "the daemon's peak is %s; %d snapshots, %d mirror passes; put p50 %s, p99 %s\n", ibytes(peak), saved, mirrored, f.p50, f.p99)
	if saved < 2 || mirrored < 1 {
		err = fmt.Errorf("%d snapshots and %d mirror passes: it did not do all at once", saved, mirrored)
	}
	return peak, err
}
