package service

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sirupsen/logrus"

	"etcd-rolling-backup/daemon"
	"etcd-rolling-backup/daemon/status"
	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/internal/etcdtest"
	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/member"
)

// A look reports whether etcd answers. If each look is a login, there are fewer.
func TestLookReportsWhetherEtcdAnswers(t *testing.T) {
	c := etcdtest.Run(t, etcdtest.Options{UnsafeNoFsync: true})
	const leads, answers, away = "has a leader", "answers", "does not answer"
	cfg := member.Config{Endpoints: c.Endpoints(), Timeout: 10 * time.Second}
	look := &taker{name: &memberName{}, dir: snapshot.NewDir(t.TempDir()), member: func() (member.Config, error) { return cfg, nil }, status: status.New(status.Options{})}
	told := func(want string) bool {
		m := look.status.State().Member
		return map[string]bool{leads: m.Leader, answers: m.Asked && m.Away.IsZero(), away: !m.Away.IsZero()}[want]
	}
	cfg.User = "root"
	logins := look.lookPause()
	cfg.User = ""
	if looks := look.lookPause(); logins <= looks {
		t.Errorf("a login each %s, a look without each %s", logins, looks)
	}
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

// The member's name is what it says itself, and while it does not answer, what the last snapshot of this node says. An endpoint that
// is used instead of a silent one may be another node's, so its name does not count.
func TestMemberNameIsLearned(t *testing.T) {
	c := etcdtest.Run(t, etcdtest.Options{UnsafeNoFsync: true})
	learner, err := c.AddLearner(t.Context())
	must(t, err)
	dir := snapshot.NewDir(filepath.Join(t.TempDir(), "store"))
	must(t, dir.Prepare())
	of := func(node string, endpoints ...string) *taker {
		cfg := member.Config{Endpoints: endpoints, Timeout: 20 * time.Second}
		return &taker{
			member: func() (member.Config, error) { return cfg, nil }, role: daemon.RoleAny, dir: dir, name: &memberName{},
			options: snapshot.TakeOptions{Set: snapshot.RollingSet, Node: node, Stall: 10 * time.Second},
		}
	}
	called := func(what string, tk *taker, want string) {
		t.Helper()
		if got := tk.name.get(); got != want {
			t.Errorf("%s: the member has the name %q, want %q", what, got, want)
		}
	}
	own := c.Members[0].Endpoint
	for _, x := range []struct {
		endpoints []string
		want      string
	}{{[]string{own}, "node1"}, {[]string{own, learner.Endpoint}, "node1"}, {[]string{"127.0.0.1:1", own}, ""}, {[]string{learner.Endpoint}, ""}} {
		tk := of("n1", x.endpoints...)
		must(t, tk.look(t.Context()))
		called(strings.Join(x.endpoints, ","), tk, x.want)
	}
	tk := of("n1", own)
	recalled := func(node string) *taker {
		cfg := config.Config{Store: config.Store{Node: node}, Etcd: config.Etcd{Endpoints: []string{own}}}
		return &taker{name: recallMember(cfg, dir, snapshot.Lineage{})}
	}
	called("no snapshot", recalled("n1"), "")
	_, err = tk.Take(t.Context(), logrus.New(), func() {})
	must(t, err)
	called("a snapshot taken", tk, "node1")

	must(t, c.Members[0].Kill())
	for node, want := range map[string]string{"n1": "node1", "n2": ""} {
		late := of(node, own)
		if err := late.look(t.Context()); err == nil {
			t.Error("an etcd that is down gave no error")
		}
		called("etcd is down", late, "")
		called("etcd is down, on node "+node, recalled(node), want)
	}
}
