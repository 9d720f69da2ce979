package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"os/exec"
	"slices"
	"syscall"
	"time"
)

// usage has the kernel's figures for a finished process.
type usage struct {
	wall, cpu time.Duration
	memory    int64 // peak resident bytes
	own       int64 // peak resident bytes without mapped files, sampled every few milliseconds
	written   int64 // bytes written to disks
	archive   int64 // size in bytes of its result
}

// then returns the usage of two processes, one after the other.
func (u usage) then(v usage) usage {
	return usage{wall: u.wall + v.wall, cpu: u.cpu + v.cpu, memory: max(u.memory, v.memory), own: max(u.own, v.own), written: u.written + v.written}
}

// leaving returns the usage with the size of its result.
func (u usage) leaving(archive int64) usage {
	u.archive = archive
	return u
}

func measured(ctx context.Context, program string, args ...string) (usage, error) {
	cmd := exec.CommandContext(ctx, program, args...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	start := time.Now()
	if err := cmd.Start(); err != nil {
		return usage{}, err
	}
	own := watchMemory(cmd.Process.Pid)
	err := cmd.Wait()
	wall := time.Since(start)
	peak := own()
	if err != nil {
		return usage{}, errors.Join(err, errors.New(out.String()))
	}
	r, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		return usage{}, errors.New("no resource usage of the process")
	}
	return usage{
		wall: wall, cpu: cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(),
		memory: r.Maxrss << 10, own: peak, written: r.Oublock * 512, // Linux counts KiB and sectors
	}, nil
}

// median returns the median of each figure.
func median(all []usage) usage {
	return usage{
		wall:    middle(all, func(u usage) time.Duration { return u.wall }),
		cpu:     middle(all, func(u usage) time.Duration { return u.cpu }),
		memory:  middle(all, func(u usage) int64 { return u.memory }),
		own:     middle(all, func(u usage) int64 { return u.own }),
		written: middle(all, func(u usage) int64 { return u.written }),
		archive: middle(all, func(u usage) int64 { return u.archive }),
	}
}

func middle[X any, T cmp.Ordered](all []X, figure func(X) T) T {
	values := make([]T, 0, len(all))
	for _, u := range all {
		values = append(values, figure(u))
	}
	slices.Sort(values)
	return values[len(values)/2]
}
