package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"

	"etcd-rolling-backup/snapshot/browse"
)

const (
	wayVerify  = "(h1) verify"
	wayGet     = "(h2) get of one key"
	wayList    = "(h3) all keys listed, once unpacked"
	wayCompare = "(h4) two snapshots compared, once unpacked"
)

// looks measures the ways to look into a snapshot. The second one has a few changes more.
func (b *bench) looks(ctx context.Context) (err error) {
	dirs := []string{filepath.Join(b.work, "look1"), filepath.Join(b.work, "look2")}
	defer func() {
		for _, dir := range dirs {
			err = errors.Join(err, os.RemoveAll(dir))
		}
	}()
	var archives, raw []string
	for i, dir := range dirs {
		if i > 0 {
			if _, err := measured(ctx, b.self, "fill", b.endpoint, fmt.Sprint(b.bytes/1000)); err != nil {
				return fmt.Errorf("change etcd: %w", err)
			}
		}
		if _, err := b.save(ctx, dir); err != nil {
			return err
		}
		file, _, err := onlyFile(dir)
		if err != nil {
			return err
		}
		archives, raw = append(archives, file), append(raw, filepath.Join(dir, "raw"))
		if _, err := measured(ctx, "zstd", "-q", "-d", "-o", raw[i], file); err != nil {
			return fmt.Errorf("zstd: %w", err)
		}
	}
	key, err := b.aKey(ctx, archives[0])
	if err != nil {
		return err
	}
	all, err := b.takeTurns(ctx,
		b.way(wayVerify, b.program, "verify", archives[0]), b.way(wayGet, b.program, "get", key, "--output", "raw", "--show-secrets", "--snapshot", archives[0]),
		b.way(wayList, b.self, "list", raw[0]), b.way(wayCompare, b.self, "compare", raw[0], raw[1]))
	if err != nil {
		return err
	}
	return printTable(os.Stdout, b.lookTable(all))
}

// way is a turn of one process.
func (b *bench) way(name, program string, args ...string) turn {
	return func(ctx context.Context, _ string) (map[string]usage, error) {
		u, err := measured(ctx, program, args...)
		return only(name, u, err)
	}
}

// aKey returns one in the middle. Another process looks for it: what is measured later would inherit the peak memory of this one.
func (b *bench) aKey(ctx context.Context, archive string) (key string, err error) {
	out, err := exec.CommandContext(ctx, b.self, "middle", filepath.Join(filepath.Dir(archive), "raw")).Output()
	return string(out), err
}

// middleKey prints the key in the middle.
func middleKey(ctx context.Context, path string, out io.Writer) error {
	var printed error
	_, err := eachKey(ctx, path, func(n, of int, kv browse.KeyValue) {
		if n == of/2 {
			_, printed = out.Write(kv.Key)
		}
	})
	return errors.Join(err, printed)
}

// list reads the name and the numbers of each key, as ls does.
func list(ctx context.Context, path string) error {
	n, err := eachKey(ctx, path, func(int, int, browse.KeyValue) {})
	if err == nil && n == 0 {
		err = errors.New("there are no keys")
	}
	return err
}

func eachKey(ctx context.Context, path string, visit func(n, of int, kv browse.KeyValue)) (n int, err error) {
	d, l, err := openList(ctx, path)
	if err != nil {
		return 0, err
	}
	err = l.Each(ctx, func(kv browse.KeyValue) error {
		visit(n, l.Len(), kv)
		n++
		return nil
	})
	return n, errors.Join(err, d.Close())
}

func openList(ctx context.Context, path string) (*browse.DB, *browse.List, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	d, err := browse.OpenFile(ctx, f)
	if err != nil {
		return nil, nil, err
	}
	l, err := d.List(ctx, nil, 0)
	if err != nil {
		err = errors.Join(err, d.Close())
	}
	return d, l, err
}

// compare compares two unpacked databases, as diff does.
func compare(ctx context.Context, before, after string) error {
	a, listA, err := openList(ctx, before)
	if err != nil {
		return err
	}
	b, listB, err := openList(ctx, after)
	if err != nil {
		return errors.Join(err, a.Close())
	}
	n := 0
	err = browse.Compare(ctx, listA, listB, func(_, _ *browse.KeyValue) error {
		n++
		return nil
	})
	if err == nil && n == 0 {
		err = errors.New("there is no difference")
	}
	return errors.Join(err, a.Close(), b.Close())
}
