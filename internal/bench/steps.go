package main

import (
	"archive/zip"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"etcd-rolling-backup/internal/etcdtest"
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

func fill(ctx context.Context, endpoint, bytes string) error {
	n, err := strconv.ParseInt(bytes, 10, 64)
	if err != nil {
		return err
	}
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{endpoint}, Logger: zap.NewNop()})
	if err != nil {
		return err
	}
	_, err = etcdtest.Fill(ctx, client, etcdtest.FillOptions{Bytes: n, Seed: 1})
	return errors.Join(err, client.Close())
}

// floor reads the stream as etcd's own client gives it and keeps nothing.
func floor(ctx context.Context, endpoint string) error {
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{endpoint}, Logger: zap.NewNop()})
	if err != nil {
		return err
	}
	r, err := client.SnapshotWithVersion(ctx)
	if err != nil {
		return errors.Join(err, client.Close())
	}
	_, err = io.Copy(io.Discard, r.Snapshot)
	return errors.Join(err, r.Snapshot.Close(), client.Close())
}

// deflate puts a file into a zip archive and removes the file, as rke-tools does.
func deflate(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	z := zip.NewWriter(out)
	w, err := z.CreateHeader(&zip.FileHeader{Name: from, Method: zip.Deflate})
	if err != nil {
		return errors.Join(err, out.Close())
	}
	_, err = io.Copy(w, in)
	return errors.Join(err, z.Close(), out.Close(), os.Remove(from))
}
