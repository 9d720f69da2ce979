package service

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"etcd-rolling-backup/daemon/status"
	"etcd-rolling-backup/metrics"
)

// gate is a log that accepts a line for each pass it is given, and any once it is open.
type gate struct {
	pass chan struct{}
	mu   sync.Mutex
	text bytes.Buffer
}

func newGate() *gate { return &gate{pass: make(chan struct{})} }

func (g *gate) Write(p []byte) (int, error) {
	<-g.pass
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.text.Write(p)
}

func (g *gate) String() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.text.String()
}

func reportLost(lost int, since time.Time) []byte {
	return fmt.Appendf(nil, "%d lost since %s\n", lost, since.Format(time.TimeOnly))
}

// says writes a line, and demands that it is accepted without a wait.
func says(t *testing.T, l io.Writer, text string) {
	t.Helper()
	began := time.Now()
	if n, err := io.WriteString(l, text+"\n"); n != len(text)+1 || err != nil {
		t.Errorf("%s: %d bytes, %v", text, n, err)
	}
	if took := time.Since(began); took != 0 {
		t.Errorf("%s: the write took %s", text, took)
	}
}

func wantProblem(t *testing.T, l *LogWriter, want string) {
	t.Helper()
	if got := l.problems(); len(got) != 1 || got[0].Text != want || got[0].Code != "log" {
		t.Errorf("the problems are %+v, want %q", got, want)
	}
}

func wantNoProblem(t *testing.T, l *LogWriter) {
	t.Helper()
	if got := l.problems(); got != nil {
		t.Errorf("the log works, and a problem is %+v", got)
	}
}

// Nothing is lost while somebody reads, and Close waits for the last line.
func TestLogWriterKeepsTheOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		l := NewLogWriter(&out, nil)
		line, want := []byte("0\n"), ""
		for i := range logQueue {
			line[0] = byte('0' + i%10)
			_, _ = l.Write(line)
			want += string(line)
		}
		line[0] = 'x' // the writer's bytes are its own again
		l.Close()
		if out.String() != want {
			t.Errorf("the log is %q, want %q", &out, want)
		}
		says(t, l, "after the end")
		wantNoProblem(t, l)
	})
}

// Nobody waits for a log that is blocked. Once it works again it has what fitted into the queue, and says how much it lacks since when.
func TestLogWriterBlocked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := newGate()
		l := NewLogWriter(out, reportLost)
		defer l.Close()
		since := time.Now()
		says(t, l, "a")
		synctest.Wait() // the goroutine has it
		time.Sleep(logPatience - time.Nanosecond)
		wantNoProblem(t, l)
		time.Sleep(time.Nanosecond)
		blocked := "log output blocked since " + since.UTC().Format(time.DateTime) + " UTC, %d log lines lost: whoever reads the daemon's stderr has stopped reading"
		wantProblem(t, l, fmt.Sprintf(blocked, 0))
		for range logQueue {
			says(t, l, "q")
		}
		wantProblem(t, l, fmt.Sprintf(blocked, 0))
		lost := time.Now()
		for range 3 {
			says(t, l, "lost")
		}
		wantProblem(t, l, fmt.Sprintf(blocked, 3))
		time.Sleep(time.Hour)
		close(out.pass)
		synctest.Wait()
		wantNoProblem(t, l)
		says(t, l, "b")
		synctest.Wait()
		if want := "a\n" + strings.Repeat("q\n", logQueue) + "3 lost since " + lost.Format(time.TimeOnly) + "\nb\n"; out.String() != want {
			t.Errorf("the log is %q, want %q", out, want)
		}
	})
}

// A log whose reader is too slow says so, without a line that is stuck.
func TestLogWriterTooSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := newGate()
		l := NewLogWriter(out, reportLost)
		defer l.Close()
		says(t, l, "a")
		synctest.Wait()
		for range logQueue + 1 {
			says(t, l, "q")
		}
		since := time.Now().UTC().Format(time.DateTime)
		out.pass <- struct{}{}
		synctest.Wait()
		wantProblem(t, l, "log output too slow since "+since+" UTC, 1 log lines lost")
		close(out.pass)
	})
}

// Each line of many writers is in the log once or reported as lost.
func TestLogWriterCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out, lost := newGate(), 0
		l := NewLogWriter(out, func(n int, _ time.Time) []byte { lost += n; return nil })
		const writers, each = 20, 50
		var all sync.WaitGroup
		for range writers {
			all.Go(func() {
				for range each {
					says(t, l, "line")
				}
			})
		}
		all.Wait()
		close(out.pass)
		for range writers {
			all.Go(func() { says(t, l, "line") })
		}
		all.Wait()
		l.Close()
		if got, want := strings.Count(out.String(), "line")+lost, writers*(each+1); got != want || lost == 0 {
			t.Errorf("%d lines in the log or lost, want %d; %d are lost", got, want, lost)
		}
	})
}

// Close does not wait forever, and nothing is written to a log that is closed.
func TestLogWriterClosesWhileBlocked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := newGate()
		defer close(out.pass)
		l := NewLogWriter(out, reportLost)
		for range 3 {
			says(t, l, "a")
		}
		began := time.Now()
		l.Close()
		if took := time.Since(began); took != logFlush {
			t.Errorf("it took %s, want %s", took, logFlush)
		}
		for range 2 * logQueue {
			says(t, l, "after the end")
		}
	})
}

// broken is a log that can't be written to until it is repaired.
type broken struct {
	bytes.Buffer
	repaired atomic.Bool
}

func (b *broken) Write(p []byte) (int, error) {
	if !b.repaired.Load() {
		return 0, syscall.ENOSPC
	}
	return b.Buffer.Write(p)
}

// A log that cannot be written to is no error of who writes, for the library would write about it to stderr, past the LogWriter. It is a problem
// while it lasts, and is reported in the log afterwards, also if nobody writes any more.
func TestLogWriterBroken(t *testing.T) {
	for _, next := range []string{"c", ""} {
		synctest.Test(t, func(t *testing.T) {
			out := &broken{}
			l := NewLogWriter(out, reportLost)
			defer l.Close()
			since := time.Now()
			says(t, l, "a")
			synctest.Wait()
			time.Sleep(time.Second)
			says(t, l, "b")
			synctest.Wait()
			wantProblem(t, l, "log output failing since "+since.UTC().Format(time.DateTime)+" UTC, 2 log lines lost: no space left on device")
			out.repaired.Store(true)
			want := "2 lost since " + since.Format(time.TimeOnly) + "\n"
			if next != "" {
				says(t, l, next)
				want = next + "\n" + want
			} else {
				time.Sleep(logRetry)
			}
			synctest.Wait()
			wantNoProblem(t, l)
			if out.String() != want {
				t.Errorf("the log is %q, want %q", out.String(), want)
			}
		})
	}
}

// /readyz, page and metrics report the log.
func TestMetricsReportTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := newGate()
		l := NewLogWriter(out, reportLost)
		defer l.Close()
		m := metrics.New(metrics.Options{
			State: status.New(status.Options{}).State, Problems: l.problems, Audience: metrics.Audience{Network: true},
		})
		tells := func(path string) string {
			r := httptest.NewRecorder()
			m.Handler().ServeHTTP(r, httptest.NewRequest(http.MethodGet, path, nil))
			return strings.ToLower(r.Body.String())
		}
		says(t, l, "a")
		synctest.Wait()
		time.Sleep(logPatience)
		for path, want := range map[string]string{
			"/readyz": "log output blocked since ", "/": "log output blocked since ", "/metrics": "\netcd_rolling_backup_ready 0\n",
		} {
			if got := tells(path); !strings.Contains(got, want) {
				t.Errorf("%s lacks %q: %s", path, want, got)
			}
		}
		close(out.pass)
		synctest.Wait()
		if got := tells("/readyz"); strings.Contains(got, "log") {
			t.Errorf("/readyz still says %s", got)
		}
	})
}
