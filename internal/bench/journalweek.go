package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/proto"

	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/journal"
)

const (
	week        = 7 * 24 * time.Hour // the default of --journal-keep
	weekSegment = 30 * time.Second   // the default of --journal-segment
	weekFirst   = int64(2)           // the first revision that is written to an etcd
)

// weekLast is the last revision of a week with one for each segment.
const weekLast = weekFirst + int64(week/weekSegment) - 1

// liveAWeek brings an etcd to the revision that it has after the week.
func liveAWeek(ctx context.Context, client *clientv3.Client) error {
	all, ctx := errgroup.WithContext(ctx)
	all.SetLimit(32)
	for range weekLast {
		all.Go(func() error {
			_, err := client.Put(ctx, "/bench/tick", "")
			return err
		})
	}
	return all.Wait()
}

// writeWeek writes what a daemon has after a week: a snapshot for each hour, and all segments.
func writeWeek(dir string, cluster snapshot.ID) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	begun := time.Now().UTC().Truncate(time.Second).Add(-week)
	for r := weekFirst; r <= weekLast; r++ {
		at := begun.Add(time.Duration(r-weekFirst) * weekSegment)
		if (r-weekFirst)%int64(time.Hour/weekSegment) == 0 {
			if err := writeWeekSnapshot(dir, cluster, at, r-1); err != nil {
				return fmt.Errorf("write the snapshot of %s: %w", at, err)
			}
		}
		if err := writeWeekSegment(dir, cluster, at, r); err != nil {
			return fmt.Errorf("write the segment of %s: %w", at, err)
		}
	}
	return nil
}

// writeWeekSnapshot writes an archive without a database: only its manifest is read.
func writeWeekSnapshot(dir string, cluster snapshot.ID, at time.Time, revision int64) error {
	n, err := snapshot.NewName(snapshot.RollingSet, node, at)
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(dir, n.String()), func(f *os.File) error {
		w, err := snapshot.NewWriter(f)
		if err != nil {
			return err
		}
		raw := make([]byte, 512)
		sum := sha256.Sum256(raw)
		if _, err := w.Write(append(raw, sum[:]...)); err != nil {
			return err
		}
		_, err = w.Finish(snapshot.Manifest{
			Name: n.String(), CreatedAt: at, Node: node, ToolVersion: "bench", Source: snapshot.Source{ClusterID: cluster, Revision: revision, Healthy: true},
		})
		return err
	})
}

func writeWeekSegment(dir string, cluster snapshot.ID, at time.Time, revision int64) error {
	n, err := snapshot.NewSegmentName(node, at, revision, revision)
	if err != nil {
		return err
	}
	data, err := proto.Marshal(&mvccpb.KeyValue{Key: []byte("/bench/tick"), ModRevision: revision, CreateRevision: weekFirst, Version: revision - 1})
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(dir, n.String()), func(f *os.File) error {
		w, err := journal.NewWriter(f, journal.Header{Node: node, ClusterID: cluster, CreatedAt: at, First: revision})
		if err != nil {
			return err
		}
		if err := errors.Join(w.Write(journal.Record{Kind: journal.KindPut, Revision: revision, Data: data}), w.Checkpoint(at, false)); err != nil {
			return err
		}
		_, err = w.Finish()
		return err
	})
}

func writeFile(path string, write func(*os.File) error) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(write(f), f.Close())
}
