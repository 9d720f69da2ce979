package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/protobuf/proto"

	"etcd-rolling-backup/internal/etcdtest"
	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/journal"
)

const (
	wayFull   = "(l1) restore of a full snapshot of the end"
	wayMoment = "(l2) restore of the base and the journal"
	wayReplay = "(l3) restore of the base, journal put into its etcd"

	momentEvents = 180_000 // an hour of 50 puts a second
	// momentKept is how many revisions are kept: five minutes of such puts, as with a kube-apiserver.
	momentKept = 15_000
	// momentBase is the size of the base. A larger one makes the journal weigh less.
	momentBase = 256 << 20
	putters    = 32
)

// journals measures what a journal costs, what it loses, and how long a restore from it takes.
func (b *bench) journals(ctx context.Context) error {
	costs, err := b.costs(ctx)
	if err != nil {
		return fmt.Errorf("cost of a journal: %w", err)
	}
	if err := b.printCosts(costs); err != nil {
		return err
	}
	lost, err := b.recovery(ctx)
	if err != nil {
		return fmt.Errorf("kill etcd and the daemon: %w", err)
	}
	printRecovery(lost)
	if err := b.busy(ctx); err != nil {
		return err
	}
	if err := b.moments(ctx); err != nil {
		return fmt.Errorf("restore from a journal: %w", err)
	}
	return nil
}

// moments measures the ways to restore a cluster as it was after many changes.
func (b *bench) moments(ctx context.Context) (err error) {
	work := filepath.Join(b.work, "moments")
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	base, full, err := b.momentStores(ctx, work)
	if err != nil {
		return err
	}
	all, err := b.takeTurns(ctx, b.restored(wayFull, full), b.restored(wayMoment, base), func(ctx context.Context, dir string) (map[string]usage, error) {
		u, err := measured(ctx, b.self, "replay", b.program, base, dir)
		return only(wayReplay, u, err)
	})
	if err != nil {
		return err
	}
	return printTable(os.Stdout, b.momentTable(all))
}

// momentStores makes a store with a base and the journal of many changes, and one with a full snapshot after them.
func (b *bench) momentStores(ctx context.Context, work string) (base, full string, err error) {
	base, full = filepath.Join(work, "base"), filepath.Join(work, "full")
	options := etcdtest.BulkOptions(b.version, momentBase)
	options.Dir, options.QuotaBytes = filepath.Join(work, "etcd"), 8<<30
	cluster, err := etcdtest.Start(ctx, options)
	if err != nil {
		return "", "", err
	}
	defer func() { err = errors.Join(err, cluster.Stop(), os.RemoveAll(options.Dir)) }()
	b.endpoint = cluster.Endpoints()[0]
	if _, err := measured(ctx, b.self, "fill", b.endpoint, strconv.Itoa(momentBase)); err != nil {
		return "", "", err
	}
	client, err := cluster.Client(ctx)
	if err != nil {
		return "", "", err
	}
	defer client.Close()
	j, err := b.startJournal(ctx, client, base)
	if err != nil {
		return "", "", err
	}
	if _, err := measured(ctx, b.self, "change", b.endpoint, strconv.Itoa(momentEvents)); err != nil {
		return "", "", errors.Join(err, j.end(os.Kill))
	}
	if err := errors.Join(j.finish(ctx, client), j.end(os.Interrupt)); err != nil {
		return "", "", err
	}
	_, err = b.save(ctx, full)
	return base, full, err
}

// finish waits until the journal has all, and the last compaction too: otherwise its restore would keep more than the full snapshot has.
func (j *journaling) finish(ctx context.Context, client *clientv3.Client) error {
	put := func() (int64, error) {
		r, err := client.Put(ctx, "/bench/tick", "")
		if err != nil {
			return 0, err
		}
		return r.Header.Revision, nil
	}
	last, err := put()
	if err != nil {
		return err
	}
	compacted := last - momentKept
	if _, err := client.Compact(ctx, compacted); err != nil {
		return err
	}
	err = j.awaitCompaction(ctx, func() (err error) { last, err = put(); return err }, compacted)
	return errors.Join(err, j.await(ctx, ctx.Err, last))
}

func (b *bench) restored(way, store string) turn {
	return func(ctx context.Context, dir string) (map[string]usage, error) {
		u, err := measured(ctx, b.program, "restore", "--dir", store, "--data-dir", filepath.Join(dir, "data"), "--members", "single")
		return only(way, u, err)
	}
}

// change puts objects as fast as etcd takes them, and compacts like a kube-apiserver.
func change(ctx context.Context, endpoint, number string) error {
	total, err := strconv.ParseInt(number, 10, 64)
	if err != nil {
		return err
	}
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{endpoint}, Logger: zap.NewNop()})
	if err != nil {
		return err
	}
	updates := etcdtest.NewUpdates(1)
	var mu sync.Mutex
	var n atomic.Int64
	errs := make([]error, putters)
	var group sync.WaitGroup
	for i := range putters {
		group.Go(func() {
			for errs[i] == nil {
				done := n.Add(1)
				if done > total {
					return
				}
				mu.Lock()
				key, value := updates.Next()
				mu.Unlock()
				var r *clientv3.PutResponse
				if r, errs[i] = client.Put(ctx, key, value); errs[i] == nil && done%momentKept == 0 && r.Header.Revision > momentKept {
					_, errs[i] = client.Compact(ctx, r.Header.Revision-momentKept)
				}
			}
		})
	}
	group.Wait()
	return errors.Join(errors.Join(errs...), client.Close())
}

// replay restores a base, starts an etcd with it, and puts each event of the journal into it, one transaction for each revision.
func replay(ctx context.Context, program, store, dir string) (err error) {
	cluster, err := etcdtest.Start(ctx, etcdtest.Options{Dir: filepath.Join(dir, "etcd"), UnsafeNoFsync: true, QuotaBytes: 8 << 30})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, cluster.Stop()) }()
	m := cluster.Members[0]
	if err := errors.Join(m.Kill(), os.RemoveAll(m.DataDir)); err != nil {
		return err
	}
	if _, err := measured(ctx, program, "restore", "--dir", store, "--at", "base", "--data-dir", m.DataDir, "--name", m.Name,
		"--initial-cluster", m.Name+"="+m.PeerURL, "--initial-advertise-peer-urls", m.PeerURL); err != nil {
		return err
	}
	if err := m.Restart(ctx); err != nil {
		return err
	}
	client, err := cluster.Client(ctx)
	if err != nil {
		return err
	}
	r, err := client.Get(ctx, "/bench", clientv3.WithCountOnly())
	if err == nil {
		err = putEvents(ctx, client, snapshot.NewDir(store), r.Header.Revision)
	}
	return errors.Join(err, client.Close())
}

func putEvents(ctx context.Context, client *clientv3.Client, store *snapshot.Dir, from int64) error {
	all, _, _, err := segments(ctx, store.Path())
	if err != nil {
		return err
	}
	for _, n := range journal.Follow(all, from) {
		f, err := store.OpenSegment(n)
		if err != nil {
			return err
		}
		info, err := f.Stat()
		if err != nil {
			return errors.Join(err, f.Close())
		}
		s, err := journal.Open(f, info.Size())
		if err == nil {
			err = putSegment(ctx, client, s, from)
		}
		if err := errors.Join(err, f.Close()); err != nil {
			return err
		}
	}
	return nil
}

func putSegment(ctx context.Context, client *clientv3.Client, s *journal.Segment, from int64) error {
	var ops []clientv3.Op
	var revision int64
	commit := func() error {
		if len(ops) == 0 {
			return nil
		}
		_, err := client.Txn(ctx).Then(ops...).Commit()
		ops = ops[:0]
		return err
	}
	err := s.Each(ctx, func(r journal.Record) error {
		event := r.Kind == journal.KindPut || r.Kind == journal.KindDelete
		if !event || r.Revision <= from {
			return nil
		}
		if r.Revision != revision {
			if err := commit(); err != nil {
				return err
			}
			revision = r.Revision
		}
		if r.Kind == journal.KindDelete {
			ops = append(ops, clientv3.OpDelete(string(r.Data)))
			return nil
		}
		var kv mvccpb.KeyValue
		if err := proto.Unmarshal(r.Data, &kv); err != nil {
			return err
		}
		ops = append(ops, clientv3.OpPut(string(kv.Key), string(kv.Value)))
		return nil
	})
	return errors.Join(err, commit())
}

func (b *bench) momentTable(all map[string]usage) table {
	full, ours, replayed := all[wayFull], all[wayMoment], all[wayReplay]
	title := fmt.Sprintf("A base of %s and %d events, etcd %s, medians of %d rounds", ibytes(momentBase), momentEvents, b.version, b.rounds)
	return table{title, []string{wayFull, wayMoment, wayReplay}, all, []goal{
		{"wall, (l3) to (l2)", ratio(replayed.wall, ours.wall, 1), "at least 10"},
		{"wall, (l2) to (l1)", ratio(ours.wall, full.wall, 2), "at most 1.5"},
		{"peak memory without mapped files, (l2)", ibytes(ours.own), "under 128 MiB"},
	}}
}
