package browse_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/protobuf/proto"

	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/browse"
	"etcd-rolling-backup/snapshot/input"
)

// database makes a small database as etcd has it: with branch pages, values of several pages, and deletions.
func database(t testing.TB) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "db")
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{PageSize: 4096, NoSync: true, NoFreelistSync: true})
	must(t, err)
	must(t, db.Update(func(tx *bbolt.Tx) error {
		keys, err := tx.CreateBucket([]byte("key"))
		must(t, err)
		meta, err := tx.CreateBucket([]byte("meta"))
		must(t, err)
		must(t, meta.Put([]byte("finishedCompactRev"), revisionKey(3, 0, false)))
		for i := range int64(120) {
			kv := &mvccpb.KeyValue{Key: fmt.Appendf(nil, "/key/%d", i%30), CreateRevision: 2, ModRevision: i + 2, Version: i + 1}
			deleted := i%7 == 6
			if deleted {
				kv = &mvccpb.KeyValue{Key: kv.GetKey()}
			} else {
				kv.Value = []byte(strings.Repeat("v", int(i*i)%9000))
			}
			text, err := proto.Marshal(kv)
			must(t, err)
			must(t, keys.Put(revisionKey(i+2, 0, deleted), text))
		}
		return nil
	}))
	must(t, db.Close())
	data, err := os.ReadFile(path)
	must(t, err)
	return data
}

// An archive whose database ends before the revision of its manifest is damaged, whether it is read as it is or continued.
func TestDatabaseOfAnotherEtcdIsDamaged(t *testing.T) {
	data := database(t) // up to revision 121
	for revision, want := range map[int64]error{121: nil, 122: snapshot.ErrDamaged} {
		name, err := snapshot.NewName("manual", "node-a", time.Now())
		must(t, err)
		var file bytes.Buffer
		w, err := snapshot.NewWriter(&file)
		must(t, err)
		sum := sha256.Sum256(data)
		_, err = w.Write(append(bytes.Clone(data), sum[:]...))
		must(t, err)
		_, err = w.Finish(snapshot.Manifest{Name: name.String(), CreatedAt: name.Time, Node: "node-a", Source: snapshot.Source{ClusterID: 1, MemberID: 2, Revision: revision}})
		must(t, err)
		for _, continued := range []bool{false, true} {
			in, err := input.Open(bytes.NewReader(file.Bytes()), int64(file.Len()))
			must(t, err)
			s := browse.Source{Input: in, Scratch: snapshot.NewDir(t.TempDir())}
			if continued {
				s.Continue = func(_ context.Context, base, out *os.File) error {
					_, err := io.Copy(out, io.NewSectionReader(base, 0, int64(len(data))))
					return errors.Join(err, base.Close(), out.Close())
				}
			}
			d, _, err := browse.Open(t.Context(), s)
			if !errors.Is(err, want) || (err == nil) != (want == nil) {
				t.Errorf("revision %d, continued %t: %v, want %v", revision, continued, err, want)
			}
			if err == nil {
				must(t, d.Close())
			}
		}
	}
}

func revisionKey(main, sub int64, tombstone bool) []byte {
	b := binary.BigEndian.AppendUint64(nil, uint64(main))
	b = binary.BigEndian.AppendUint64(append(b, '_'), uint64(sub))
	if tombstone {
		b = append(b, 't')
	}
	return b
}

// openData opens a database of these bytes, and returns its path.
func openData(t testing.TB, data []byte) (*browse.DB, string, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "db")
	must(t, os.WriteFile(path, data, 0o600))
	f, err := os.Open(path)
	must(t, err)
	d, err := browse.OpenFile(t.Context(), f)
	return d, path, err
}

// readAll reads all that there is in each way.
func readAll(ctx context.Context, d *browse.DB) error {
	var errs []error
	for _, revision := range []int64{0, d.Retained().Oldest, 60} {
		l, err := d.List(ctx, nil, revision)
		if err == nil {
			err = l.Each(ctx, func(browse.KeyValue) error { return nil })
		}
		deleted, failed := d.Deleted(ctx, []byte("/key/"), revision)
		if failed == nil {
			failed = deleted.EachDeletion(ctx, func(browse.Deletion) error { return nil })
		}
		_, missing := d.Get(ctx, []byte("/key/1"), revision)
		errs = append(errs, err, failed, missing)
		if err == nil && failed == nil {
			errs = append(errs, browse.Compare(ctx, l, deleted, func(_, _ *browse.KeyValue) error { return nil }))
		}
	}
	return errors.Join(append(errs, d.History(ctx, []byte("/key/1"), func(browse.Change) error { return nil }))...)
}

// wantDamage accepts only errors that say damage; no such key and no such revision may be its consequence.
func wantDamage(t testing.TB, err error) {
	t.Helper()
	if err == nil {
		return
	}
	if joined, several := err.(interface{ Unwrap() []error }); several && !errors.Is(err, snapshot.ErrDamaged) {
		for _, err := range joined.Unwrap() {
			wantDamage(t, err)
		}
		return
	}
	if !errors.Is(err, snapshot.ErrDamaged) && !errors.Is(err, browse.ErrNoKey) && !errors.Is(err, browse.ErrRevision) {
		t.Errorf("the error is not that of damage: %v", err)
	}
}

// Each page of a database in turn is overwritten, in several ways: that is an error, or it changes only values, and it is never a crash.
func TestDatabaseWithABrokenPageIsAnError(t *testing.T) {
	data := database(t)
	refused := 0
	for page := range len(data) / 4096 {
		for how, change := range map[string]func([]byte){
			"zeros":   func(p []byte) { clear(p) },
			"noise":   func(p []byte) { copy(p, strings.Repeat("\xff\x7f\x01", len(p)/3)) },
			"another": func(p []byte) { copy(p, data[2*4096:3*4096]) },
			"half":    func(p []byte) { clear(p[len(p)/2:]) },
		} {
			broken := append([]byte(nil), data...)
			change(broken[page*4096 : (page+1)*4096])
			d, _, err := openData(t, broken)
			if err == nil {
				err = readAll(t.Context(), d)
				must(t, d.Close())
			}
			if err != nil {
				refused++
			}
			wantDamage(t, err)
			if t.Failed() {
				t.Fatalf("page %d: %s", page, how)
			}
		}
	}
	if refused < len(data)/4096 {
		t.Errorf("only %d databases were refused", refused)
	}
}

// A disk that fails while the file is mapped is an error of what is being read.
func TestDiskThatFailsUnderTheMappingIsAnError(t *testing.T) {
	data := database(t)
	d, path, err := openData(t, data)
	must(t, err)
	l, err := d.List(t.Context(), nil, 0)
	must(t, err)
	must(t, os.Truncate(path, 8192)) // what is mapped beyond is gone, as on a disk that fails
	err = readAll(t.Context(), d)
	if !errors.Is(err, snapshot.ErrDamaged) || !strings.Contains(fmt.Sprint(err), "unreadable page") {
		t.Errorf("got %v", err)
	}
	for name, read := range map[string]func() error{
		"each": func() error { return l.Each(t.Context(), func(browse.KeyValue) error { return nil }) },
		"compare": func() error {
			return browse.Compare(t.Context(), l, l, func(_, _ *browse.KeyValue) error { return nil })
		},
		"get": func() error { _, err := d.Get(t.Context(), []byte("/key/2"), 0); return err },
	} {
		if err := read(); !errors.Is(err, snapshot.ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
	}
	must(t, os.Truncate(path, int64(len(data)))) // to close it
	must(t, d.Close())
}

// Whatever is changed in a database, reading it is right or an error, and never a crash.
func FuzzDamagedDatabase(f *testing.F) {
	data := database(f)
	for _, at := range []int{8, 24, 4096, 3 * 4096, 3*4096 + 8, 3*4096 + 16, 3*4096 + 1000, len(data) / 2, len(data) - 100} {
		f.Add(uint32(at), []byte{0xff}, uint32(at/2), []byte{0, 1, 2, 3})
	}
	f.Fuzz(func(t *testing.T, at uint32, patch []byte, other uint32, also []byte) {
		broken := append([]byte(nil), data...)
		copy(broken[int(at)%len(broken):], patch)
		copy(broken[int(other)%len(broken):], also)
		d, _, err := openData(t, broken)
		if err == nil {
			err = readAll(t.Context(), d)
			must(t, d.Close())
		}
		wantDamage(t, err)
	})
}

// What is read while it is canceled ends with the cause.
func TestCanceledReadingEnds(t *testing.T) {
	d, _, err := openData(t, database(t))
	must(t, err)
	defer d.Close()
	ctx, cancel := context.WithCancelCause(t.Context())
	stop := errors.New("SIGINT")
	cancel(stop)
	_, err = d.List(ctx, nil, 0)
	_, got := d.Get(ctx, []byte("/key/1"), 0)
	history := d.History(ctx, []byte("/key/1"), func(browse.Change) error { return nil })
	for _, err := range []error{err, got, history} {
		if !errors.Is(err, stop) {
			t.Errorf("got %v", err)
		}
	}
}
