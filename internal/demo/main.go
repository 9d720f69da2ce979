// Command demo shows the main features with a temporary etcd and a temporary S3 server: a daemon takes snapshots every few
// seconds while keys change, mirrors and prunes them; the bucket is unavailable for a while and then catches up; the newest
// snapshot is verified, unpacked and read by etcd's own library. It exits by itself and leaves nothing behind.
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
	keepInS3 = 5
	limit    = 58 * time.Second
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

	step("Start a temporary etcd, filled with objects like those of Kubernetes, and a temporary S3 server")
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
	if d.s3, err = newRemote(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.s3.close()) }()
	say("S3 answers at %s with an empty bucket %s", d.s3.proxy.URL(), bucket)

	d.client = client
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
	if err := d.undo(ctx, cluster); err != nil {
		return err
	}
	step("Clean up")
	say("etcd and S3 stopped, everything removed")
	return nil
}

// step prints the title of the next step, say prints what happened.
func step(text string) { fmt.Printf("\n== %s\n", text) }

func say(format string, args ...any) { fmt.Printf("   "+format+"\n", args...) }
