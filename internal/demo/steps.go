package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/klauspost/compress/zstd"
	clientv3 "go.etcd.io/etcd/client/v3"
	etcdutl "go.etcd.io/etcd/etcdutl/v3/snapshot"
	"go.uber.org/zap"

	"etcd-rolling-backup/snapshot"
)

type demo struct {
	program, endpoint string
	dir               string // of the snapshots
	unpacked          string
	s3                *remote
	client            *clientv3.Client
	mistakes          int64     // the revision of the deletion that is undone
	moment            time.Time // before it
}

// roll runs the daemon through an outage of the bucket, then stops it as systemd would.
func (d *demo) roll(ctx context.Context) error {
	args := append([]string{
		"daemon", "--endpoints", d.endpoint, "--dir", d.dir, "--node", "demo", "--listen", "127.0.0.1:0", "--drill-schedule", "off", "--journal", "--journal-keep", "1s", "--schedule", schedule,
		"--keep-last", fmt.Sprint(keep), "--s3-keep-last", fmt.Sprint(keepInS3),
	}, d.s3.flags()...)
	step(fmt.Sprintf("Run the daemon: a snapshot %s while keys change, the newest %d are kept on the disk and %d in the bucket", schedule, keep, keepInS3))
	say("$ etcd-rolling-backup %s", strings.Join(args, " "))
	cmd := d.command(ctx, args...)
	var log bytes.Buffer
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		return err
	}
	watchErr := d.outage(ctx)
	if watchErr == nil {
		watchErr = d.mistake(ctx)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		watchErr = errors.Join(watchErr, err)
	}
	asked := time.Now()
	if err := errors.Join(watchErr, cmd.Wait()); err != nil {
		return fmt.Errorf("daemon: %w; it logged:\n%s", err, log.String())
	}
	say("stopped the daemon; it exited cleanly after %s. Its log lines about the outage:", time.Since(asked).Round(time.Millisecond))
	return sayLog(log.String())
}

func (d *demo) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, d.program, args...)
	cmd.Env = d.s3.environ()
	return cmd
}

// prove verifies the newest snapshot, then reads it without our code.
func (d *demo) prove(ctx context.Context) error {
	list := append([]string{"list", "--from", "all", "--dir", d.dir}, d.s3.flags()...)
	for _, args := range [][]string{list, {"verify", "--dir", d.dir}} {
		step(map[string]string{"list": "List the snapshots on the disk and in the bucket", "verify": "Verify the newest: zstd data, digests, every page of the database"}[args[0]])
		say("$ etcd-rolling-backup %s", strings.Join(args, " "))
		out, err := d.command(ctx, args...).CombinedOutput()
		for line := range strings.SplitSeq(strings.TrimSpace(string(out)), "\n") {
			say("%s", line)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", args[0], err)
		}
	}
	step("Unpack the newest with plain zstd and read it with etcd's own library")
	l, err := snapshot.NewDir(d.dir).List()
	if err != nil {
		return err
	}
	newest := l.Snapshots[0].Name.String()
	if err := unpack(filepath.Join(d.dir, newest), d.unpacked); err != nil {
		return err
	}
	say("$ zstd -dc %s > snap.db", newest)
	status, err := etcdutl.NewV3(zap.NewNop()).Status(d.unpacked)
	if err != nil {
		return fmt.Errorf("etcd's library: %w", err)
	}
	say("etcd's library reads: revision %d, %d keys, hash %x, %.1f MiB", status.Revision, status.TotalKey, status.Hash, mib(status.TotalSize))
	return nil
}

// unpack does the same as the printed zstd command, which may not be installed here.
func unpack(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	dec, err := zstd.NewReader(in)
	if err != nil {
		return err
	}
	defer dec.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, dec)
	return errors.Join(err, out.Close())
}

func mib(n int64) float64 { return float64(n) / (1 << 20) }
