package drill

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"etcd-rolling-backup/internal/etcdtest"
	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/member"
)

// booted is a drill that has come up to its comparison, of a snapshot with keys under a lease of 15 s.
func booted(t *testing.T) *drill {
	t.Helper()
	c := etcdtest.Run(t, etcdtest.Options{UnsafeNoFsync: true})
	client := etcdtest.Dial(t, c)
	lease, err := client.Grant(t.Context(), 15)
	must(t, err)
	alive, stop := context.WithCancel(t.Context())
	defer stop()
	kept, err := client.KeepAlive(alive, lease.ID) // until the snapshot is taken: then it runs out in what the drill starts
	must(t, err)
	go func() {
		for range kept {
		}
	}()
	for i := range 300 {
		_, err := client.Put(t.Context(), fmt.Sprintf("/key/%d", i), "value", clientv3.WithLease(lease.ID))
		must(t, err)
		if i%3 == 0 {
			_, err := client.Delete(t.Context(), fmt.Sprintf("/key/%d", i))
			must(t, err)
		}
	}
	source, err := member.Connect(t.Context(), member.Config{Endpoints: []string{c.Members[0].ClientURL}, Timeout: 10 * time.Second})
	must(t, err)
	defer source.Close()
	dir := snapshot.NewDir(t.TempDir())
	taken, err := snapshot.Take(t.Context(), source, dir, snapshot.TakeOptions{Set: "manual", Node: "node-a", Stall: time.Minute})
	must(t, err)
	f, err := dir.File(taken.Name)
	must(t, err)
	t.Cleanup(func() { must(t, f.Close()) })

	d := &drill{options: options{archive: f, dir: t.TempDir()}, log: newServerLog()}
	for _, stage := range []func(context.Context) error{d.unpack, d.restore, d.hash, d.boot} {
		must(t, d.log.guard(t.Context(), ErrStart, time.Hour, func() error { return stage(t.Context()) }))
	}
	t.Cleanup(d.server.Close)
	return d
}

// A difference of any kind is detected; what the server itself changes after its start is not one.
func TestCompare(t *testing.T) {
	d := booted(t)
	kv := d.server.Server.KV()
	for end := time.Now().Add(90 * time.Second); kv.Rev() == d.contents.revision; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the lease did not run out")
		}
	}
	right, keys := d.contents, d.report.Keys
	if len(right.sample) < sampleSize || len(right.sample) > 2*sampleSize {
		t.Errorf("the sample has %d keys", len(right.sample))
	}
	must(t, d.compare(t.Context()))
	if d.result.Sampled >= len(right.sample) || d.result.Sampled == 0 || d.result.Keys != 200 {
		t.Errorf("of %d keys in the sample %d were alive, in all %d", len(right.sample), d.result.Sampled, d.result.Keys)
	}
	for name, change := range map[string]func(){
		"keys":     func() { d.report.Keys++ },
		"hash":     func() { d.contents.hash.Hash++ },
		"compact":  func() { d.contents.hash.CompactRevision++ },
		"revision": func() { d.contents.revision = kv.Rev() + 1 },
		"lower":    func() { d.contents.revision-- },
		"sample": func() {
			d.contents.sample = append([]sampled{}, d.contents.sample...)
			d.contents.sample[1].sum[0]++
		},
		"gone key": func() {
			d.contents.sample = append([]sampled{{key: []byte("/no/such/key"), has: true}}, d.contents.sample...)
		},
	} {
		d.contents, d.report.Keys = right, keys
		change()
		if err := d.compare(t.Context()); !errors.Is(err, ErrContents) || !errors.Is(err, snapshot.ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// When etcd cannot continue, the result is an error, from whichever goroutine it comes; a full disk is not damage.
func TestGuardTurnsExitOfEtcdIntoError(t *testing.T) {
	full := &os.PathError{Op: "write", Path: "wal", Err: unix.ENOSPC}
	for name, c := range map[string]struct {
		do     func(*serverLog) error
		blamed bool
	}{
		"fatal":            {func(l *serverLog) error { l.logger.Fatal("no good", zap.Error(errors.New("x"))); return nil }, true},
		"panic of the log": {func(l *serverLog) error { l.logger.Panic("no good"); return nil }, true},
		"panic":            {func(*serverLog) error { panic("no good") }, true},
		"disk full":        {func(l *serverLog) error { l.logger.Fatal("no good", zap.Error(full)); return nil }, false},
		"disk full, as text": {func(l *serverLog) error {
			l.logger.Fatal("no good", zap.Error(errors.New("file sync error: "+unix.ENOSPC.Error())))
			return nil
		}, false},
		"panic with error": {func(*serverLog) error { panic(full) }, false},
		"error":            {func(*serverLog) error { return full }, false},
		"elsewhere": {func(l *serverLog) error {
			go func() { l.logger.Fatal("no good") }()
			select {}
		}, true},
	} {
		l := newServerLog()
		err := l.guard(t.Context(), ErrStart, time.Hour, func() error { return c.do(l) })
		if err == nil || errors.Is(err, ErrStart) != c.blamed || errors.Is(err, unix.ENOSPC) == c.blamed {
			t.Errorf("%s: %v", name, err)
		}
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	l := newServerLog()
	errStop := errors.New("stop")
	if err := l.guard(ctx, ErrStart, time.Hour, func() error { cancel(errStop); select {} }); !errors.Is(err, errStop) {
		t.Errorf("canceled: %v", err)
	}
	if err := l.guard(ctx, ErrStart, time.Hour, func() error { t.Error("ran"); return nil }); !errors.Is(err, errStop) {
		t.Errorf("canceled before: %v", err)
	}
	l.logger.Error("disk slow", zap.Int("ms", 12))
	if err := l.withLog(errStop); err.Error() != `stop (etcd's log: disk slow {"ms": 12})` {
		t.Errorf("%v", err)
	}
}

// A database with fewer entries than a sample, and one with none.
func TestRunOnEmpty(t *testing.T) {
	c := etcdtest.Run(t, etcdtest.Options{UnsafeNoFsync: true})
	path := filepath.Join(t.TempDir(), "db")
	_, err := c.Members[0].Etcdctl(t.Context(), "snapshot", "save", path)
	must(t, err)
	h, err := readDatabase(t.Context(), zap.NewNop(), path)
	must(t, err)
	if h.revision != 1 || h.hash.Revision != 1 || len(h.sample) != 0 {
		t.Errorf("%+v", h)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// etcd's store panics on these while it holds a lock. That ends the reading, and does not wait for the lock.
func TestReadDatabaseEndsOnWhatEtcdCannotRead(t *testing.T) {
	for _, what := range []string{"a finished compaction of zeros", "an empty scheduled compaction", "a scheduled compaction of one byte", "a value that is no protobuf"} {
		path := filepath.Join(t.TempDir(), "db")
		db, err := bbolt.Open(path, 0o600, nil)
		if err != nil {
			t.Fatal(err)
		}
		err = db.Update(func(tx *bbolt.Tx) error {
			for _, name := range []string{"key", "meta"} {
				if _, err := tx.CreateBucket([]byte(name)); err != nil {
					return err
				}
			}
			return etcdtest.Unreadable()[what](tx)
		})
		if err := errors.Join(err, db.Close()); err != nil {
			t.Fatal(err)
		}
		log := newServerLog()
		err = log.guard(t.Context(), ErrStart, time.Hour, func() error {
			_, err := readDatabase(t.Context(), log.logger, path)
			return err
		})
		if !errors.Is(err, ErrStart) {
			t.Errorf("%s: %v, want ErrStart", what, err)
		}
	}
}

func TestStageThatNeverEndsIsEnded(t *testing.T) {
	err := newServerLog().guard(t.Context(), ErrStart, time.Millisecond, func() error { select {} })
	if !errors.Is(err, ErrStart) || !strings.Contains(err.Error(), "no result within 1ms") {
		t.Errorf("%v, want ErrStart", err)
	}
}

func TestLongestErrorFitsInAMessage(t *testing.T) {
	var line bytes.Buffer
	long := fmt.Errorf("%w: etcd panicked: %s", ErrStart, strings.Repeat("\x01a", 1<<20))
	if err := (&messageWriter{w: &line}).send(failure(long)); err != nil {
		t.Fatal(err)
	}
	reader := &messageReader{}
	_, _ = reader.Write(line.Bytes())
	if !errors.Is(reader.failed, ErrStart) || reader.invalid != nil {
		t.Errorf("%d bytes arrive as %v, %v", line.Len(), reader.failed, reader.invalid)
	}
}
