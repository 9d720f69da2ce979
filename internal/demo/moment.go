package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"etcd-rolling-backup/internal/etcdtest"
	"etcd-rolling-backup/internal/journaltest"
	"etcd-rolling-backup/internal/proctest"
)

const lostKey = "/registry/namespaces/shop"

// mistake deletes a key, and everything else, between two snapshots: only the journal knows what was there a moment before.
func (d *demo) mistake(ctx context.Context) error {
	step("A mistake between two snapshots: a key is written, and soon all keys are deleted")
	put, err := d.client.Put(ctx, lostKey, "written after the last snapshot")
	if err == nil {
		err = d.recorded(ctx, put.Header.Revision)
	}
	if err != nil {
		return err
	}
	d.moment = time.Now()
	say("%s  the journal has %s at revision %d", d.moment.UTC().Format(time.StampMilli), lostKey, put.Header.Revision)
	deleted, err := d.client.Delete(ctx, "\x00", clientv3.WithFromKey())
	if err != nil {
		return err
	}
	d.mistakes = deleted.Header.Revision
	say("%s  %d keys deleted, revision %d", time.Now().UTC().Format(time.StampMilli), deleted.Deleted, d.mistakes)
	return d.recorded(ctx, d.mistakes)
}

func (d *demo) recorded(ctx context.Context, revision int64) error {
	return proctest.Poll(ctx, 20*time.Millisecond, func() (bool, error) {
		newest, err := journaltest.Newest(ctx, d.dir)
		return newest >= revision, err
	})
}

// undo restores the cluster as it was a moment before the mistake.
func (d *demo) undo(ctx context.Context, cluster *etcdtest.Cluster) error {
	step("Undo the mistake: stop etcd, restore the moment before it from a snapshot and the journal, start etcd")
	m := cluster.Members[0]
	if err := m.Stop(); err != nil {
		return err
	}
	args := []string{"restore", "--dir", d.dir, "--data-dir", m.DataDir, "--replace", "--at", d.moment.UTC().Format(time.RFC3339Nano)}
	say("$ etcd-rolling-backup %s", strings.Join(args, " "))
	out, err := d.command(ctx, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("restore: %w\n%s", err, out)
	}
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, "journal") || strings.HasPrefix(line, "rest") {
			say("%s", strings.TrimRight(line, "\n"))
		}
	}
	if err := m.Restart(ctx); err != nil {
		return err
	}
	got, err := d.client.Get(ctx, lostKey)
	if err != nil {
		return err
	}
	if got.Count != 1 || got.Header.Revision >= d.mistakes {
		return errors.New("the deleted key is not back")
	}
	say("%s is back: %q, revision %d", lostKey, got.Kvs[0].Value, got.Kvs[0].ModRevision)
	return nil
}
