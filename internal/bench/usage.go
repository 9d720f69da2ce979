package main

import (
	"cmp"
	"context"
	"errors"
	"os/exec"
	"slices"
	"syscall"
	"time"
)

// usage is what the kernel says of a finished process.
type usage struct {
	wall, cpu time.Duration
	memory    int64 // peak resident bytes
	written   int64 // bytes that it made dirty on disks
	archive   int64 // bytes of what it left
}

// then is the usage of two processes, one after the other.
func (u usage) then(v usage) usage {
	return usage{wall: u.wall + v.wall, cpu: u.cpu + v.cpu, memory: max(u.memory, v.memory), written: u.written + v.written}
}

// leaving is the usage with what was left by it.
func (u usage) leaving(archive int64) usage {
	u.archive = archive
	return u
}

func measured(ctx context.Context, program string, args ...string) (usage, error) {
	cmd := exec.CommandContext(ctx, program, args...)
	start := time.Now()
	out, err := cmd.CombinedOutput()
	wall := time.Since(start)
	if err != nil {
		return usage{}, errors.Join(err, errors.New(string(out)))
	}
	r, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		return usage{}, errors.New("no resource usage of the process")
	}
	return usage{
		wall: wall, cpu: cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(),
		memory: r.Maxrss << 10, written: r.Oublock * 512, // Linux counts KiB and sectors
	}, nil
}

// median takes each figure's own median.
func median(all []usage) usage {
	return usage{
		wall:    middle(all, func(u usage) time.Duration { return u.wall }),
		cpu:     middle(all, func(u usage) time.Duration { return u.cpu }),
		memory:  middle(all, func(u usage) int64 { return u.memory }),
		written: middle(all, func(u usage) int64 { return u.written }),
		archive: middle(all, func(u usage) int64 { return u.archive }),
	}
}

func middle[T cmp.Ordered](all []usage, figure func(usage) T) T {
	values := make([]T, 0, len(all))
	for _, u := range all {
		values = append(values, figure(u))
	}
	slices.Sort(values)
	return values[len(values)/2]
}
