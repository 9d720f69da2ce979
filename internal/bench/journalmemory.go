package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"etcd-rolling-backup/internal/etcdtest"
	"etcd-rolling-backup/internal/s3test"
)

// busyBase is the size of the database that is streamed meanwhile.
const busyBase = 512 << 20

// journalMemory returns the peak of a daemon's own memory while it does all at once: it records large values at a high rate, streams a large snapshot
// as fast as it can, again and again, and uploads both.
func (b *bench) journalMemory(ctx context.Context) (peak int64, err error) {
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
	j, err := b.startJournal(ctx, client, filepath.Join(work, "store"), append(b.s3Flags(), "--schedule", "@every 1s", "--stream-rate", "off", "--keep-last", "2")...)
	if err != nil {
		return 0, err
	}
	own := watchMemory(j.cmd.Process.Pid)
	f, err := b.phase(ctx, "mixed", nil)
	peak = own()
	fmt.Fprintf(os.Stderr, "the daemon's peak is %s; put p50 %s, p99 %s\n", ibytes(peak), f.p50, f.p99)
	return peak, errors.Join(err, j.end(os.Interrupt))
}

func printJournalMemory(peak int64) {
	fmt.Printf("\n%d puts a second, of which %d have %d bytes, during the snapshot of %s and its upload\n\n", mixedRate, mixedRate/mixedLarge, largeBytes, ibytes(busyBase))
	fmt.Printf("| figure | measured | wanted |\n|--- |--- |--- |\n| peak memory of daemon --journal, without mapped files | %s | under 96 MiB |\n", ibytes(peak))
}
