package daemon_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"etcd-rolling-backup/daemon"
)

// beats are what a bed's daemon sends, with the moment.
type beats struct {
	sent  []string
	takes time.Duration
	err   error
}

func (b *bed) beating() *beats {
	s := &beats{}
	b.opts.Heartbeat = func(ctx context.Context, healthy bool) error {
		s.sent = append(s.sent, fmt.Sprint(time.Since(b.origin), " ", healthy))
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(s.takes):
		}
		return s.err
	}
	return s
}

func TestHeartbeatFollowsEachCycle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, "@hourly")
		s := b.beating()
		b.run = []outcome{{takes: time.Second}, {err: errDown}, {}, {}, {err: daemon.ErrSkipped}}
		b.runFor(3*time.Hour + time.Minute) // the run of 03:00 is left to another member
		want := []string{"1s true", "1h0m0s false", "1h0m5s true", "2h0m0s true"}
		if !slices.Equal(s.sent, want) {
			t.Errorf("sent %q, want %q", s.sent, want)
		}
	})
}

func TestHeartbeatReportsAFailedPruning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, "@hourly")
		s := b.beating()
		b.opts.Policy.Last = 1
		b.store.removeErr = map[string]error{"rolling_node-a_20000101T000000Z.db.zst": errors.New("read-only file system")}
		b.runFor(time.Hour + time.Minute)
		if want := []string{"0s true", "1h0m0s false"}; !slices.Equal(s.sent, want) {
			t.Errorf("sent %q, want %q", s.sent, want)
		}
	})
}

// A watcher that is away costs a few tries and a warning; it delays no cycle and is no problem of the backups.
func TestHeartbeatThatFailsIsRetriedAndNoProblem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, "@hourly")
		s := b.beating()
		s.err = errors.New("call hc.example.com: connection refused")
		b.runFor(2*time.Hour + time.Minute)
		want := []string{"0s true", "2s true", "6s true", "1h0m0s true", "1h0m2s true", "1h0m6s true", "2h0m0s true", "2h0m2s true", "2h0m6s true"}
		if !slices.Equal(s.sent, want) {
			t.Errorf("sent %q, want %q", s.sent, want)
		}
		b.wantRuns(hours(0, 2)...)
		b.wantLines(atWarning, slices.Repeat([]string{"heartbeat failed; backups continue"}, 3)...)
		if s := b.status.State(); len(s.History) > 0 || len(b.codes()) > 0 {
			t.Errorf("the status has %+v, problems %q", s.History, b.codes())
		}
	})
}

// While one call hangs, cycles go on; of what they report the last counts.
func TestHeartbeatThatHangsDelaysNoCycle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, "@every 10s")
		s := b.beating()
		s.takes = 33 * time.Second
		b.run = []outcome{{}, {}, {}, {err: errDown}}
		b.runFor(39 * time.Second)
		b.wantRuns(seconds(0, 10, 20, 30, 35)...)
		if want := []string{"0s true", "33s false"}; !slices.Equal(s.sent, want) {
			t.Errorf("sent %q, want %q", s.sent, want)
		}
		b.wantLines(atWarning)
	})
}

func TestHeartbeatCallsItsURL(t *testing.T) {
	var asked []string
	answer := http.StatusOK
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		asked = append(asked, fmt.Sprint(r.Method, " ", r.URL.RequestURI(), " ", user, password))
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(answer)
	}))
	defer server.Close()
	host := strings.TrimPrefix(server.URL, "http://")
	send := func(address string, healthy bool) error {
		t.Helper()
		h, err := daemon.NewHeartbeat(address)
		if err != nil {
			t.Fatal(err)
		}
		return h.Send(t.Context(), healthy)
	}
	for _, tc := range []struct{ path, healthy, failed string }{
		{"", "/", "/fail"},
		{"/", "/", "/fail"},
		{"/ping/5f2b", "/ping/5f2b", "/ping/5f2b/fail"},
		{"/ping/5f2b/", "/ping/5f2b/", "/ping/5f2b/fail"},
		{"/ping/5f2b?create=1&tag=a%20b", "/ping/5f2b?create=1&tag=a%20b", "/ping/5f2b/fail?create=1&tag=a%20b"},
		{"/a%2Fb/c#top", "/a%2Fb/c", "/a%2Fb/c/fail"},
	} {
		asked = nil
		if err := errors.Join(send(server.URL+tc.path, true), send("http://me:secret@"+host+tc.path, false)); err != nil {
			t.Error(err)
		}
		if want := []string{"GET " + tc.healthy + " ", "GET " + tc.failed + " mesecret"}; !slices.Equal(asked, want) {
			t.Errorf("%s: asked %q, want %q", tc.path, asked, want)
		}
	}
	for code, want := range map[int]string{404: "it answers 404 Not Found", 500: "500", 302: "302 Found: set the URL of the redirection's target"} {
		answer, asked = code, nil
		err := send(server.URL+"/5f2b-secret?key=5f2b-secret", true)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") || len(asked) != 1 {
			t.Errorf("%d: %v after %q", code, err, asked)
		}
	}
	server.Close()
	err := send(server.URL+"/5f2b-secret?key=5f2b-secret", true)
	if err == nil || !strings.Contains(err.Error(), "connection refused") || strings.Contains(err.Error(), "secret") {
		t.Errorf("nobody listens: %v", err)
	}
}

func TestHeartbeatRefusesAnInvalidURL(t *testing.T) {
	for _, address := range []string{"hc.example.com/secret", "ftp://hc.example.com/secret", "https:///secret", "https://[secret", "://secret", "secret"} {
		if _, err := daemon.NewHeartbeat(address); !errors.Is(err, daemon.ErrHeartbeat) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", address, err)
		}
	}
}
