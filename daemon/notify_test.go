package daemon_test

import (
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"etcd-rolling-backup/daemon"
)

// systemd is the socket that a service of Type=notify talks to.
type systemd struct {
	t    *testing.T
	addr *net.UnixAddr
	seen chan string
}

// newSystemd listens, outside of any bubble, and sets the environment of a service. usec is WatchdogSec, or empty.
func newSystemd(t *testing.T, usec string) *systemd {
	t.Helper()
	s := &systemd{t: t, addr: &net.UnixAddr{Name: filepath.Join(t.TempDir(), "notify"), Net: "unixgram"}, seen: make(chan string, 10_000)}
	conn, err := net.ListenUnixgram("unixgram", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	go func() {
		buf := make([]byte, 4096)
		for {
			n, err := conn.Read(buf)
			if err != nil {
				return
			}
			s.seen <- string(buf[:n])
		}
	}()
	t.Setenv("NOTIFY_SOCKET", s.addr.Name)
	t.Setenv("WATCHDOG_USEC", usec)
	t.Setenv("WATCHDOG_PID", strconv.Itoa(os.Getpid()))
	return s
}

// messages are those since the last call. The socket keeps their order, so all have come once the mark has.
func (s *systemd) messages() []string {
	s.t.Helper()
	const mark = "MARK"
	conn, err := net.DialUnix("unixgram", nil, s.addr)
	if err != nil {
		s.t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte(mark)); err != nil {
		s.t.Fatal(err)
	}
	var out []string
	for m := <-s.seen; m != mark; m = <-s.seen {
		out = append(out, m)
	}
	return out
}

func notifier(t *testing.T) *daemon.Notifier {
	t.Helper()
	n, err := daemon.NewNotifier()
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestSystemdIsNotifiedOfEachStep(t *testing.T) {
	sd := newSystemd(t, "")
	n := notifier(t)
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, "@hourly")
		b.opts.Notifier = n
		b.run = []outcome{{takes: time.Second}, {err: errDown}, {}, {err: daemon.ErrSkipped}, {takes: time.Hour}}
		b.runFor(3*time.Hour + 30*time.Minute)
	})
	want := []string{
		"READY=1", "STATUS=next run 2000-01-01T00:00:00Z",
		"STATUS=last snapshot rolling_node-a_20000101T000000Z.db.zst, next run 2000-01-01T01:00:00Z",
		"STATUS=last run failed, next try 2000-01-01T01:00:05Z: etcd is down",
		"STATUS=last snapshot rolling_node-a_20000101T010005Z.db.zst, next run 2000-01-01T02:00:00Z",
		"STATUS=last run skipped, next run 2000-01-01T03:00:00Z",
		"STOPPING=1",
	}
	if got := sd.messages(); !slices.Equal(got, want) {
		t.Errorf("systemd got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// A status with a line break in it would be read as an assignment of its own.
func TestStatusIsOneLine(t *testing.T) {
	sd := newSystemd(t, "")
	if err := notifier(t).Status("first\nWATCHDOG=1"); err != nil {
		t.Fatal(err)
	}
	if got := sd.messages(); len(got) != 1 || strings.Contains(got[0], "\n") {
		t.Errorf("systemd got %q, want one line", got)
	}
}

func TestStopBeforeTheStartNeverNotifiesReady(t *testing.T) {
	sd := newSystemd(t, "")
	n := notifier(t)
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, "@hourly")
		b.opts.Notifier = n
		b.runFor(0)
	})
	if got := sd.messages(); !slices.Equal(got, []string{"STOPPING=1"}) {
		t.Errorf("systemd got %q", got)
	}
}

// However often work goes on, four signs of life in the interval are all.
func TestWatchdogIsFedAtMostFourTimesInItsInterval(t *testing.T) {
	sd := newSystemd(t, "40000000")
	n := notifier(t)
	synctest.Test(t, func(t *testing.T) {
		for range 1000 {
			if err := n.Alive(); err != nil {
				t.Fatal(err)
			}
			time.Sleep(100 * time.Millisecond)
		}
	})
	if got := sd.messages(); !slices.Equal(got, slices.Repeat([]string{"WATCHDOG=1"}, 10)) {
		t.Errorf("in 100 s systemd got %q, want ten signs of life", got)
	}
}

// A daemon at rest is alive often enough for any interval; one whose run hangs is not.
func TestWatchdogIsFedWhileTheDaemonLives(t *testing.T) {
	for _, interval := range []time.Duration{time.Second, 30 * time.Second, 3 * time.Minute, time.Hour} {
		sd := newSystemd(t, strconv.FormatInt(interval.Microseconds(), 10))
		n := notifier(t)
		if n.Watchdog() != interval {
			t.Fatalf("Watchdog: %s, want %s", n.Watchdog(), interval)
		}
		synctest.Test(t, func(t *testing.T) {
			b := newBed(t, "@yearly")
			b.opts.Notifier = n
			b.runFor(100 * interval)
			if signs := countSigns(sd.messages()); signs < 200 || signs > 401 {
				t.Errorf("WatchdogSec=%s: %d signs of life in 100 intervals, want 200 to 401", interval, signs)
			}
		})
		synctest.Test(t, func(t *testing.T) {
			b := newBed(t, "@yearly")
			b.opts.Notifier = notifier(t)
			b.always.takes = 200 * interval
			b.runFor(100 * interval)
			if signs := countSigns(sd.messages()); signs != 1 {
				t.Errorf("WatchdogSec=%s: %d signs of life of a run that hangs, want the one of its start", interval, signs)
			}
		})
	}
}

func countSigns(messages []string) int {
	return len(messages) - len(slices.DeleteFunc(messages, func(m string) bool { return m == "WATCHDOG=1" }))
}

func TestWatchdogIsReadFromTheEnvironment(t *testing.T) {
	self := strconv.Itoa(os.Getpid())
	for _, tc := range []struct {
		usec, pid string
		want      time.Duration
		wantErr   bool
	}{
		{"", "", 0, false},
		{"", self, 0, false},
		{"180000000", self, 3 * time.Minute, false},
		{"180000000", "", 3 * time.Minute, false},
		{"180000000", "1", 0, false}, // another process's: ours inherited the environment
		{"0", self, 0, true},
		{"-5", self, 0, true},
		{"soon", self, 0, true},
		{"1000", "me", 0, true},
	} {
		t.Setenv("WATCHDOG_USEC", tc.usec)
		t.Setenv("WATCHDOG_PID", tc.pid)
		n, err := daemon.NewNotifier()
		if (err != nil) != tc.wantErr {
			t.Errorf("WATCHDOG_USEC=%q WATCHDOG_PID=%q: error %v", tc.usec, tc.pid, err)
		}
		if err == nil && n.Watchdog() != tc.want {
			t.Errorf("WATCHDOG_USEC=%q WATCHDOG_PID=%q: %s, want %s", tc.usec, tc.pid, n.Watchdog(), tc.want)
		}
	}
}

func TestWithoutSystemdNothingIsNotified(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	t.Setenv("WATCHDOG_USEC", "")
	n := notifier(t)
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, "@hourly")
		b.opts.Notifier = n
		b.runFor(24*time.Hour - time.Second)
		b.wantLines(atWarning)
	})
}

// The log reports it.
func TestMissingSystemdSocketCostsNoSnapshot(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", filepath.Join(t.TempDir(), "gone"))
	t.Setenv("WATCHDOG_USEC", "")
	n := notifier(t)
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, "@hourly")
		b.opts.Notifier = n
		b.runFor(time.Minute)
		b.closing(1)
		// READY, two of STATUS, STOPPING.
		b.wantLines(atWarning, slices.Repeat([]string{"notifying systemd failed"}, 4)...)
	})
}
