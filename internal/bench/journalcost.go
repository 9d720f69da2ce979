package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"etcd-rolling-backup/internal/etcdtest"
)

const (
	wayAlone   = "(k1) no journal"
	wayJournal = "(k2) daemon --journal"
)

// cost is what one phase of puts cost.
type cost struct {
	felt

	etcd, daemon  time.Duration // CPU
	bytes, events int64         // of the journal
}

// costs measures what a journal costs etcd and its clients.
func (b *bench) costs(ctx context.Context) (all map[string][]cost, err error) {
	options := etcdtest.Options{Version: b.version, QuotaBytes: 6 << 30, Dir: filepath.Join(b.work, "etcd"), Flags: []string{"--snapshot-count=2000"}}
	cluster, err := etcdtest.Start(ctx, options)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, cluster.Stop(), os.RemoveAll(options.Dir)) }()
	b.endpoint = cluster.Endpoints()[0]
	all = map[string][]cost{}
	for round := range b.rounds + 1 { // round 0 warms up
		for _, way := range []string{wayAlone, wayJournal} {
			c, err := b.costPhase(ctx, cluster, way == wayJournal)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", way, err)
			}
			if round > 0 {
				all[way] = append(all[way], c)
			}
			fmt.Fprintf(os.Stderr, "round %d of %d: %s: p50 %s, p99 %s, etcd's CPU %s, the daemon's %s, %d bytes of %d events\n",
				round, b.rounds, way, c.p50, c.p99, c.etcd, c.daemon, c.bytes, c.events)
		}
	}
	return all, nil
}

func (b *bench) costPhase(ctx context.Context, cluster *etcdtest.Cluster, record bool) (c cost, err error) {
	dir := filepath.Join(b.work, "store")
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	daemon := 0
	if record {
		client, err := cluster.Client(ctx)
		if err != nil {
			return c, err
		}
		j, err := b.startJournal(ctx, client, dir)
		if err := errors.Join(err, client.Close()); err != nil {
			return c, err
		}
		daemon = j.cmd.Process.Pid
		defer func() {
			err = errors.Join(err, j.end(os.Interrupt))
			var failed error
			_, c.bytes, c.events, failed = segments(ctx, dir)
			err = errors.Join(err, failed)
		}()
	}
	before, own := cpuOf(cluster.Members[0].PID()), cpuOf(daemon)
	c.felt, err = b.phase(ctx, "updates", nil)
	c.etcd, c.daemon = cpuOf(cluster.Members[0].PID())-before, cpuOf(daemon)-own
	return c, err
}

// cpuOf is the CPU time that a process has taken; 0 without a process.
func cpuOf(pid int) time.Duration {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0
	}
	user, _ := strconv.ParseInt(fields[11], 10, 64)
	system, _ := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+system) * 10 * time.Millisecond // Linux counts hundredths of a second
}

func (b *bench) printCosts(all map[string][]cost) error {
	medians := map[string]cost{}
	for way, cs := range all {
		medians[way] = cost{
			felt: felt{p50: middle(cs, func(c cost) time.Duration { return c.p50 }), p99: middle(cs, func(c cost) time.Duration { return c.p99 })},
			etcd: middle(cs, func(c cost) time.Duration { return c.etcd }), daemon: middle(cs, func(c cost) time.Duration { return c.daemon }),
			bytes: middle(cs, func(c cost) int64 { return c.bytes }), events: middle(cs, func(c cost) int64 { return c.events }),
		}
	}
	tab := tabwriter.NewWriter(os.Stdout, 0, 0, 1, ' ', tabwriter.Debug)
	p := func(format string, args ...any) { fmt.Fprintf(tab, format, args...) } // Flush returns the error
	p("\netcd %s, %d puts a second of 2 to 8 KiB for %s, medians of %d rounds\n\n", b.version, updateRate, phaseTime, b.rounds)
	p("| during\t put p50\t put p99\t CPU of etcd\t CPU of the daemon\t\n|---\t---\t---\t---\t---\t\n")
	alone, with := medians[wayAlone], medians[wayJournal]
	for _, way := range []string{wayAlone, wayJournal} {
		c := medians[way]
		p("| %s\t %s\t %s\t %.2f s\t %.2f s\t\n", way, milliseconds(c.p50), milliseconds(c.p99), c.etcd.Seconds(), c.daemon.Seconds())
	}
	p("\n| ratio\t measured\t wanted\t\n|---\t---\t---\t\n")
	p("| CPU of etcd, (k2) to (k1)\t %s\t at most 1.1\t\n", ratio(with.etcd, alone.etcd, 2))
	p("| put p99, (k2) less (k1)\t %s\t at most 2 ms\t\n", milliseconds(with.p99-alone.p99))
	p("| bytes of journal per event\t %d\t at most 450\t\n", with.bytes/max(with.events, 1))
	p("| CPU of the daemon per event\t %s\t \t\n", with.daemon/time.Duration(max(with.events, 1)))
	return tab.Flush()
}
