package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"etcd-rolling-backup/internal/etcdtest"
	"etcd-rolling-backup/internal/journaltest"
)

const (
	recoveryRate   = 600 // puts per second
	recoveryRounds = 20
	// journalSync is the daemon's default of --journal-sync.
	journalSync = time.Second
)

// recovery kills etcd and the daemon at the same moment, again and again, and returns how long before that the first put was acknowledged that is
// in no file of the journal.
func (b *bench) recovery(ctx context.Context) (lost []time.Duration, err error) {
	work := filepath.Join(b.work, "recovery")
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	cluster, err := etcdtest.Start(ctx, etcdtest.Options{Version: b.version, Dir: filepath.Join(work, "etcd")})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, cluster.Stop()) }()
	b.endpoint = cluster.Endpoints()[0]
	for round := range recoveryRounds {
		d, err := b.killBoth(ctx, cluster, filepath.Join(work, "store"), time.Duration(round)*journalSync/recoveryRounds)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(os.Stderr, "kill %d of %d: %s lost\n", round+1, recoveryRounds, d)
		lost = append(lost, d)
		if err := cluster.Restart(ctx); err != nil {
			return nil, err
		}
	}
	return lost, nil
}

// killBoth lets etcd and the daemon run for some time and kills both.
func (b *bench) killBoth(ctx context.Context, cluster *etcdtest.Cluster, dir string, longer time.Duration) (time.Duration, error) {
	client, err := cluster.Client(ctx)
	if err != nil {
		return 0, err
	}
	defer client.Close()
	j, err := b.startJournal(ctx, client, dir)
	if err != nil {
		return 0, err
	}
	puts, end := context.WithCancel(ctx)
	defer end()
	var writer sync.WaitGroup
	var a etcdtest.Acknowledged
	writer.Go(func() { a.Put(puts, client, recoveryRate) })
	waited := wait(ctx, 2*journalSync+longer) // when they are killed must not be in step with the syncs
	killed := make(chan error, 1)
	go func() { killed <- cluster.Members[0].Kill() }()
	now := time.Now()
	err = errors.Join(waited, j.end(os.Kill), <-killed)
	end()
	writer.Wait()
	if err != nil {
		return 0, err
	}
	last, err := journaltest.Newest(ctx, dir)
	return a.Lost(last, now), err
}

func printRecovery(lost []time.Duration) {
	slices.Sort(lost)
	worst := lost[len(lost)-1]
	fmt.Printf("\n%d kills of etcd and daemon at %d puts a second\n\n", len(lost), recoveryRate)
	fmt.Printf("| lost | time |\n|--- |--- |\n| median | %s |\n| worst | %s |\n", milliseconds(lost[len(lost)/2]), milliseconds(worst))
	fmt.Printf("\n| ratio | measured | wanted |\n|--- |--- |--- |\n| worst to --journal-sync | %.2f | at most 1.2 |\n", worst.Seconds()/journalSync.Seconds())
}
