package snapshot_test

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"etcd-rolling-backup/internal/storetest"
	"etcd-rolling-backup/snapshot"
)

// The directory passes the same tests as a bucket.
func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Store { return dirStore{newDir(t)} })
}

// dirStore reads and writes the directory as download and verify do.
type dirStore struct{ dir *snapshot.Dir }

func (s dirStore) Put(ctx context.Context, n snapshot.Name, r io.ReaderAt, size int64) error {
	// Not cut off at size, so that Receive sees bytes after it.
	_, err := s.dir.Receive(ctx, n, n.String(), io.NewSectionReader(r, 0, math.MaxInt64), size, 0, nil)
	return err
}

func (s dirStore) List(context.Context) ([]snapshot.Entry, error) {
	l, err := s.dir.List()
	return l.Snapshots, err
}

func (s dirStore) Get(_ context.Context, n snapshot.Name) (io.ReadCloser, int64, error) {
	f, err := s.dir.File(n)
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	return f, info.Size(), nil
}

func (s dirStore) Tail(_ context.Context, n snapshot.Name) ([]byte, int64, error) {
	f, err := s.dir.File(n)
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, 0, err
	}
	tail, err := io.ReadAll(io.NewSectionReader(f, max(0, info.Size()-snapshot.TailSize), snapshot.TailSize))
	return tail, info.Size(), err
}

func (s dirStore) Remove(ctx context.Context, n snapshot.Name) error { return s.dir.Remove(ctx, n) }

func (s dirStore) PutSegment(ctx context.Context, n snapshot.SegmentName, data []byte) error {
	begun := n
	begun.Last = 0
	part, err := s.dir.CreateSegment(ctx, begun)
	if err != nil {
		return err
	}
	if _, err := part.Write(data); err != nil {
		return errors.Join(err, part.Abort())
	}
	return part.CommitAs(ctx, n)
}

func (s dirStore) Segments(_ context.Context, nodes []string) ([]snapshot.SegmentEntry, error) {
	l, err := s.dir.List()
	return slices.DeleteFunc(l.Segments, func(e snapshot.SegmentEntry) bool { return nodes != nil && !slices.Contains(nodes, e.Name.Node) }), err
}

func (s dirStore) GetSegment(_ context.Context, n snapshot.SegmentName) (io.ReadCloser, int64, error) {
	f, err := s.dir.OpenSegment(n)
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	return f, info.Size(), nil
}

func (s dirStore) RemoveSegment(ctx context.Context, n snapshot.SegmentName) error {
	return s.dir.RemoveSegment(ctx, n)
}

func (s dirStore) Plant(_ context.Context, key string, data []byte) error {
	path := filepath.Join(s.dir.Path(), key)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return os.WriteFile(path, data, 0o600)
}

func (s dirStore) Keys(context.Context) ([]string, error) {
	var keys []string
	err := filepath.WalkDir(s.dir.Path(), func(path string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() && e.Name() != ".lock" {
			keys = append(keys, path[len(s.dir.Path())+1:])
		}
		return err
	})
	slices.Sort(keys)
	return keys, err
}
