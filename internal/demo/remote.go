package main

import (
	"context"
	"errors"
	"os"
	"path"

	"github.com/minio/minio-go/v7"

	"etcd-rolling-backup/internal/s3test"
)

const bucket, folder = "backups", "demo-cluster"

// remote is the S3 server, in this process, behind a proxy that can cut the connection.
type remote struct {
	server *s3test.FakeServer
	proxy  *s3test.Proxy
	client *minio.Client // not through the proxy
}

func newRemote(ctx context.Context) (*remote, error) {
	server, err := s3test.Fake(ctx)
	if err != nil {
		return nil, err
	}
	r := &remote{server: server}
	if r.client, err = server.Client(); err == nil {
		err = server.MakeBucket(ctx, bucket, s3test.BucketOptions{})
	}
	if err == nil {
		r.proxy, err = s3test.NewProxy(ctx, server.Target)
	}
	if err != nil {
		return nil, errors.Join(err, server.Close())
	}
	return r, nil
}

func (r *remote) close() error { return errors.Join(r.proxy.Close(), r.server.Close()) }

// flags are for a program with environ. The server lacks S3's own checksums, hence md5.
func (r *remote) flags() []string {
	return []string{"--s3-endpoint", r.proxy.URL(), "--s3-bucket", bucket, "--s3-folder", folder, "--s3-checksum", "md5"}
}

func (r *remote) environ() []string {
	return append(os.Environ(), "ETCD_BACKUP_CONFIG=/dev/null", "AWS_ACCESS_KEY_ID="+r.server.AccessKey, "AWS_SECRET_ACCESS_KEY="+r.server.SecretKey)
}

// names returns the names of all objects in the folder.
func (r *remote) names(ctx context.Context) (map[string]bool, error) {
	names := map[string]bool{}
	for object := range r.client.ListObjectsIter(ctx, bucket, minio.ListObjectsOptions{Prefix: folder + "/"}) {
		if object.Err != nil {
			return nil, object.Err
		}
		names[path.Base(object.Key)] = true
	}
	return names, nil
}
