package service

import (
	"context"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"etcd-rolling-backup/internal/etcdtest"
	"etcd-rolling-backup/metrics"
	"etcd-rolling-backup/snapshot/member"
)

// A look tells how etcd is, and that it is away; where each would be a login, nobody is asked.
func TestLook(t *testing.T) {
	c := etcdtest.Run(t, etcdtest.Options{UnsafeNoFsync: true})
	cfg := member.Config{Endpoints: c.Endpoints(), Timeout: 10 * time.Second}
	look := &taker{name: &memberName{}, member: func() (member.Config, error) { return cfg, nil }, metrics: metrics.New(metrics.Options{})}
	told := func(series string) bool {
		w := httptest.NewRecorder()
		look.metrics.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
		return strings.Contains(w.Body.String(), "etcd_rolling_backup_"+series+"\n")
	}
	const leads, answers, away = "etcd_has_leader 1", "etcd_reachable 1", "etcd_reachable 0"
	cfg.User = "root"
	must(t, look.look(t.Context()))
	if told(leads) || told(away) {
		t.Error("a user was logged in")
	}
	cfg.User = ""
	must(t, look.look(t.Context()))
	if !told(leads) || !told(answers) {
		t.Error("the look was not told")
	}
	cfg.CACert = filepath.Join(t.TempDir(), "none")
	if err := look.look(t.Context()); err == nil || !told(answers) {
		t.Errorf("etcd was not asked, and does not answer: %v", err)
	}
	cfg.CACert = ""
	must(t, c.Members[0].Kill())
	stopped, cancel := context.WithCancel(t.Context())
	cancel()
	if err := look.look(stopped); err == nil || !told(answers) {
		t.Errorf("the daemon was stopped, and etcd does not answer: %v", err)
	}
	if err := look.look(t.Context()); err == nil || !told(away) {
		t.Errorf("an etcd that is down gave no error, or it was not told: %v", err)
	}
}
