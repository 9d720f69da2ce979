package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"github.com/dustin/go-humanize"

	"etcd-rolling-backup/internal/etcdtest"
)

const (
	wayIdle  = "(g1) nothing else"
	wayRKE   = "(g2) etcdctl, then deflate"
	wayOff   = "(g3) save --stream-rate off"
	wayPaced = "(g4) save --stream-rate auto"
	// phaseTime is how long each way is repeated in a round.
	phaseTime = 30 * time.Second
)

// felt is what the clients of a loaded etcd felt during one way: put latencies, and how often the way was done.
type felt struct {
	p50, p99, p999 time.Duration
	times          int
}

// load measures what the clients of etcd feel of each way to back it up.
func (b *bench) load(ctx context.Context) (err error) {
	// With fsync, unlike the other measurements: a put waits for the disk, as in a real etcd. Few raft entries stay in memory.
	options := etcdtest.Options{
		Version: b.version, QuotaBytes: 2*b.bytes + 4<<30, Dir: filepath.Join(b.work, "etcd"),
		Flags: []string{"--snapshot-count=2000", "--snapshot-catchup-entries=500"},
	}
	cluster, err := etcdtest.Start(ctx, options)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, cluster.Stop(), os.RemoveAll(options.Dir)) }()
	b.endpoint = cluster.Endpoints()[0]
	fmt.Fprintf(os.Stderr, "filling etcd %s with %s for the load\n", b.version, humanize.IBytes(uint64(b.bytes)))
	if _, err := measured(ctx, b.self, "fill", b.endpoint, fmt.Sprint(b.bytes)); err != nil {
		return fmt.Errorf("fill etcd: %w", err)
	}
	ways := []struct {
		name string
		do   func(ctx context.Context, dir string) error
	}{
		{wayIdle, nil},
		{wayRKE, b.likeRKE},
		{wayOff, func(ctx context.Context, dir string) error {
			_, err := b.save(ctx, dir, "--stream-rate", "off")
			return err
		}},
		{wayPaced, func(ctx context.Context, dir string) error {
			_, err := b.save(ctx, dir, "--stream-rate", "auto")
			return err
		}},
	}
	all := map[string][]felt{}
	for round := range b.rounds + 1 { // round 0 warms up, and brings the latencies of a database that has just been filled to rest
		for _, way := range ways {
			f, err := b.phase(ctx, "plain", way.do)
			if err != nil {
				return fmt.Errorf("%s: %w", way.name, err)
			}
			if round > 0 {
				all[way.name] = append(all[way.name], f)
			}
			fmt.Fprintf(os.Stderr, "round %d of %d: %s: p50 %s, p99 %s, p99.9 %s, %d times\n", round, b.rounds, way.name, f.p50, f.p99, f.p999, f.times)
		}
	}
	return b.printFelt(all)
}

// likeRKE does what rke-tools does for each snapshot.
func (b *bench) likeRKE(ctx context.Context, dir string) error {
	etcdctl, err := etcdtest.Program(b.version, "etcdctl")
	if err != nil {
		return err
	}
	raw := filepath.Join(dir, "snapshot")
	if _, err := measured(ctx, etcdctl, "--endpoints", b.endpoint, "snapshot", "save", raw); err != nil {
		return fmt.Errorf("etcdctl: %w", err)
	}
	_, err = measured(ctx, b.self, "deflate", raw, filepath.Join(dir, "snapshot.zip"))
	return err
}

// phase puts keys of a kind for phaseTime, during which do is repeated in empty directories. The last time is not cut off.
func (b *bench) phase(ctx context.Context, kind string, do func(ctx context.Context, dir string) error) (f felt, err error) {
	cmd := exec.CommandContext(ctx, b.self, "load", b.endpoint, kind)
	var out, complaints bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaints
	end, err := cmd.StdinPipe()
	if err != nil {
		return f, err
	}
	if err := cmd.Start(); err != nil {
		return f, err
	}
	failed := b.repeat(ctx, time.Now().Add(phaseTime), do, &f.times)
	if err := errors.Join(failed, end.Close(), cmd.Wait()); err != nil {
		return f, errors.Join(err, errors.New(complaints.String()))
	}
	var took []time.Duration
	if err := json.Unmarshal(out.Bytes(), &took); err != nil || len(took) == 0 {
		return f, errors.Join(err, fmt.Errorf("%d puts", len(took)))
	}
	slices.Sort(took)
	f.p50, f.p99, f.p999 = quantile(took, 0.5), quantile(took, 0.99), quantile(took, 0.999)
	return f, nil
}

func (b *bench) repeat(ctx context.Context, until time.Time, do func(ctx context.Context, dir string) error, times *int) error {
	if do == nil {
		select {
		case <-time.After(time.Until(until)):
		case <-ctx.Done():
		}
		return ctx.Err()
	}
	for dir := filepath.Join(b.work, "out"); time.Now().Before(until); *times++ {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
		if err := errors.Join(do(ctx, dir), os.RemoveAll(dir)); err != nil {
			return err
		}
	}
	return nil
}
