package e2e_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"etcd-rolling-backup/internal/etcdtest"
)

// watched is a daemon that answers questions.
type watched struct {
	*process
	base string // URL without a path
}

// watch starts a daemon and waits until it has said where it answers.
func watch(t *testing.T, dir string, more ...[]string) *watched {
	t.Helper()
	return answering(t, start(t, words("daemon", append([][]string{store(dir)}, more...)...)...))
}

// answering waits until a daemon has said where it answers.
func answering(t *testing.T, p *process) *watched {
	t.Helper()
	w := &watched{process: p}
	w.base = "http://" + w.address(t)
	return w
}

func (w *watched) address(t *testing.T) string {
	t.Helper()
	w.says(t, "msg=listening")
	m := regexp.MustCompile(`msg=listening address="?([0-9.]+:[0-9]+)`).FindStringSubmatch(w.stderr.String())
	if m == nil {
		t.Fatalf("no address in\n%s", w.stderr.String())
	}
	return m[1]
}

// get asks the daemon. It answers from its start on, so one that does not is a failure.
func (w *watched) get(t *testing.T, path string) (status int, body string) {
	t.Helper()
	status, body, err := ask(&http.Transport{}, w.base+path, "")
	must(t, err)
	return status, body
}

// ask makes one request over a connection of its own.
func ask(transport *http.Transport, url, password string) (status int, body string, err error) {
	defer transport.CloseIdleConnections()
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return 0, "", err
	}
	if password != "" {
		req.SetBasicAuth("prometheus", password)
	}
	res, err := (&http.Client{Transport: transport, Timeout: endLimit}).Do(req)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	return res.StatusCode, string(text), err
}

// value is that of one series of the scrape, without the program's prefix; there is false where it is not told.
func (w *watched) value(t *testing.T, series string) (v float64, there bool) {
	t.Helper()
	_, body := w.get(t, "/metrics")
	for line := range strings.Lines(body) {
		if text, ok := strings.CutPrefix(line, "etcd_rolling_backup_"+series+" "); ok {
			v, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
			must(t, err)
			return v, true
		}
	}
	return 0, false
}

// has waits until a series has a value.
func (w *watched) has(t *testing.T, series string, want float64) {
	t.Helper()
	eventually(t, series+" was "+strconv.FormatFloat(want, 'f', -1, 64), func() bool {
		got, there := w.value(t, series)
		return there && got == want
	})
}

// ready waits for an answer of /readyz: the status, and words of it.
func (w *watched) ready(t *testing.T, status int, text string) {
	t.Helper()
	eventually(t, "/readyz was "+strconv.Itoa(status)+" and said "+text, func() bool {
		got, body := w.get(t, "/readyz")
		return got == status && strings.Contains(body, text)
	})
}

// at is a time as a metric has it.
func at(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }

// secureTransport trusts one CA alone.
func secureTransport(c *tls.Config) *http.Transport { return &http.Transport{TLSClientConfig: c} }

// follower is a daemon whose log is read step by step, with a run every second unless the flags say otherwise.
type follower struct {
	*process
	seen int // bytes of the log that next has passed
}

func follow(t *testing.T, dir string, flags []string) *follower {
	t.Helper()
	f := &follower{process: start(t, words("daemon", store(dir), []string{"--schedule=@every 1s"}, flags)...)}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(f.stderr.String())
		}
	})
	return f
}

// next waits for a line with all the words that was written after the one found before.
func (f *follower) next(t *testing.T, words ...string) {
	t.Helper()
	eventually(t, "the daemon said "+strings.Join(words, " and "), func() bool {
		rest := f.stderr.String()[f.seen:]
		for line := range strings.Lines(rest) {
			if !strings.HasSuffix(line, "\n") {
				return false
			}
			f.seen += len(line)
			all := true
			for _, w := range words {
				all = all && strings.Contains(line, w)
			}
			if all {
				return true
			}
		}
		return false
	})
}

// rests takes the daemon's etcd away and waits until a run has failed of it, so that no cycle is under way.
func (p *process) rests(t *testing.T, m *etcdtest.Member) {
	t.Helper()
	must(t, m.Kill())
	p.says(t, "snapshot failed")
}

// goesOn waits for so many more snapshots: what happens to the mirror is nothing to them.
func (f *follower) goesOn(t *testing.T, more int) {
	t.Helper()
	kept := func() int { return strings.Count(f.stderr.String(), "snapshot saved") }
	want := kept() + more
	eventually(t, fmt.Sprintf("the daemon had kept %d more snapshots", more), func() bool { return kept() >= want })
}
