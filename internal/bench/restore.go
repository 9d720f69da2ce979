package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"etcd-rolling-backup/internal/etcdtest"
)

const (
	wayEtcdutl     = "(f1) etcdutl snapshot restore, of the unpacked file"
	wayZstdEtcdutl = "(f2) zstd -d, then (f1)"
	wayRestore     = "(f3) etcd-rolling-backup restore"
)

// restores measures the ways from an archive to a data directory.
func (b *bench) restores(ctx context.Context) (err error) {
	dir := filepath.Join(b.work, "store")
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if _, err := b.save(ctx, dir); err != nil {
		return err
	}
	file, _, err := onlyFile(dir)
	if err != nil {
		return err
	}
	all, err := b.takeTurns(ctx, b.etcdutl(file), b.restore(file))
	if err != nil {
		return err
	}
	return printTable(os.Stdout, b.restoreTable(all))
}

// etcdutl runs the common steps of (f1) and (f2) once.
func (b *bench) etcdutl(file string) turn {
	return func(ctx context.Context, dir string) (map[string]usage, error) {
		raw := filepath.Join(dir, "snapshot.db")
		unpack, err := measured(ctx, "zstd", "-q", "-d", "-o", raw, file)
		if err != nil {
			return nil, fmt.Errorf("zstd: %w", err)
		}
		etcdutl, err := etcdtest.Program(b.version, "etcdutl")
		if err != nil {
			return nil, err
		}
		restore, err := measured(ctx, etcdutl, "snapshot", "restore", raw, "--data-dir", filepath.Join(dir, "data"))
		if err != nil {
			return nil, fmt.Errorf("etcdutl: %w", err)
		}
		return map[string]usage{wayEtcdutl: restore, wayZstdEtcdutl: unpack.then(restore)}, nil
	}
}

func (b *bench) restore(file string) turn {
	return func(ctx context.Context, dir string) (map[string]usage, error) {
		u, err := measured(ctx, b.program, "restore", file, "--data-dir", filepath.Join(dir, "data"), "--members", "single")
		return only(wayRestore, u, err)
	}
}
