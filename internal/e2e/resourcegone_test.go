package e2e_test

import (
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"

	"etcd-rolling-backup/internal/etcdtest"
)

// putObjects writes so many objects of a type of Kubernetes, by the beginning of their keys.
func putObjects(t testing.TB, client *clientv3.Client, resource string, n int) {
	t.Helper()
	for i := range n {
		_, err := client.Put(t.Context(), fmt.Sprintf("%s/default/object-%d", resource, i), "value")
		must(t, err)
	}
}

// All objects of one custom resource are deleted, which is far from half of all keys. The next drill notices it, the next process remembers
// it, and it ends when there are some again. Events and the last object of a type are no loss.
func TestGoneKubernetesTypeIsReportedByTheDrill(t *testing.T) {
	parallel(t)
	c := etcdtest.Run(t, etcdtest.Options{UnsafeNoFsync: true})
	client := etcdtest.Dial(t, c)
	const widgets = "/registry/example.com/widgets"
	for resource, n := range map[string]int{widgets: 5, "/registry/pods": 60, "/registry/events": 20, "/registry/jobs": 4, "/registry/example.com/settings": 1} {
		putObjects(t, client, resource, n)
	}
	dir := newStore(t)
	args := [][]string{flags(c, c.Members[0].Endpoint), {"--schedule=@every 1s", "--keep-last=3", "--drill-schedule=@every 2s"}}
	w := watch(t, dir, args...)
	w.says(t, "restore drill passed")
	w.has(t, "gone_resources", 0)
	for _, resource := range []string{widgets, "/registry/events", "/registry/jobs", "/registry/example.com/settings"} {
		deleteAll(t, client, resource, clientv3.WithPrefix())
	}
	text := "all objects of the Kubernetes type " + widgets + " are gone: there were 5 in "
	w.ready(t, http.StatusServiceUnavailable, text)
	w.has(t, "gone_resources", 1)
	w.says(t, widgets)
	if _, page := w.get(t, "/"); !strings.Contains(page, widgets) {
		t.Error("the page does not name the type")
	}
	w.stop(t, syscall.SIGTERM, 0)
	w = watch(t, dir, args...)
	w.ready(t, http.StatusServiceUnavailable, text)
	alerts := newPrometheus(t, strings.TrimPrefix(w.base, "http://"))
	eventually(t, "the alert EtcdBackupResourceGone fired", func() bool {
		raised, err := alerts.raised()
		return err == nil && raised["EtcdBackupResourceGone"] == "firing"
	})
	putObjects(t, client, widgets, 1)
	w.ready(t, http.StatusOK, "ok")
	w.has(t, "gone_resources", 0)
}
