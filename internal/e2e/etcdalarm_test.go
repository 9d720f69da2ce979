package e2e_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"etcd-rolling-backup/internal/etcdtest"
)

// beats counts what a heartbeat's URL was called for.
type beats struct{ healthy, failed chan struct{} }

func (b beats) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	c := b.healthy
	if strings.HasSuffix(r.URL.Path, "/fail") {
		c = b.failed
	}
	select {
	case c <- struct{}{}:
	default: // one is enough
	}
}

// next waits for the next call of this kind; an older one does not count.
func next(t *testing.T, what string, c chan struct{}) {
	t.Helper()
	select {
	case <-c:
	default:
	}
	select {
	case <-c:
	case <-time.After(endLimit):
		t.Errorf("no heartbeat %s", what)
	}
}

// Real etcds raise each alarm: /readyz, the page, the log and the heartbeat report it while snapshots go on, and stop when it is cleared.
func TestAlarmsOfEtcdAreReportedUntilTheyAreCleared(t *testing.T) {
	for _, x := range []struct {
		alarm          pb.AlarmType
		headline, text string
	}{
		{pb.AlarmType_CORRUPT, "Needs attention", "alarm CORRUPT in etcd: the members have different data"},
		{pb.AlarmType_NOSPACE, "Backups work, etcd needs attention", "alarm NOSPACE in etcd: its database is full"},
	} {
		t.Run(x.alarm.String(), func(t *testing.T) {
			parallel(t)
			c := small(t, etcdtest.Options{})
			heard := beats{make(chan struct{}, 1), make(chan struct{}, 1)}
			watcher := httptest.NewServer(heard)
			defer watcher.Close()
			dir := newStore(t)
			w := watch(t, dir, flags(c, c.Members[0].Endpoint), []string{"--schedule=@every 1s", "--heartbeat-url=" + watcher.URL + "/ping"})
			w.ready(t, http.StatusOK, "ok\n")
			w.shows(t, "<h1>Healthy</h1>")
			next(t, "while healthy", heard.healthy)

			setAlarm(t, c, pb.AlarmRequest_ACTIVATE, x.alarm)
			w.ready(t, http.StatusServiceUnavailable, x.text)
			w.shows(t, `<section class="state ill"`, "<h1>"+x.headline+"</h1>", "<li>"+x.text)
			next(t, "of a failure", heard.failed)
			before := len(listed(t, dir))
			eventually(t, "snapshots went on", func() bool { return len(listed(t, dir)) > before })
			w.says(t, "msg=unhealthy")
			w.says(t, x.text)

			setAlarm(t, c, pb.AlarmRequest_DEACTIVATE, x.alarm)
			w.ready(t, http.StatusOK, "ok\n")
			w.shows(t, `<section class="state well"`, "<h1>Healthy</h1>")
			next(t, "once it is cleared", heard.healthy)
			w.stop(t, syscall.SIGTERM, 0)
		})
	}
}

func setAlarm(t *testing.T, c *etcdtest.Cluster, action pb.AlarmRequest_AlarmAction, a pb.AlarmType) {
	t.Helper()
	client := etcdtest.Dial(t, c)
	status, err := client.Status(t.Context(), c.Members[0].Endpoint)
	must(t, err)
	_, err = pb.NewMaintenanceClient(client.ActiveConnection()).Alarm(t.Context(), &pb.AlarmRequest{
		Action: action, Alarm: a, MemberID: status.Header.MemberId,
	})
	must(t, err)
}

// Without quorum the page is not green, although snapshots go on.
func TestPageIsNotGreenWithoutQuorum(t *testing.T) {
	parallel(t)
	c := small(t, etcdtest.Options{Members: 3})
	w := watch(t, newStore(t), flags(c, c.Members[0].Endpoint), []string{"--schedule=@every 1s"})
	w.ready(t, http.StatusOK, "ok\n")
	w.shows(t, `<section class="state well"`)
	must(t, c.Members[1].Kill())
	must(t, c.Members[2].Kill())
	w.shows(t, `<section class="state wait"`, "<h1>Backups work, etcd has no leader</h1>", "this etcd member has no leader since")
	must(t, c.Restart(t.Context()))
	w.shows(t, `<section class="state well"`)
	w.stop(t, syscall.SIGTERM, 0)
}

// shows waits until the page has all of the texts.
func (w *watched) shows(t *testing.T, texts ...string) {
	t.Helper()
	eventually(t, "the page showed "+strings.Join(texts, ", "), func() bool {
		_, page := w.get(t, "/")
		for _, x := range texts {
			if !strings.Contains(page, x) {
				return false
			}
		}
		return true
	})
}
