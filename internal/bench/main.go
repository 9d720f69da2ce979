// Command bench compares, in one run on one machine, ways to back up a large etcd: reading and discarding the stream, which is the
// lower bound; etcdctl followed by deflate, as rke-tools does; and etcd-rolling-backup save. With a MinIO it also compares the ways
// into a bucket: minio-go's FPutObject and the mirror.
//
// It also measures what the clients of a loaded etcd feel of each way: see felt.go.
//
// Every measured step is a separate process, so that the kernel's figures of time, memory and writes are for this step only. In each
// round the ways take turns, because the speed of a shared machine changes slowly.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"

	"github.com/dustin/go-humanize"

	"etcd-rolling-backup/internal/etcdtest"
	"etcd-rolling-backup/internal/s3test"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	// The bench starts itself for the steps without a program of their own.
	if len(args) > 0 {
		if s := steps()[args[0]]; s.run != nil && len(args) == 1+s.args {
			return s.run(ctx, args[1:])
		}
	}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	program := flags.String("program", "", "the `PATH` of etcd-rolling-backup")
	dir := flags.String("dir", "", "where databases and archives lie meanwhile (default: a temporary directory)")
	sizes := flags.String("sizes", "1GiB", "database sizes, with commas between; the first is also that of the uploaded archive and of the loaded etcd")
	rounds := flags.Int("rounds", 5, "how often each way is measured; the tables show medians")
	part := flags.String("only", "", "load: only what etcd's clients feel; journal: only the journal; busy: only its memory; rest: all but load; default: everything")
	version := flags.String("etcd", etcdtest.Default, "etcd version")
	if err := flags.Parse(args); err != nil {
		return err
	}
	all, err := parseSizes(*sizes)
	if err != nil {
		return err
	}
	work, err := os.MkdirTemp(*dir, "bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	self, err := os.Executable()
	if err != nil {
		return err
	}
	b := bench{program: *program, self: self, work: work, version: *version, rounds: *rounds}
	if *part == "load" {
		b.bytes = all[0]
		return b.load(ctx)
	}
	switch *part {
	case "journal":
		return b.withMinIO(ctx, true, func() error { return b.journals(ctx) })
	case "busy":
		return b.withMinIO(ctx, true, func() error { return b.busy(ctx) })
	}
	return runAll(ctx, b, all, *part != "rest")
}

// runAll uploads over TLS, like a real installation; uploads are also measured without TLS, where minio-go signs each chunk.
func runAll(ctx context.Context, b bench, sizes []int64, load bool) error {
	err := b.withMinIO(ctx, true, func() error {
		for _, size := range sizes {
			b.bytes = size
			if err := b.snapshots(ctx); err != nil {
				return fmt.Errorf("bench with %s: %w", humanize.IBytes(uint64(size)), err)
			}
		}
		b.bytes = sizes[0]
		if load {
			if err := b.load(ctx); err != nil {
				return fmt.Errorf("bench of the load: %w", err)
			}
		}
		return errors.Join(b.uploads(ctx, "MinIO over https"), b.journals(ctx))
	})
	if err != nil {
		return err
	}
	return b.withMinIO(ctx, false, func() error { return errors.Join(b.uploads(ctx, "MinIO over http"), b.fleets(ctx)) })
}

// withMinIO calls do while a MinIO runs.
func (b *bench) withMinIO(ctx context.Context, tls bool, do func() error) error {
	dir := filepath.Join(b.work, "minio")
	server, err := s3test.Start(ctx, s3test.Options{TLS: tls, Dir: dir})
	if err != nil {
		return err
	}
	if err = shareKeys(server.Target); err == nil {
		b.s3 = server.Target
		err = do()
	}
	return errors.Join(err, server.Close(), os.RemoveAll(dir))
}
