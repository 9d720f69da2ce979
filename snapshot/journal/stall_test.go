package journal_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"etcd-rolling-backup/internal/etcdtest"
	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/journal"
)

// standstill is longer than what counts as one.
const standstill = 3 * time.Second

// lateOnes says which revisions of the only segment, which may be written to, are marked as late.
func lateOnes(t testing.TB, dir string) map[int64]bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "journal_*"))
	must(t, err)
	if len(files) != 1 {
		t.Fatalf("segments %q", files)
	}
	data, err := os.ReadFile(files[0])
	must(t, err)
	s, err := journal.OpenPart(t.Context(), bytes.NewReader(data), int64(len(data)))
	must(t, err)
	all, from := map[int64]bool{}, s.First
	must(t, s.Each(t.Context(), func(r journal.Record) error {
		if r.Kind == journal.KindCheckpoint {
			for ; from <= r.Revision; from++ {
				all[from] = r.Late
			}
		}
		return nil
	}))
	return all
}

// pause stops the process and returns when the kernel says that it has stopped.
func (p *process) pause() {
	p.t.Helper()
	must(p.t, p.cmd.Process.Signal(syscall.SIGSTOP))
	for limit := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		stat, err := os.ReadFile("/proc/" + strconv.Itoa(p.cmd.Process.Pid) + "/stat")
		must(p.t, err)
		if bytes.HasPrefix(stat[bytes.LastIndexByte(stat, ')')+1:], []byte(" T")) {
			return
		}
		if time.Now().After(limit) {
			p.t.Fatal("the recorder does not stop")
		}
	}
}

// The connection stays: only the recorder itself can know that what it gets afterward is old.
func TestWhatChangedWhileTheRecorderWasStoppedIsLate(t *testing.T) {
	b := newBed(t, etcdtest.Options{UnsafeNoFsync: true})
	put := func() int64 {
		r, err := b.client.Put(t.Context(), "key", time.Now().String())
		must(t, err)
		return r.Header.Revision
	}
	j := job{Dir: b.store.Path(), Node: "node-a", Endpoint: b.cluster.Members[0].Endpoint, From: b.head(), Sync: time.Second, Seal: time.Hour, SealSize: 8 << 20}
	p := j.start(t)
	before := put()
	p.reach(before)
	p.pause()
	first, stopped := put(), time.Now()
	last := first
	for time.Since(stopped) < standstill {
		last = put()
	}
	must(t, p.cmd.Process.Signal(syscall.SIGCONT))
	p.reach(last)
	late := lateOnes(t, j.Dir)
	for revision := first; revision <= last; revision++ {
		if !late[revision] {
			t.Fatalf("revision %d of %d to %d is not late", revision, first, last)
		}
	}
	for limit := time.Now().Add(time.Minute); ; {
		revision := put()
		p.reach(revision)
		if !lateOnes(t, j.Dir)[revision] {
			break // it knows that it is up to date again
		}
		if time.Now().After(limit) {
			t.Fatal("all is late")
		}
	}
	p.kill()
}

// behind is a member that knows more than its watch has shown.
type behind struct {
	endless
	revision int64
}

func (b *behind) Revision(context.Context) (int64, error) { return b.revision, nil }

// A slow disk holds the recorder up, and then it sees a notice that was sent before the changes that follow.
func TestNoticeFromBeforeAStandstillDoesNotSayThatNothingHasChanged(t *testing.T) {
	dir := snapshot.NewDir(t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	notice := &pb.WatchResponse{Header: &pb.ResponseHeader{ClusterId: 1, Revision: 5}}
	s := &behind{revision: 8}
	s.ctx, s.responses = ctx, []*pb.WatchResponse{response(false, "v", 5), notice, response(false, "v", 6, 7, 8)}
	var quiet atomic.Int64
	var once sync.Once
	o := journal.Options{
		Header: header(0), Sync: time.Hour, Seal: time.Hour, SealSize: 1 << 30, Timeout: time.Second,
		Quiet: func(q journal.Quiet) { quiet.Store(q.Revision) },
		Seen: func(last, _ int64) {
			switch last {
			case 5:
				once.Do(func() { time.Sleep(standstill) })
			case 8:
				cancel()
			}
		},
	}
	if err := journal.NewRecorder(dir, o, 0, "").Run(ctx, s, s, 0); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if q := quiet.Load(); q != 0 {
		t.Errorf("nothing is said to have changed after revision %d", q)
	}
	if late := lateOnes(t, dir.Path()); late[5] || !late[6] || !late[8] {
		t.Errorf("late: %v", late)
	}
}
