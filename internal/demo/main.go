// Command demo shows the main job on a throwaway etcd: a daemon that takes snapshots every few seconds while keys
// change, old ones that go, and the newest one proven, unpacked and read by etcd's own library. It ends by itself and
// leaves nothing behind.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"etcd-rolling-backup/internal/etcdtest"
)

const (
	schedule = "@every 2s"
	keep     = 3
	// wanted is how many snapshots are waited for: with keep of them left, at least three must have gone.
	wanted = keep + 3
	limit  = 55 * time.Second
)

func main() {
	program := flag.String("program", "", "the `PATH` of etcd-rolling-backup")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	ctx, cancel := context.WithTimeout(ctx, limit)
	err := run(ctx, *program)
	cancel()
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, program string) (err error) {
	work, err := os.MkdirTemp("", "etcd-rolling-backup-demo-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	d := &demo{program: program, dir: filepath.Join(work, "snapshots"), unpacked: filepath.Join(work, "snap.db")}

	step("Start a throwaway etcd and fill it with objects like those of Kubernetes")
	cluster, err := etcdtest.Start(ctx, etcdtest.Options{Dir: filepath.Join(work, "etcd")})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, cluster.Stop()) }()
	d.endpoint = cluster.Endpoints()[0]
	client, err := cluster.Client(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, client.Close()) }()
	filled, err := etcdtest.Fill(ctx, client, etcdtest.FillOptions{Bytes: 16 << 20, Seed: 1})
	if err != nil {
		return err
	}
	say("etcd %s answers at %s with %d keys at revision %d", cluster.Version, d.endpoint, filled.Keys, filled.Revision)

	churning, stopChurn := context.WithCancel(ctx)
	churned := make(chan error, 1)
	go func() { churned <- etcdtest.Churn(churning, client, 2, 20*time.Millisecond) }()
	err = d.roll(ctx)
	stopChurn()
	if err = errors.Join(err, <-churned); err != nil {
		return err
	}
	if err := d.prove(ctx); err != nil {
		return err
	}
	step("Clean up")
	say("etcd stopped, everything removed")
	return nil
}

// step announces what comes, say tells what was seen.
func step(text string) { fmt.Printf("\n== %s\n", text) }

func say(format string, args ...any) { fmt.Printf("   "+format+"\n", args...) }
