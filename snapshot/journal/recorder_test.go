package journal_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"etcd-rolling-backup/internal/etcdtest"
	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/journal"
)

// script is a watch that shows these responses and then fails.
type script struct {
	responses []*pb.WatchResponse
	next      int
}

var errCut = errors.New("connection lost")

func (s *script) Recv() (*pb.WatchResponse, error) {
	if s.next == len(s.responses) {
		return nil, errCut
	}
	s.next++
	return s.responses[s.next-1], nil
}

func (s *script) LeaseTTL(context.Context, int64) (int64, error)          { return 0, errCut }
func (s *script) Revision(context.Context) (int64, error)                 { return 0, errCut }
func (s *script) Compacted(_ context.Context, known int64) (int64, error) { return known, nil }

// response has a put for each revision.
func response(fragment bool, value string, revisions ...int64) *pb.WatchResponse {
	r := &pb.WatchResponse{Header: &pb.ResponseHeader{ClusterId: 1}, Fragment: fragment}
	for _, rev := range revisions {
		r.Events = append(r.Events, &mvccpb.Event{Kv: &mvccpb.KeyValue{Key: []byte("k"), Value: []byte(value), ModRevision: rev}})
	}
	return r
}

// play records responses into dir behind a revision and returns what ended that.
func play(t testing.TB, dir *snapshot.Dir, last int64, digest string, responses ...*pb.WatchResponse) (all []journal.Manifest, err error) {
	t.Helper()
	o := journal.Options{
		Header: header(0), Sync: time.Hour, Seal: time.Hour, SealSize: 1 << 30, Timeout: time.Second,
		Sealed: func(m journal.Manifest) { all = append(all, m) },
	}
	s := &script{responses: responses}
	r := journal.NewRecorder(dir, o, last, digest)
	err = r.Run(t.Context(), s, s, 0)
	if len(all) > 0 && r.Last() != all[len(all)-1].Last {
		t.Errorf("the recorder is at %d, its last segment at %d", r.Last(), all[len(all)-1].Last)
	}
	return all, err
}

func TestRecorderContinuesOnlyItsOwnHistory(t *testing.T) {
	dir := snapshot.NewDir(t.TempDir())
	all, err := play(t, dir, 0, "", response(false, "v", 5, 6), response(false, "v", 7))
	if !errors.Is(err, errCut) || len(all) != 1 || all[0].First != 5 || all[0].Last != 7 {
		t.Fatalf("%v, %v", all, err)
	}
	last, digest := all[0].Last, all[0].LastDigest
	for name, c := range map[string]struct {
		watch *pb.WatchResponse
		err   error
	}{
		"the last revision again":      {response(false, "v", 7, 8), errCut},
		"earlier ones too":             {response(false, "v", 5, 6, 7, 8), errCut},
		"the last with another value":  {response(false, "w", 7, 8), journal.ErrHistory},
		"only later ones":              {response(false, "v", 8), journal.ErrGap},
		"a revision is missing":        {response(false, "v", 7, 9), journal.ErrGap},
		"a missing revision afterward": {response(false, "v", 7, 8, 10), journal.ErrGap},
	} {
		all, err := play(t, snapshot.NewDir(t.TempDir()), last, digest, c.watch)
		if !errors.Is(err, c.err) {
			t.Errorf("%s: %v, want %v", name, err, c.err)
		}
		if errors.Is(c.err, errCut) && (len(all) != 1 || all[0].First != 8 || all[0].Before != digest) {
			t.Errorf("%s: %+v", name, all)
		}
	}
	foreign := response(false, "v", 7, 8)
	foreign.Header.ClusterId = 2
	if _, err := play(t, dir, last, digest, foreign); !errors.Is(err, journal.ErrHistory) {
		t.Errorf("another cluster: %v", err)
	}
}

// A response whose other fragments do not come may lack events of its last revision.
func TestRecorderKeepsWholeRevisionsOfABrokenResponse(t *testing.T) {
	dir := snapshot.NewDir(t.TempDir())
	all, err := play(t, dir, 0, "", response(false, "v", 5), response(true, "v", 6, 7))
	if !errors.Is(err, errCut) || len(all) != 1 || all[0].Last != 5 {
		t.Fatalf("%v, %v", all, err)
	}
	wantFiles(t, dir, all[0].Name)
	large := strings.Repeat("x", 2<<20)
	dir = snapshot.NewDir(t.TempDir())
	all, err = play(t, dir, 0, "", response(true, large, 5, 6), response(true, large, 6, 7, 8))
	if !errors.Is(err, errCut) || len(all) != 1 || all[0].Last != 7 {
		t.Fatalf("%v, %v", all, err)
	}
	wantFiles(t, dir, all[0].Name)
	dir = snapshot.NewDir(t.TempDir())
	if all, err = play(t, dir, 0, "", response(true, "v", 5, 6)); !errors.Is(err, errCut) || len(all) > 0 {
		t.Fatalf("%v, %v", all, err)
	}
	wantFiles(t, dir)
}

func wantFiles(t testing.TB, dir *snapshot.Dir, want ...string) {
	t.Helper()
	files, err := os.ReadDir(dir.Path())
	must(t, err)
	var got []string
	for _, f := range files {
		if f.Name() != ".lock" {
			got = append(got, f.Name())
		}
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("the directory has %q, want %q", got, want)
	}
}

// What a killed process left is completed by the next one, also if that is killed between the new name and the removal of the old one.
func TestRecoverCompletesWhatADeadWriterLeft(t *testing.T) {
	dir := snapshot.NewDir(t.TempDir())
	b, _ := write(t, header(7), 12, false)
	name, err := snapshot.NewSegmentName("node-a", noon, 7, 0)
	must(t, err)
	leave := func(n int) { must(t, os.WriteFile(filepath.Join(dir.Path(), name.String()), b[:n], 0o600)) }
	for _, n := range []int{len(b), len(b)} {
		leave(n)
		m, err := journal.Recover(t.Context(), dir, name)
		must(t, err)
		if m.First != 7 || m.Last != 12 || m.Events != 12 {
			t.Errorf("%d bytes: %+v", n, m)
		}
		wantFiles(t, dir, "journal_node-a_20261122T120000Z_7-12.jnl.zst")
	}
	if text, err := events(t, open(t, dir, named(t, "7-12"))[0]); err != nil || strings.Count(text, "\n") != 12 {
		t.Errorf("%v:\n%s", err, text)
	}
	leave(10)
	if _, err := journal.Recover(t.Context(), dir, name); !errors.Is(err, journal.ErrEmpty) {
		t.Error(err)
	}
	part, err := dir.CreateSegment(t.Context(), name)
	must(t, err)
	defer func() { must(t, part.Abort()) }()
	_, err = part.Write(b)
	must(t, err)
	must(t, dir.RemoveSegment(t.Context(), named(t, "7-12")[0]))
	if _, err := journal.Recover(t.Context(), dir, name); !errors.Is(err, snapshot.ErrInUse) {
		t.Errorf("while it is written: %v", err)
	}
	wantFiles(t, dir, name.String())
}

// A watch that is far behind gets large values in fragments, and the recorder misses none.
func TestRecorderCatchesUpWithLargeValues(t *testing.T) {
	for _, version := range []string{"3.4", "3.7"} {
		t.Run(version, func(t *testing.T) {
			b := newBed(t, etcdtest.Options{Version: version, UnsafeNoFsync: true})
			base, from := b.base()
			start := b.head()
			for i := range 40 {
				_, err := b.client.Put(t.Context(), "large", strings.Repeat(string(rune('a'+i%26)), 1_400_000))
				must(t, err)
			}
			var ops []clientv3.Op
			for i := range 10 { // one revision in several fragments
				ops = append(ops, clientv3.OpPut("part-"+string(rune('a'+i)), strings.Repeat("v", 140_000)))
			}
			_, err := b.client.Txn(t.Context()).Then(ops...).Commit()
			must(t, err)
			_, err = b.client.Delete(t.Context(), "part-", clientv3.WithPrefix())
			must(t, err)
			b.record(start)
			b.waitFor(b.head())
			s := b.state()
			must(t, b.stop())
			merged, _, err := merge(t, base, open(t, b.store, journal.Follow(b.names(), from)), 0)
			must(t, err)
			r := newTarget(t, version)
			r.restore(merged)
			r.want(s)
		})
	}
}

// endless is a watch that shows these responses and then nothing, until its context ends.
type endless struct {
	script
	ctx context.Context //nolint:containedctx // as a stream has it
}

func (e *endless) Recv() (*pb.WatchResponse, error) {
	r, err := e.script.Recv()
	if err != nil {
		<-e.ctx.Done() // err is the connection's
	}
	return r, err
}

// What comes shortly after something else waits for more, but not for long: it is in the file though neither the watch nor the segment ends.
func TestRecorderWritesTheLastResponseSoon(t *testing.T) {
	dir := snapshot.NewDir(t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	s := &endless{ctx: ctx}
	for rev := int64(5); rev < 50; rev++ {
		s.responses = append(s.responses, response(false, "v", rev))
	}
	o := journal.Options{Header: header(0), Sync: time.Hour, Seal: time.Hour, SealSize: 1 << 30, Timeout: time.Second}
	ended := make(chan error, 1)
	go func() { ended <- journal.NewRecorder(dir, o, 0, "").Run(ctx, s, s, 0) }()
	for last := int64(0); last != 49; time.Sleep(time.Millisecond) {
		files, err := filepath.Glob(filepath.Join(dir.Path(), "*.part"))
		must(t, err)
		if len(files) == 0 {
			continue
		}
		f, err := os.Open(files[0])
		must(t, err)
		info, err := f.Stat()
		must(t, err)
		if p, err := journal.OpenPart(t.Context(), f, info.Size()); err == nil {
			last = p.Last
		}
		must(t, f.Close())
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// over is a context that has ended, and whose children do not know it yet.
type over struct{ context.Context }

var errOver = errors.New("why it ended")

func (over) Err() error { return errOver }

// The connection may see the end before the recorder does, and its error says less.
func TestRecorderEndsWithTheCauseOfItsContext(t *testing.T) {
	r := journal.NewRecorder(snapshot.NewDir(t.TempDir()), journal.Options{Sync: time.Hour, Seal: time.Hour, Timeout: time.Second}, 0, "")
	s := &script{}
	if err := r.Run(over{t.Context()}, s, s, 0); !errors.Is(err, errOver) {
		t.Error(err)
	}
}
