package service

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	logtest "github.com/sirupsen/logrus/hooks/test"
	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/protobuf/proto"

	"etcd-rolling-backup/daemon"
	"etcd-rolling-backup/daemon/status"
	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/internal/etcdtest"
	"etcd-rolling-backup/internal/journaltest"
	"etcd-rolling-backup/retention"
	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/journal"
)

// patience bounds each wait of these tests.
const patience = 90 * time.Second

// journalBed runs daemons with a journal, one after another, against a real etcd. Their schedule has no run during a test.
type journalBed struct {
	t       *testing.T
	cluster *etcdtest.Cluster
	cfg     config.Config
	dir     *snapshot.Dir

	clock  func(time.Time) time.Time // of the recorder; nil: the wall clock
	status *status.Tracker           // of the last daemon
	taker  *taker
	log    *logtest.Hook // of all
	logger *logrus.Logger
	stop   func()
}

func newJournalBed(t *testing.T, o etcdtest.Options) *journalBed {
	t.Helper()
	return newJournalBedOf(t, etcdtest.Run(t, o))
}

func newJournalBedOf(t *testing.T, c *etcdtest.Cluster) *journalBed {
	t.Helper()
	return newJournalBedOn(t, c, filepath.Join(t.TempDir(), "store"))
}

func newJournalBedOn(t *testing.T, c *etcdtest.Cluster, dir string) *journalBed {
	t.Helper()
	b := &journalBed{t: t, cluster: c, dir: snapshot.NewDir(dir)}
	must(t, b.dir.Prepare())
	b.logger, b.log = logtest.NewNullLogger()
	debug, err := logrus.ParseLevel("debug")
	must(t, err)
	b.logger.SetLevel(debug)
	schedule, err := daemon.ParseSchedule("@every 10000h", 0, "n1")
	must(t, err)
	b.cfg = config.Config{
		Etcd:  config.Etcd{Endpoints: b.cluster.Endpoints(), Timeout: 5 * time.Second, Stall: 10 * time.Second},
		Store: config.Store{Dir: b.dir.Path(), Node: "n1"}, Schedule: schedule, Role: daemon.RoleAny, Policy: retention.Policy{Last: 100},
		Journal: config.Journal{On: true, Sync: 50 * time.Millisecond, Segment: 200 * time.Millisecond, Keep: time.Hour, MaxBehind: 15000},
	}
	t.Cleanup(func() {
		if t.Failed() {
			for _, e := range b.log.AllEntries() {
				line, _ := e.String()
				t.Log(strings.TrimSpace(line))
			}
		}
	})
	return b
}

// start runs a daemon until stop or the end of the test, as Run does.
func (b *journalBed) start() {
	b.t.Helper()
	b.status = openStatus(b.cfg, b.dir, b.logger)
	now, tracker := func() config.Config { return b.cfg }, b.status
	etcd, name := newFinder(b.cfg.Etcd, Process{}, b.logger), recallMember(b.cfg, b.dir, tracker.State().Cluster)
	tk := newTaker(now, etcd, Process{Version: "test"}, b.dir, tracker, name)
	r := newRecorder(now, etcd, b.dir, "test", b.logger)
	r.clock, r.pauses = b.clock, recorderPauses{progress: 200 * time.Millisecond, base: time.Second}
	tk.forced, b.taker = r.owed.Load, tk
	d := daemon.New(daemon.Options{
		Node: "n1", Schedule: b.cfg.Schedule, Policy: b.cfg.Policy, Taker: tk, Store: b.dir, Log: b.logger, Status: tracker, Journal: r, Reason: reason,
		SaveStatus: func() error { return tracker.Save(b.dir, "n1") },
	})
	ctx, cancel := context.WithCancel(context.WithoutCancel(b.t.Context()))
	ended := make(chan error, 1)
	go func() {
		defer r.close()
		ended <- d.Run(ctx)
	}()
	b.stop = func() {
		b.t.Helper()
		b.stop = func() {}
		cancel()
		select {
		case err := <-ended:
			must(b.t, err)
		case <-time.After(patience):
			b.t.Fatal("the daemon does not exit")
		}
	}
	b.t.Cleanup(func() { b.stop() })
}

// until waits for a state of the journal.
func (b *journalBed) until(what string, reached func(status.Journal) bool) {
	b.t.Helper()
	for limit := time.Now().Add(patience); !reached(b.status.State().Journal); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(limit) {
			b.t.Fatalf("no state in which %s: %+v", what, b.status.State().Journal)
		}
	}
}

// reaches waits until everything that etcd has now is in complete segments.
func (b *journalBed) reaches(client *clientv3.Client) int64 {
	b.t.Helper()
	r, err := client.Get(b.t.Context(), "x", clientv3.WithCountOnly())
	must(b.t, err)
	head := r.Header.Revision
	b.until(fmt.Sprintf("revision %d is recorded", head), func(j status.Journal) bool { return j.Running && j.Revision >= head })
	return head
}

// bases are the revisions of the snapshots, oldest first.
func (b *journalBed) bases() (revisions []int64) {
	b.t.Helper()
	l, err := b.dir.List()
	must(b.t, err)
	for _, e := range slices.Backward(l.Snapshots) {
		m, err := b.dir.Manifest(e.Name)
		must(b.t, err)
		revisions = append(revisions, m.Revision)
	}
	return revisions
}

// waitForBases waits until there are so many snapshots.
func (b *journalBed) waitForBases(n int) {
	b.t.Helper()
	for limit := time.Now().Add(patience); len(b.bases()) < n; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(limit) {
			b.t.Fatalf("%d snapshots, want %d", len(b.bases()), n)
		}
	}
}

func (b *journalBed) segments() (names []snapshot.SegmentName) {
	b.t.Helper()
	l, err := b.dir.List()
	must(b.t, err)
	for _, s := range l.Segments {
		if s.Name.Complete() {
			names = append(names, s.Name)
		}
	}
	return names
}

// ranges are those of the complete segments, as FIRST-LAST.
func (b *journalBed) ranges() []journaltest.Range { return journaltest.Ranges(b.segments()) }

// wantAll compares all that follows a revision, which a snapshot has, with what etcd itself says. It must still have that.
func (b *journalBed) wantAll(client *clientv3.Client, from, to int64) {
	b.t.Helper()
	want := watched(b.t, client, from+1, to)
	var got []string
	at := from
	for _, n := range journal.Follow(b.segments(), from) {
		f, err := b.dir.OpenSegment(n)
		must(b.t, err)
		info, err := f.Stat()
		must(b.t, err)
		s, err := journal.Open(f, info.Size())
		must(b.t, err)
		must(b.t, s.Each(b.t.Context(), func(r journal.Record) error {
			if (r.Kind == journal.KindPut || r.Kind == journal.KindDelete) && r.Revision > at && r.Revision <= to {
				got = append(got, fmt.Sprintf("%d %d %x", r.Revision, r.Kind, r.Data))
			}
			return nil
		}))
		at = max(at, n.Last)
		must(b.t, f.Close())
	}
	if !slices.Equal(got, want) {
		b.t.Errorf("from revision %d to %d the journal has %d events, etcd %d; ranges %v", from+1, to, len(got), len(want), b.ranges())
	}
}

// watched are the events of these revisions, as etcd shows them.
func watched(t *testing.T, client *clientv3.Client, from, to int64) (events []string) {
	t.Helper()
	if from > to {
		return nil
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for r := range client.Watch(ctx, "\x00", clientv3.WithFromKey(), clientv3.WithRev(from)) {
		must(t, r.Err())
		for _, e := range r.Events {
			if e.Kv.ModRevision > to {
				return events
			}
			kind, data := journal.KindPut, e.Kv.Key
			if e.Type == mvccpb.Event_DELETE {
				kind = journal.KindDelete
			} else {
				var err error
				data, err = proto.Marshal(e.Kv)
				must(t, err)
			}
			events = append(events, fmt.Sprintf("%d %d %x", e.Kv.ModRevision, kind, data))
		}
		if n := len(r.Events); n > 0 && r.Events[n-1].Kv.ModRevision == to {
			return events
		}
	}
	t.Fatalf("etcd does not show revision %d", to)
	return nil
}

// puts writes keys.
func puts(t *testing.T, client *clientv3.Client, n int) {
	t.Helper()
	for i := range n {
		_, err := client.Put(t.Context(), fmt.Sprintf("key-%d", i%17), fmt.Sprint("value ", time.Now().UnixNano()))
		must(t, err)
	}
}

// takes demands that a snapshot succeeds now.
func (b *journalBed) takes() {
	b.t.Helper()
	if _, err := b.taker.Take(b.t.Context(), b.logger, func() {}); err != nil {
		b.t.Errorf("the snapshot fails: %v", err)
	}
}

// lines counts those of the log that begin so.
func (b *journalBed) lines(message string) (n int) {
	for _, e := range b.log.AllEntries() {
		if strings.HasPrefix(e.Message, message) {
			n++
		}
	}
	return n
}

// oldestAndNewest runs a test with both.
func oldestAndNewest(t *testing.T, test func(t *testing.T, version string)) {
	t.Helper()
	for _, version := range []string{etcdtest.Versions()[0], etcdtest.Default} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			test(t, version)
		})
	}
}

func (b *journalBed) interrupted(reason status.Reason) {
	b.t.Helper()
	b.until("the journal is interrupted: "+string(reason), func(j status.Journal) bool { return !j.Running && j.Reason == reason && j.Message != "" })
}

// wantOneRange demands a journal without a gap from the only snapshot on.
func (b *journalBed) wantOneRange(client *clientv3.Client) {
	b.t.Helper()
	head := b.reaches(client)
	b.stop()
	if bases, ranges := b.bases(), b.ranges(); len(bases) != 1 || len(ranges) != 1 {
		b.t.Fatalf("snapshots at %v, ranges %v, want one of each", bases, ranges)
	}
	b.wantAll(client, b.bases()[0], head)
}

// wantNewRange demands a second range that continues a second snapshot, after a gap.
func (b *journalBed) wantNewRange(client *clientv3.Client) {
	b.t.Helper()
	b.waitForBases(2)
	puts(b.t, client, 10)
	head := b.reaches(client)
	gaps := b.status.State().Journal.Gaps
	b.stop()
	bases, ranges := b.bases(), b.ranges()
	if len(bases) != 2 || len(ranges) != 2 || ranges[1].First > bases[1]+1 || gaps != 1 || b.lines("journal begins again, after a gap") != 1 {
		b.t.Fatalf("snapshots at %v, ranges %v, %d gaps", bases, ranges, gaps)
	}
	b.wantAll(client, bases[1], head)
}
