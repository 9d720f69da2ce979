package pace

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"etcd-rolling-backup/snapshot"
)

var errStop = errors.New("SIGTERM")

// pieces notes when bytes come through.
type pieces struct {
	total int
	last  time.Time
	pause time.Duration // the longest between two pieces
}

func (p *pieces) Write(b []byte) (int, error) {
	if now := time.Now(); !p.last.IsZero() {
		p.pause = max(p.pause, now.Sub(p.last))
	}
	p.total, p.last = p.total+len(b), time.Now()
	return len(b), nil
}

// A fixed rate is what it says, whatever the size of the messages, and no pause comes near a stall.
func TestFixedRateIsKept(t *testing.T) {
	for _, rate := range []Rate{minRate, 1 << 20, 50 << 20, 1 << 30} {
		for _, message := range []int{1 << 10, maxPiece, 1 << 20} {
			synctest.Test(t, func(t *testing.T) {
				start, size, got := time.Now(), min(int(rate)*3, 96<<20), pieces{}
				w := Fixed(rate)(t.Context(), &got)
				for range size / message {
					if n, err := w.Write(make([]byte, message)); err != nil || n != message {
						t.Fatal(n, err)
					}
				}
				want := time.Duration(float64(got.total) / float64(rate) * float64(time.Second))
				if took := time.Since(start); took < want-pieceTime-creditTime-shortestWait || took > want+pieceTime {
					t.Errorf("%s per second: %d bytes in messages of %d took %s, want %s", rate, got.total, message, took, want)
				}
				if got.pause > 2*pieceTime {
					t.Errorf("%s per second, messages of %d: a pause of %s", rate, message, got.pause)
				}
			})
		}
	}
}

// What a slow disk has not used cannot be used later in one go.
func TestPauseIsNotFollowedByABurst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := Fixed(1<<20)(t.Context(), io.Discard)
		_, _ = w.Write(make([]byte, maxPiece)) // io.Discard never fails
		time.Sleep(time.Hour)
		start := time.Now()
		_, _ = w.Write(make([]byte, 1<<20))
		if took := time.Since(start); took < 900*time.Millisecond {
			t.Errorf("1 MiB took %s after a pause", took)
		}
	})
}

func TestWaitEndsWithTheSnapshot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		w, start := Fixed(minRate)(ctx, io.Discard), time.Now()
		time.AfterFunc(time.Second, func() { cancel(errStop) })
		if _, err := w.Write(make([]byte, 1<<20)); !errors.Is(err, errStop) {
			t.Error(err)
		}
		if took := time.Since(start); took != time.Second {
			t.Errorf("returned after %s", took)
		}
	})
}

func TestErrorOfTheWriterIsReturned(t *testing.T) {
	r, w := io.Pipe()
	if err := r.CloseWithError(errStop); err != nil {
		t.Fatal(err)
	}
	if n, err := Fixed(1<<30)(t.Context(), w).Write(make([]byte, 1<<20)); n != 0 || !errors.Is(err, errStop) {
		t.Errorf("%d, %v", n, err)
	}
}

func TestContentIsUnchanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got bytes.Buffer
		want := strings.Repeat("0123456789", 123_457)
		if n, err := io.WriteString(Fixed(10<<20)(t.Context(), &got), want); n != len(want) || err != nil || got.String() != want {
			t.Errorf("%d of %d bytes, %v, or they differ", n, len(want), err)
		}
	})
}

// prober answers after a time that the test changes.
type prober struct {
	latency atomic.Int64
	fail    atomic.Bool
	asked   atomic.Int64
}

func (p *prober) Probe(ctx context.Context) error {
	p.asked.Add(1)
	if p.fail.Load() {
		return errStop
	}
	return sleep(ctx, time.Duration(p.latency.Load()))
}

// The measurement before the stream is short, and shorter for a small database or a short interval; then the stream slows down and speeds up.
func TestStreamFollowsTheLatency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p prober
		p.latency.Store(int64(time.Millisecond))
		start := time.Now()
		a := Measure(t.Context(), &p, Limits{Size: gib, Interval: time.Hour})
		if took := time.Since(start); took != longestMeasure {
			t.Errorf("measured for %s", took)
		}
		got := pieces{}
		w := a.Slow(t.Context(), &got)
		pass := func(d time.Duration) float64 {
			before := got.total
			for until := time.Now().Add(d); time.Now().Before(until); {
				if _, err := w.Write(make([]byte, maxPiece)); err != nil {
					t.Fatal(err)
				}
				time.Sleep(80 * time.Microsecond) // 400 MiB per second
			}
			return float64(got.total-before) / d.Seconds() / mebibyte
		}
		pass(2 * time.Second)
		if full := pass(time.Second); full < 7.5 || full > 8.5 {
			t.Errorf("%.1f MiB per second without a load", full)
		}
		p.latency.Store(int64(30 * time.Millisecond))
		pass(2 * time.Second)
		if slow := pass(500 * time.Millisecond); slow > 4.5 { // the deadline needs 3.4
			t.Errorf("%.1f MiB per second with a latency of 30 ms", slow)
		}
		latency := a.Close()
		if latency.Before != time.Millisecond || latency.During != 30*time.Millisecond && latency.During != time.Millisecond {
			t.Errorf("%+v", latency)
		}
		if asked := p.asked.Load(); asked > 140 { // in 6.5 seconds
			t.Errorf("%d probes", asked)
		}
	})
}

func TestMeasurementIsShortForSmallDatabasesAndIntervals(t *testing.T) {
	for _, c := range []struct {
		l    Limits
		want time.Duration
	}{
		{Limits{Size: 20 << 10, Interval: time.Hour}, shortestMeasure},
		{Limits{Size: 8 * mebibyte}, 500 * time.Millisecond},
		{Limits{Size: 8 * gib}, longestMeasure},
		{Limits{Size: 8 * gib, Interval: time.Second}, 100 * time.Millisecond},
		{Limits{}, shortestMeasure},
	} {
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			Measure(t.Context(), &prober{}, c.l).Close()
			if took := time.Since(start); took != c.want {
				t.Errorf("%+v: measured for %s, want %s", c.l, took, c.want)
			}
		})
	}
}

// Neither the measurement nor a probe without an answer delays a shutdown.
func TestMeasurementEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p prober
		p.latency.Store(int64(time.Hour))
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(200*time.Millisecond, cancel)
		start := time.Now()
		latency := Measure(ctx, &p, Limits{Size: gib}).Close()
		if took := time.Since(start); took != 200*time.Millisecond || latency != (snapshot.Latency{}) {
			t.Errorf("%s, %+v", took, latency)
		}
	})
}

func TestLatencyIsUnknownIfProbesFail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p prober
		p.fail.Store(true)
		a := Measure(t.Context(), &p, Limits{Size: gib})
		w, start := a.Slow(t.Context(), io.Discard), time.Now()
		if _, err := w.Write(make([]byte, 4*Unmeasured)); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took < 3900*time.Millisecond || took > 4100*time.Millisecond {
			t.Errorf("%d bytes took %s, want 4 seconds", 4*Unmeasured, took)
		}
		if latency := a.Close(); latency != (snapshot.Latency{}) {
			t.Errorf("%+v", latency)
		}
	})
}

func TestRateIsParsed(t *testing.T) {
	for text, want := range map[string]Rate{"off": Off, "auto": Auto, "50MiB": 50 << 20, "50MiB/s": 50 << 20, "64KiB": minRate, "1GB": 1e9, "104857600": 100 << 20} {
		if got, err := ParseRate(text); got != want || err != nil {
			t.Errorf("%s: %d, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "fast", "Auto", "-1", "0", "50", "63KiB", "50 MiB per hour", "99999999999GiB"} {
		if got, err := ParseRate(text); err == nil {
			t.Errorf("%q: %d", text, got)
		}
	}
}
