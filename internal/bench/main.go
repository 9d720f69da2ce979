// Command bench compares, in one run on one machine, three ways to read a large etcd: the stream read and thrown away,
// which nothing can beat; etcdctl followed by deflate, as rke-tools does; and etcd-rolling-backup save.
//
// Every measured step is a process of its own, so that the kernel's figures for it, of time, memory and writing, hold
// no other. The ways take turns within a round, for a shared machine's mood changes slowly.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"

	"github.com/dustin/go-humanize"

	"etcd-rolling-backup/internal/etcdtest"
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
	// The bench starts itself for the steps that are no program of their own.
	switch {
	case len(args) == 2 && args[0] == "floor":
		return floor(ctx, args[1])
	case len(args) == 3 && args[0] == "fill":
		return fill(ctx, args[1], args[2])
	case len(args) == 3 && args[0] == "deflate":
		return deflate(args[1], args[2])
	}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	program := flags.String("program", "", "the `PATH` of etcd-rolling-backup")
	dir := flags.String("dir", "", "where databases and archives lie meanwhile (default: a temporary directory)")
	sizes := flags.String("sizes", "1GiB", "database sizes, with commas between")
	rounds := flags.Int("rounds", 5, "how often each way is measured; the table shows medians")
	version := flags.String("etcd", etcdtest.Default, "etcd version")
	if err := flags.Parse(args); err != nil {
		return err
	}
	work, err := os.MkdirTemp(*dir, "bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	all, err := parseSizes(*sizes)
	if err != nil {
		return err
	}
	for i, size := range all {
		b := &bench{program: *program, work: filepath.Join(work, fmt.Sprint(i)), version: *version, rounds: *rounds, bytes: size}
		if err := b.run(ctx); err != nil {
			return fmt.Errorf("bench with %s: %w", humanize.IBytes(uint64(size)), err)
		}
	}
	return nil
}
