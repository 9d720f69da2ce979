package service

import (
	"context"
	"errors"
	"io"
	"net"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	logtest "github.com/sirupsen/logrus/hooks/test"

	"etcd-rolling-backup/daemon"
	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/internal/etcdtest"
	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/member"
	"etcd-rolling-backup/snapshot/pace"
)

// lagging is a proxy before a member. Once a snapshot stream has begun, it delays all answers but that stream: what a member does that the
// stream keeps busy.
type lagging struct {
	net.Listener
	behind    string
	delay     time.Duration
	streaming atomic.Bool
	running   sync.WaitGroup
}

// newLagging is shut with the test.
func newLagging(t *testing.T, behind string, delay time.Duration) *lagging {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	p := &lagging{Listener: l, behind: behind, delay: delay}
	p.running.Go(p.accept)
	t.Cleanup(func() {
		_ = l.Close() // ends accept
		p.running.Wait()
	})
	return p
}

func (p *lagging) accept() {
	for {
		client, err := p.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", p.behind)
		if err != nil {
			_ = client.Close()
			continue
		}
		p.running.Go(func() {
			defer server.Close()
			_, _ = io.Copy(server, client) // ends with either connection
		})
		p.running.Go(func() {
			defer client.Close()
			p.answers(client, server)
		})
	}
}

// answers passes on what the member says on one connection.
func (p *lagging) answers(client, server net.Conn) {
	buf := make([]byte, 64<<10)
	for total := 0; ; {
		n, err := server.Read(buf)
		if err != nil {
			return
		}
		if total += n; total > 256<<10 {
			p.streaming.Store(true)
		} else if p.streaming.Load() {
			time.Sleep(p.delay)
		}
		if _, err := client.Write(buf[:n]); err != nil {
			return
		}
	}
}

// filled is a member with a database of some size.
func filled(t *testing.T, bytes int64) *etcdtest.Member {
	t.Helper()
	c := etcdtest.Run(t, etcdtest.Options{UnsafeNoFsync: true})
	_, err := etcdtest.Fill(t.Context(), etcdtest.Dial(t, c), etcdtest.FillOptions{Bytes: bytes, Seed: 1})
	must(t, err)
	return c.Members[0]
}

// pacedTaker takes snapshots from an endpoint.
func pacedTaker(t *testing.T, endpoint string, p pacing) *taker {
	t.Helper()
	dir := snapshot.NewDir(filepath.Join(t.TempDir(), "store"))
	must(t, dir.Prepare())
	return &taker{
		member: func() (member.Config, error) {
			return member.Config{Endpoints: []string{endpoint}, Timeout: 10 * time.Second}, nil
		},
		role: daemon.RoleAny, dir: dir, name: &memberName{}, pacing: func() pacing { return p },
		options: snapshot.TakeOptions{Set: snapshot.ManualSet, Node: "n1", Stall: 20 * time.Second},
	}
}

// A member that answers more slowly during the stream is read at the lowest rate, and what was measured is known afterwards.
func TestAutomaticStreamSlowsDownWhenEtcdAnswersSlowly(t *testing.T) {
	const delay = 100 * time.Millisecond
	proxy := newLagging(t, filled(t, 64<<20).Endpoint, delay)
	tk := pacedTaker(t, proxy.Addr().String(), pacing{rate: pace.Auto, interval: time.Hour})
	log, _ := logtest.NewNullLogger()
	var half time.Time
	tk.options.Progress = func(done, total int64) {
		if half.IsZero() && done > total/2 {
			half = time.Now()
		}
	}
	taken, err := tk.Take(t.Context(), log, func() {})
	must(t, err)
	rest := time.Since(half).Seconds()
	if rate := float64(taken.Manifest.RawSize) / 2 / rest; rate > 20<<20 {
		t.Errorf("the second half came at %.1f MiB per second, want about 16", rate/(1<<20))
	}
	if l := taken.Latency; l.Before <= 0 || l.Before >= delay || l.During < delay {
		t.Errorf("%+v, want below and above %s", l, delay)
	}
}

// A fixed rate is kept, and full speed is measured by nobody.
func TestFixedRateAndFullSpeedAreNotMeasured(t *testing.T) {
	endpoint := filled(t, 6<<20).Endpoint
	log, _ := logtest.NewNullLogger()
	for _, rate := range []pace.Rate{4 << 20, pace.Off} {
		taken, err := pacedTaker(t, endpoint, pacing{rate: rate}).Take(t.Context(), log, func() {})
		must(t, err)
		if want := time.Duration(float64(taken.Manifest.RawSize) / float64(4<<20) * float64(time.Second)); rate != pace.Off && taken.Stream < want-200*time.Millisecond {
			t.Errorf("%d bytes took %s, want %s", taken.Manifest.RawSize, taken.Stream, want)
		}
		if taken.Latency != (snapshot.Latency{}) {
			t.Errorf("%s: %+v", rate, taken.Latency)
		}
	}
}

// A wait for the rate does not delay a shutdown, and nothing is left.
func TestShutdownEndsAPacedSnapshotImmediately(t *testing.T) {
	log, _ := logtest.NewNullLogger()
	tk := pacedTaker(t, filled(t, 6<<20).Endpoint, pacing{rate: 64 << 10}) // it would take minutes
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var stopped time.Time
	tk.options.Progress = func(int64, int64) {
		if stopped.IsZero() {
			stopped = time.Now()
			cancel()
		}
	}
	_, err := tk.Take(ctx, log, func() {})
	if took := time.Since(stopped); !errors.Is(err, context.Canceled) || took > 10*time.Second {
		t.Errorf("%v after %s", err, took)
	}
	left, err := filepath.Glob(filepath.Join(tk.dir.Path(), "*.db.zst*"))
	must(t, err)
	if len(left) > 0 {
		t.Errorf("left are %q", left)
	}
}

func TestIntervalOfThePace(t *testing.T) {
	at := time.Date(2026, 11, 29, 10, 20, 0, 0, time.UTC)
	for spec, want := range map[string]time.Duration{"": 0, "0 * * * *": time.Hour, "@every 15m": 15 * time.Minute, "CRON_TZ=UTC 0,10 * * * *": 10 * time.Minute} {
		cfg := config.Config{Etcd: config.Etcd{StreamRate: pace.Auto}}
		if spec != "" {
			var err error
			cfg.Schedule, err = daemon.ParseSchedule(spec, 0, "n1")
			must(t, err)
		}
		if got := pacingOf(cfg, at); got != (pacing{rate: pace.Auto, interval: want}) {
			t.Errorf("%q: %+v, want %s", spec, got, want)
		}
	}
}
