package command

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"etcd-rolling-backup/metrics"
)

// gate is a log that takes a line for each pass it is given, and any once it is open.
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

func toldLost(lost int, since time.Time) []byte {
	return fmt.Appendf(nil, "%d lost since %s\n", lost, since.Format(time.TimeOnly))
}

// says writes a line, demands that it is taken for written, and returns how long that took.
func says(t *testing.T, l io.Writer, text string) time.Duration {
	t.Helper()
	began := time.Now()
	if n, err := io.WriteString(l, text+"\n"); n != len(text)+1 || err != nil {
		t.Errorf("%s: %d bytes, %v", text, n, err)
	}
	return time.Since(began)
}

// A line is there when its write has ended, whatever becomes of the writer's bytes.
func TestLogWriterWaits(t *testing.T) {
	var out bytes.Buffer
	l := newLogWriter(&out, nil)
	defer l.Close()
	line, want := []byte("0\n"), ""
	for i := range 9 {
		line[0] = byte('0' + i)
		_, _ = l.Write(line)
		if want += string(line); out.String() != want {
			t.Fatalf("after a write there is %q, want %q", &out, want)
		}
	}
}

// Who writes to a log that takes nothing waits once; the log tells later what it lacks, also where it is stuck again meanwhile.
func TestLogWriterStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := newGate()
		l := newLogWriter(out, toldLost)
		defer l.Close()
		since := time.Now()
		if took := says(t, l, "a"); took != logPatience {
			t.Errorf("the first write took %s, want %s", took, logPatience)
		}
		for i, want := range []string{"0 are", "1 is", "2 are"} {
			text := fmt.Sprintf("the log takes no lines since %s UTC, %s lost: whoever reads the daemon's stderr has stopped", since.UTC().Format(time.DateTime), want)
			if got := l.reasons(); len(got) != 1 || got[0] != text {
				t.Errorf("after %d lines more the reasons are %q, want %s", i, got, text)
			}
			if took := says(t, l, "lost"); took != 0 {
				t.Errorf("a write to a log that is stuck took %s", took)
			}
		}
		out.pass <- struct{}{} // a
		synctest.Wait()
		says(t, l, "lost") // while the log is to be told of three
		if l.reasons() == nil {
			t.Error("lines are said to pass before the log has told of those lost")
		}
		close(out.pass)
		synctest.Wait()
		if got := l.reasons(); got != nil {
			t.Errorf("the log takes lines, and a reason is %q", got)
		}
		says(t, l, "b")
		at := since.Format(time.TimeOnly)
		if want := "a\n3 lost since " + at + "\n1 lost since " + at + "\nb\n"; out.String() != want {
			t.Errorf("the log is %q, want %q", out, want)
		}
	})
}

// A line that was only late is not lost, and nothing is told of it.
func TestLogWriterLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := newGate()
		l := newLogWriter(out, toldLost)
		says(t, l, "a")
		close(out.pass)
		synctest.Wait()
		says(t, l, "b")
		l.Close()
		says(t, l, "after the end")
		if out.String() != "a\nb\n" || l.reasons() != nil {
			t.Errorf("the log is %q, the reasons are %q", out, l.reasons())
		}
	})
}

// Each line of many writers is in the log once or told as lost; all writers together wait once.
func TestLogWriterCounts(t *testing.T) {
	out, lost := newGate(), 0
	l := newLogWriter(out, func(n int, _ time.Time) []byte { lost += n; return nil })
	defer l.Close()
	const writers, each = 20, 50
	began := time.Now()
	var all sync.WaitGroup
	for range writers {
		all.Go(func() {
			for range each {
				says(t, l, "line")
			}
		})
	}
	all.Wait()
	if took := time.Since(began); took < logPatience || took > 5*logPatience {
		t.Errorf("it took %s, want %s", took, logPatience)
	}
	close(out.pass)
	for range writers {
		all.Go(func() { says(t, l, "line") })
	}
	all.Wait()
	for l.reasons() != nil {
		time.Sleep(time.Millisecond)
	}
	says(t, l, "line")
	if got, want := strings.Count(out.String(), "line")+lost, writers*(each+1)+1; got != want {
		t.Errorf("%d lines in the log or lost, want %d", got, want)
	}
}

// broken is a log that can't be written to until it is mended.
type broken struct {
	bytes.Buffer
	mended bool
}

func (b *broken) Write(p []byte) (int, error) {
	if !b.mended {
		return 0, syscall.ENOSPC
	}
	return b.Buffer.Write(p)
}

// A log that can't be written to is no error of who writes, for the library would write about it to stderr, past the writer. It is told as
// long as it lasts, and afterwards by the log.
func TestLogWriterBroken(t *testing.T) {
	out := &broken{}
	l := newLogWriter(out, toldLost)
	defer l.Close()
	says(t, l, "a")
	says(t, l, "b")
	if all := fmt.Sprint(l.reasons()); !strings.Contains(all, "UTC, 2 are lost: no space left on device") {
		t.Errorf("reasons: %s", all)
	}
	out.mended = true // nobody writes at the moment
	says(t, l, "c")
	says(t, l, "d")
	if all := l.reasons(); all != nil {
		t.Errorf("reasons: %q", all)
	}
	if text := out.String(); !strings.HasPrefix(text, "c\n2 lost since ") || !strings.HasSuffix(text, "\nd\n") {
		t.Errorf("the log: %q", text)
	}
}

// The line of those lost has the form of the log, at any level.
func TestLostLine(t *testing.T) {
	for _, format := range []string{"text", "json"} {
		synctest.Test(t, func(t *testing.T) {
			out := newGate()
			log, l, err := daemonLogger(parse(t, "daemon", "--log-format="+format, "--log-level=error"), out)
			must(t, err)
			defer l.Close()
			since := time.Now().Local().Format(time.RFC3339)
			log.Error("a")
			log.Error("b")
			close(out.pass)
			synctest.Wait()
			_, text, _ := strings.Cut(out.String(), "\n")
			const says = "lines of the log are lost: they could not be written"
			if format == "text" {
				if !strings.HasPrefix(text, "time=") || !strings.HasSuffix(text, ` level=warning msg="`+says+`" lost=1 since="`+since+"\"\n") {
					t.Errorf("got %s", text)
				}
				return
			}
			var got struct {
				Level, Msg, Since string
				Time              time.Time
				Lost              int
			}
			must(t, json.Unmarshal([]byte(text), &got))
			if got.Level != "warning" || got.Msg != says || got.Since != since || got.Lost != 1 || got.Time.IsZero() {
				t.Errorf("got %s", text)
			}
		})
	}
}

// /readyz, page and metrics tell of the log.
func TestMetricsTellOfTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := newGate()
		l := newLogWriter(out, toldLost)
		defer l.Close()
		m := metrics.New(metrics.Options{Others: l.reasons})
		m.Rebuilt()
		tells := func(path string) string {
			r := httptest.NewRecorder()
			m.Handler().ServeHTTP(r, httptest.NewRequest(http.MethodGet, path, nil))
			return strings.ToLower(r.Body.String())
		}
		says(t, l, "a")
		for path, want := range map[string]string{
			"/readyz": "the log takes no lines since ", "/": "the log takes no lines since ", "/metrics": "\netcd_rolling_backup_ready 0\n",
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

// The daemon ends with its status where its last words can't be written.
func TestEndsWithALogThatIsStuck(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer taken.Close()
	unread, log, err := os.Pipe()
	must(t, err)
	defer unread.Close()
	defer log.Close()
	must(t, log.SetWriteDeadline(time.Now().Add(100*time.Millisecond)))
	_, _ = log.Write(make([]byte, 4<<20)) // all that it takes
	must(t, log.SetWriteDeadline(time.Time{}))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	status := make(chan int)
	go func() {
		status <- Main(ctx, "1.2.3-test", []string{
			program, "daemon", "--dir", t.TempDir(), "--node", "n1", "--endpoints", "127.0.0.1:1",
			"--listen", taken.Addr().String(), "--drill-schedule", "off", "--min-free", "0",
		}, io.Discard, log)
	}()
	select {
	case got := <-status:
		if got != exitFailed {
			t.Errorf("status %d, want %d", got, exitFailed)
		}
	case <-time.After(20 * time.Second):
		t.Error("it waits for its last line")
	}
}
