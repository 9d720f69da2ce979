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
	etcdutl "go.etcd.io/etcd/etcdutl/v3/snapshot"
	"go.uber.org/zap"

	"etcd-rolling-backup/snapshot"
)

type demo struct {
	program, endpoint string
	dir               string // of the snapshots
	unpacked          string
}

// roll runs the daemon until enough snapshots have come and gone, then stops it as systemd would.
func (d *demo) roll(ctx context.Context) error {
	args := []string{"daemon", "--endpoints", d.endpoint, "--dir", d.dir, "--node", "demo", "--schedule", schedule, "--keep-last", fmt.Sprint(keep)}
	step(fmt.Sprintf("Run the daemon: a snapshot %s, the newest %d are kept, while keys change", schedule, keep))
	say("$ etcd-rolling-backup %s", strings.Join(args, " "))
	cmd := exec.CommandContext(ctx, d.program, args...)
	var log bytes.Buffer
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		return err
	}
	watchErr := d.watch(ctx)
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		watchErr = errors.Join(watchErr, err)
	}
	asked := time.Now()
	if err := errors.Join(watchErr, cmd.Wait()); err != nil {
		return fmt.Errorf("daemon: %w; it logged:\n%s", err, log.String())
	}
	say("stopped the daemon; it ended cleanly after %s. Its last log lines:", time.Since(asked).Round(time.Millisecond))
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	for _, line := range lines[max(0, len(lines)-2):] {
		say("  %s", line)
	}
	return nil
}

// watch tells of each snapshot that appears or goes until wanted have appeared and the surplus is gone.
func (d *demo) watch(ctx context.Context) error {
	store := snapshot.NewDir(d.dir)
	there := map[string]bool{}
	came, went := 0, 0
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for came < wanted || came-went > keep {
		select {
		case <-ctx.Done():
			return fmt.Errorf("saw %d snapshots come and %d go: %w", came, went, ctx.Err())
		case <-tick.C:
		}
		l, err := store.List()
		if errors.Is(err, snapshot.ErrUnusableDir) {
			continue // the daemon has not made it yet
		}
		if err != nil {
			return err
		}
		now := map[string]bool{}
		for _, e := range l.Snapshots {
			name := e.Name.String()
			now[name] = true
			if !there[name] {
				came++
				m, err := store.Manifest(e.Name)
				if err != nil {
					return err
				}
				say("+ %s   revision %d, %.1f MiB of database in %.1f MiB", name, m.Revision, mib(m.RawSize), mib(e.Size))
			}
		}
		for name := range there {
			if !now[name] {
				went++
				say("- %s   pruned", name)
			}
		}
		there = now
	}
	return nil
}

// prove verifies the newest snapshot, then reads it without any of our code.
func (d *demo) prove(ctx context.Context) error {
	for _, args := range [][]string{{"list", "--dir", d.dir}, {"verify", "--dir", d.dir}} {
		step(map[string]string{"list": "List what is kept", "verify": "Verify the newest: zstd data, digests, every page of the database"}[args[0]])
		say("$ etcd-rolling-backup %s", strings.Join(args, " "))
		out, err := exec.CommandContext(ctx, d.program, args...).CombinedOutput()
		for line := range strings.SplitSeq(strings.TrimSpace(string(out)), "\n") {
			say("%s", line)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", args[0], err)
		}
	}
	step("Unpack the newest as plain zstd and let etcd's own library read it")
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

// unpack does what the command zstd does; that stands on the screen, for it need not be installed here.
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
