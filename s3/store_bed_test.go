package s3_test

import (
	"bytes"
	"context"
	"io"
	"slices"
	"strings"

	"github.com/minio/minio-go/v7"

	"etcd-rolling-backup/s3"
	"etcd-rolling-backup/snapshot"
)

// bucketStore is a bucket as all stores are tested, with a client that goes past it.
type bucketStore struct {
	*s3.Bucket
	client *minio.Client
	config s3.Config
}

// Put takes archives only, as the mirror does.
func (s bucketStore) Put(ctx context.Context, n snapshot.Name, r io.ReaderAt, size int64) error {
	a, err := snapshot.OpenArchive(r, size)
	if err != nil {
		return err
	}
	return s.PutArchive(ctx, n, a, false, nil)
}

// List implements storetest.Store.
func (s bucketStore) List(ctx context.Context) ([]snapshot.Entry, error) { return s.Bucket.List(ctx) }

func (s bucketStore) PutSegment(ctx context.Context, n snapshot.SegmentName, data []byte) error {
	size := int64(len(data))
	segment, err := snapshot.OpenSealedSegment(bytes.NewReader(data), size)
	if err != nil {
		return err
	}
	return s.Bucket.PutSegment(ctx, n, segment, size, nil)
}

func (s bucketStore) Segments(ctx context.Context, nodes []string) ([]snapshot.SegmentEntry, error) {
	return s.ListSegments(ctx, nodes)
}

func (s bucketStore) folder() string { return s.config.Folder + "/" }

func (s bucketStore) Plant(ctx context.Context, key string, data []byte) error {
	_, err := s.client.PutObject(ctx, s.config.Bucket, s.folder()+key, bytes.NewReader(data), int64(len(data)), minio.PutObjectOptions{})
	return err
}

func (s bucketStore) Keys(ctx context.Context) ([]string, error) {
	var keys []string
	for o := range s.client.ListObjectsIter(ctx, s.config.Bucket, minio.ListObjectsOptions{Recursive: true}) {
		if o.Err != nil {
			return nil, o.Err
		}
		keys = append(keys, strings.TrimPrefix(o.Key, s.folder()))
	}
	slices.Sort(keys)
	return keys, nil
}
