package service

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	logtest "github.com/sirupsen/logrus/hooks/test"

	"etcd-rolling-backup/daemon"
	"etcd-rolling-backup/internal/etcdtest"
	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/member"
)

// A snapshot has what the cluster acknowledged before it. A follower that can't confirm that delays it by seconds at most, and the log
// says so; without a leader nobody is asked.
func TestSnapshotOfAFollowerHasAcknowledgedWritesOrALogLine(t *testing.T) {
	l := etcdtest.RunLag(t, etcdtest.Default)
	client, err := l.Leader.Client(t.Context())
	must(t, err)
	defer client.Close()
	dir := snapshot.NewDir(filepath.Join(t.TempDir(), "store"))
	must(t, dir.Prepare())
	cfg := member.Config{Endpoints: []string{l.Follower.Endpoint}, Timeout: 10 * time.Second}
	tk := &taker{member: func() (member.Config, error) { return cfg, nil }, role: daemon.RoleAny, dir: dir, name: &memberName{}}
	take := func(label string) (m snapshot.Manifest, unconfirmed int) {
		t.Helper()
		log, hook := logtest.NewNullLogger()
		tk.options = snapshot.TakeOptions{Set: label, Node: "n1", Stall: 10 * time.Second}
		taken, err := tk.Take(t.Context(), log, func() {})
		must(t, err)
		for _, e := range hook.AllEntries() {
			if strings.HasPrefix(e.Message, "etcd did not confirm in time") {
				unconfirmed++
			}
		}
		return taken.Manifest, unconfirmed
	}

	l.Hold(t)
	put, err := client.Put(t.Context(), "late", "write")
	must(t, err)
	if m, lines := take("held"); m.Revision >= put.Header.Revision || !m.Healthy || lines != 1 {
		t.Errorf("held back: revision %d of %d, leader %t, %d lines in the log, want one", m.Revision, put.Header.Revision, m.Healthy, lines)
	}
	l.Release()
	put, err = client.Put(t.Context(), "later", "write")
	must(t, err)
	// The deadline may pass on a busy machine, or while the follower catches up after its disk stood still.
	for tries, lines := 0, 1; lines > 0; tries++ {
		var m snapshot.Manifest
		m, lines = take(fmt.Sprint("try", tries))
		if lines == 0 && m.Revision < put.Header.Revision || tries == 20 {
			t.Fatalf("released: revision %d of %d after %d tries, %d lines in the log", m.Revision, put.Header.Revision, tries, lines)
		}
	}

	for _, m := range l.Members {
		if m != l.Follower {
			must(t, m.Kill())
		}
	}
	var m snapshot.Manifest
	lines := 0
	for tries := 0; tries == 0 || m.Healthy && tries < 60; tries++ {
		m, lines = take(fmt.Sprint("alone", tries))
	}
	if m.Healthy || lines > 0 {
		t.Errorf("without a leader: leader %t, %d lines in the log", m.Healthy, lines)
	}
}
