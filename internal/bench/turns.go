package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"etcd-rolling-backup/internal/etcdtest"
	"etcd-rolling-backup/internal/s3test"
)

const (
	wayFloor        = "(a) stream thrown away"
	wayTools        = "(b) etcdctl, then deflate"
	wayRoller       = "(c) etcd-rolling-backup save"
	wayPut          = "(d1) FPutObject"
	wayMirror       = "(d2) etcd-rolling-backup mirror"
	wayToolsPut     = "(e1) (b), then FPutObject"
	wayRollerMirror = "(e2) save with its mirror"
)

// bucket exists during a turn; node is in the name of the uploaded archive.
const bucket, node = "bench", "bench"

// shareKeys sets the environment variables with the server's keys and CA for all S3 clients that are started.
func shareKeys(t s3test.Target) error {
	return errors.Join(
		os.Setenv("AWS_ACCESS_KEY_ID", t.AccessKey), os.Setenv("AWS_SECRET_ACCESS_KEY", t.SecretKey), os.Setenv("SSL_CERT_FILE", t.CAFile),
	)
}

func (b *bench) floor(ctx context.Context, _ string) (map[string]usage, error) {
	u, err := measured(ctx, b.self, "floor", b.endpoint)
	return only(wayFloor, u, err)
}

// tools runs the common steps of (b) and (e1) once.
func (b *bench) tools(ctx context.Context, dir string) (map[string]usage, error) {
	etcdctl, err := etcdtest.Program(b.version, "etcdctl")
	if err != nil {
		return nil, err
	}
	raw, zip := filepath.Join(dir, "snapshot"), filepath.Join(dir, "snapshot.zip")
	first, err := measured(ctx, etcdctl, "--endpoints", b.endpoint, "snapshot", "save", raw)
	if err != nil {
		return nil, fmt.Errorf("etcdctl: %w", err)
	}
	second, err := measured(ctx, b.self, "deflate", raw, zip)
	if err != nil {
		return nil, fmt.Errorf("deflate: %w", err)
	}
	info, err := os.Stat(zip)
	if err != nil {
		return nil, err
	}
	third, err := measured(ctx, b.self, "put", b.s3.URL(), zip)
	if err != nil {
		return nil, fmt.Errorf("FPutObject: %w", err)
	}
	local := first.then(second)
	return map[string]usage{wayTools: local.leaving(info.Size()), wayToolsPut: local.then(third).leaving(info.Size())}, nil
}

func (b *bench) roller(ctx context.Context, dir string) (map[string]usage, error) {
	u, err := b.save(ctx, dir)
	return only(wayRoller, u, err)
}

func (b *bench) rollerMirrored(ctx context.Context, dir string) (map[string]usage, error) {
	u, err := b.save(ctx, dir, b.s3Flags()...)
	return only(wayRollerMirror, u, err)
}

func (b *bench) save(ctx context.Context, dir string, flags ...string) (usage, error) {
	u, err := measured(ctx, b.program, append([]string{"save", "--endpoints", b.endpoint, "--dir", dir}, flags...)...)
	if err != nil {
		return u, err
	}
	_, size, err := onlyFile(dir)
	return u.leaving(size), err
}

func (b *bench) put(file string, size int64) turn {
	return func(ctx context.Context, _ string) (map[string]usage, error) {
		u, err := measured(ctx, b.self, "put", b.s3.URL(), file)
		return only(wayPut, u.leaving(size), err)
	}
}

func (b *bench) mirror(dir string, size int64) turn {
	return func(ctx context.Context, _ string) (map[string]usage, error) {
		u, err := measured(ctx, b.program, append([]string{"mirror", "--dir", dir, "--node", node}, b.s3Flags()...)...)
		return only(wayMirror, u.leaving(size), err)
	}
}

func (b *bench) s3Flags() []string {
	return []string{"--s3-endpoint", b.s3.URL(), "--s3-bucket", bucket}
}

// only is the result of a turn with one way.
func only(way string, u usage, err error) (map[string]usage, error) {
	if err != nil {
		return nil, fmt.Errorf("%s: %w", way, err)
	}
	return map[string]usage{way: u}, nil
}

// onlyFile returns the single snapshot in dir and its size.
func onlyFile(dir string) (string, int64, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.db.zst"))
	if err != nil || len(files) != 1 {
		return "", 0, errors.Join(err, fmt.Errorf("%d snapshots in %s, not one", len(files), dir))
	}
	info, err := os.Stat(files[0])
	if err != nil {
		return "", 0, err
	}
	return files[0], info.Size(), nil
}
