package main

import (
	"archive/zip"
	"context"
	"errors"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"etcd-rolling-backup/internal/etcdtest"
)

// step is a step that the bench runs in a separate process.
type step struct {
	args int
	run  func(ctx context.Context, args []string) error
}

func steps() map[string]step {
	return map[string]step{
		"fill":    {2, func(ctx context.Context, args []string) error { return fill(ctx, args[0], args[1]) }},
		"floor":   {1, func(ctx context.Context, args []string) error { return floor(ctx, args[0]) }},
		"deflate": {2, func(_ context.Context, args []string) error { return deflate(args[0], args[1]) }},
		"load": {2, func(ctx context.Context, args []string) error {
			return load(ctx, args[0], args[1], os.Stdin, os.Stdout)
		}},
		"replay":  {3, func(ctx context.Context, args []string) error { return replay(ctx, args[0], args[1], args[2]) }},
		"change":  {2, func(ctx context.Context, args []string) error { return change(ctx, args[0], args[1]) }},
		"archive": {2, func(ctx context.Context, args []string) error { return archive(ctx, args[0], args[1]) }},
		"list":    {1, func(ctx context.Context, args []string) error { return list(ctx, args[0]) }},
		"middle":  {1, func(ctx context.Context, args []string) error { return middleKey(ctx, args[0], os.Stdout) }},
		"compare": {2, func(ctx context.Context, args []string) error { return compare(ctx, args[0], args[1]) }},
		"put":     {2, func(ctx context.Context, args []string) error { return put(ctx, args[0], args[1]) }},
		"crowd": {4, func(ctx context.Context, args []string) error {
			kept, err := strconv.Atoi(args[2])
			return errors.Join(err, crowd(ctx, args[0], args[1], kept, args[3]))
		}},
	}
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

// floor reads the stream with etcd's own client and discards it.
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

// put uploads a file as most programs do, with minio-go's defaults for everything.
func put(ctx context.Context, server, file string) error {
	scheme, endpoint, _ := strings.Cut(server, "://")
	client, err := minio.New(endpoint, &minio.Options{Creds: credentials.NewEnvAWS(), Secure: scheme == "https"})
	if err != nil {
		return err
	}
	_, err = client.FPutObject(ctx, bucket, "plain", file, minio.PutObjectOptions{})
	return err
}
