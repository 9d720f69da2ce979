package journal_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/protobuf/proto"

	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/journal"
)

// A segment that can't get its name stays, whatever the reason is: the changes in it are recorded nowhere else. It gets the name later.
func TestSegmentWithoutItsNameIsNotLost(t *testing.T) {
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for name, x := range map[string]struct {
		ctx  context.Context
		harm func(t *testing.T, path string)
		free func(t *testing.T, path string)
	}{
		"the directory is locked by another": {ctx: ended},
		"the name belongs to something else": {
			ctx:  t.Context(),
			harm: func(t *testing.T, path string) { must(t, os.Mkdir(path, 0o700)) },
			free: func(t *testing.T, path string) { must(t, os.Remove(path)) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := snapshot.NewDir(filepath.Join(t.TempDir(), "store"))
			must(t, dir.Prepare())
			begun := time.Now().UTC().Truncate(time.Second)
			part, err := snapshot.NewSegmentName("node-a", begun, 7, 0)
			must(t, err)
			file, err := dir.CreateSegment(t.Context(), part)
			must(t, err)
			w, err := journal.NewWriter(file, journal.Header{Node: "node-a", ClusterID: 1, CreatedAt: begun, First: 7})
			must(t, err)
			data, err := proto.Marshal(&mvccpb.KeyValue{Key: []byte("k"), ModRevision: 7, CreateRevision: 7, Version: 1})
			must(t, err)
			must(t, w.Write(journal.Record{Kind: journal.KindPut, Revision: 7, Data: data}))
			must(t, w.Checkpoint(begun, false))
			m, err := w.Finish()
			must(t, err)
			complete, err := snapshot.ParseSegmentName(m.Name)
			must(t, err)
			path := filepath.Join(dir.Path(), m.Name)
			if x.harm != nil {
				x.harm(t, path)
			}
			if err := file.CommitAs(x.ctx, complete); err == nil {
				t.Fatal("it got its name")
			}
			if x.free != nil {
				x.free(t, path)
			}
			got, err := journal.Recover(t.Context(), dir, part)
			must(t, err)
			if got.Last != 7 || got.Events != 1 {
				t.Errorf("%+v", got)
			}
			if _, err := journal.Recover(t.Context(), dir, part); !errors.Is(err, snapshot.ErrNotFound) {
				t.Errorf("again: %v", err)
			}
		})
	}
}
