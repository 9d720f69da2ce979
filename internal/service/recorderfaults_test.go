package service

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"etcd-rolling-backup/daemon/status"
	"etcd-rolling-backup/internal/etcdtest"
)

// A stopped process keeps its connections. It is noticed by the keepalive alone.
func TestJournalNoticesAHungMemberAndContinues(t *testing.T) {
	oldestAndNewest(t, func(t *testing.T, version string) {
		b := newJournalBed(t, etcdtest.Options{Version: version, UnsafeNoFsync: true})
		client, m := etcdtest.Dial(t, b.cluster), b.cluster.Members[0]
		b.start()
		b.waitForBases(1)
		puts(t, client, 10)
		b.reaches(client)
		must(t, m.Pause())
		b.interrupted(status.Unreachable)
		must(t, m.Resume())
		puts(t, client, 10)
		b.wantOneRange(client)
	})
}

func TestJournalContinuesAfterTheMemberWasKilled(t *testing.T) {
	oldestAndNewest(t, func(t *testing.T, version string) {
		b := newJournalBed(t, etcdtest.Options{Version: version, UnsafeNoFsync: true})
		client, m := etcdtest.Dial(t, b.cluster), b.cluster.Members[0]
		b.start()
		b.waitForBases(1)
		for range 3 {
			puts(t, client, 10)
			must(t, m.Kill())
			b.interrupted(status.Unreachable)
			must(t, m.Restart(t.Context()))
		}
		puts(t, client, 10)
		b.wantOneRange(client)
	})
}

func TestJournalWaitsForAQuorum(t *testing.T) {
	oldestAndNewest(t, func(t *testing.T, version string) {
		b := newJournalBed(t, etcdtest.Options{Version: version, Members: 3, UnsafeNoFsync: true})
		client, members := etcdtest.Dial(t, b.cluster), b.cluster.Members
		b.cfg.Etcd.Endpoints = []string{members[0].Endpoint}
		b.start()
		b.waitForBases(1)
		puts(t, client, 10)
		etcdtest.Settle(t, b.cluster)
		must(t, members[1].Kill())
		must(t, members[2].Kill())
		b.interrupted(status.Timeout) // etcd answers that it has no leader
		must(t, b.cluster.Restart(t.Context()))
		puts(t, client, 10)
		b.wantOneRange(client)
	})
}

// Each endpoint in turn is killed or hangs.
func TestJournalFailsOverToTheNextEndpoint(t *testing.T) {
	oldestAndNewest(t, func(t *testing.T, version string) {
		b := newJournalBed(t, etcdtest.Options{Version: version, Members: 3, UnsafeNoFsync: true})
		b.start()
		b.waitForBases(1)
		for i, m := range b.cluster.Members {
			other, err := b.cluster.Members[(i+1)%3].Client(t.Context())
			must(t, err)
			stop, cont := m.Kill, func() error { return m.Restart(t.Context()) }
			if i == 1 {
				stop, cont = m.Pause, m.Resume
			}
			must(t, stop())
			putsSoon(t, other, 20)
			b.reaches(other)
			must(t, cont())
			must(t, other.Close())
		}
		etcdtest.Settle(t, b.cluster)
		b.wantOneRange(etcdtest.Dial(t, b.cluster))
		if b.lines("journal continues") == 0 {
			t.Error("it never failed over")
		}
	})
}

// putsSoon writes keys as soon as the cluster has a leader again.
func putsSoon(t *testing.T, client *clientv3.Client, n int) {
	t.Helper()
	for limit := time.Now().Add(patience); n > 0; {
		_, err := client.Put(t.Context(), fmt.Sprint("soon-", n%7), fmt.Sprint(n))
		switch {
		case err == nil:
			n--
		case time.Now().After(limit):
			t.Fatal(err)
		}
	}
}

// shortLog are flags of etcd with which a member that is a few writes behind gets a snapshot of the leader's data instead of its log.
func shortLog() []string { return []string{"--snapshot-count=20", "--snapshot-catchup-entries=5"} }

// gotSnapshot is what such a member logs.
const gotSnapshot = `"msg":"applied snapshot"`

// The watch stays open while its member gets a snapshot: what lies between is in no log that the member has seen.
func TestJournalMissesNothingWhenItsMemberGetsARaftSnapshot(t *testing.T) {
	l := etcdtest.RunLag(t, etcdtest.Default, shortLog()...)
	b := newJournalBedOf(t, l.Cluster)
	client, err := l.Leader.Client(t.Context())
	must(t, err)
	defer client.Close()
	b.cfg.Etcd.Endpoints = []string{l.Follower.Endpoint}
	b.start()
	b.waitForBases(1)
	puts(t, client, 10)
	b.reaches(client)
	l.Hold(t)
	puts(t, client, 1000) // more than the leader sends before it waits for answers
	l.Release()
	puts(t, client, 10)
	b.wantOneRange(client)
	if !logged(t, gotSnapshot, l.Follower) {
		t.Error("the member got no snapshot: the test shows nothing")
	}
	if n := b.lines("journal continues"); n != 0 {
		t.Errorf("the watch ended %d times", n)
	}
}

// The journal fails over to a member that was away for long.
func TestJournalFailsOverToAMemberThatGotARaftSnapshot(t *testing.T) {
	b := newJournalBed(t, etcdtest.Options{Members: 3, UnsafeNoFsync: true, Flags: shortLog()})
	client, members := etcdtest.Dial(t, b.cluster), b.cluster.Members
	b.cfg.Etcd.Endpoints = []string{members[1].Endpoint, members[0].Endpoint}
	b.start()
	b.waitForBases(1)
	must(t, members[0].Kill())
	putsSoon(t, client, 100)
	b.reaches(client)
	must(t, members[0].Restart(t.Context()))
	eventually(t, func() bool { return logged(t, gotSnapshot, members[0]) })
	must(t, members[1].Kill())
	other, err := members[0].Client(t.Context())
	must(t, err)
	defer other.Close()
	putsSoon(t, other, 50)
	b.wantOneRange(other)
	if b.lines("journal continues") == 0 {
		t.Error("it never failed over")
	}
}

// logged reports whether a text is in the log of a member.
func logged(t *testing.T, text string, m *etcdtest.Member) bool {
	t.Helper()
	log, err := os.ReadFile(m.LogPath)
	must(t, err)
	return strings.Contains(string(log), text)
}

func eventually(t *testing.T, done func() bool) {
	t.Helper()
	for limit := time.Now().Add(patience); !done(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatal("not in time")
		}
	}
}

// The second daemon with the same directory and node neither records nor completes what the first one writes, and reports why. It takes over.
func TestSecondDaemonRecordsOnlyAfterTheFirst(t *testing.T) {
	b := newJournalBed(t, etcdtest.Options{UnsafeNoFsync: true})
	client := etcdtest.Dial(t, b.cluster)
	b.cfg.Journal.Segment = time.Hour
	b.start()
	b.waitForBases(1)
	puts(t, client, 10)
	b.reaches(client)
	first, part := b.stop, partials(t, b)
	if len(part) != 1 {
		t.Fatalf("incomplete segments %q", part)
	}
	b.start()
	b.interrupted(status.InUse)
	if m := b.status.State().Journal.Message; !strings.Contains(m, "stop one of the two daemons") {
		t.Error(m)
	}
	if now := partials(t, b); !slices.Equal(now, part) {
		t.Errorf("incomplete segments %q, want %q", now, part)
	}
	if b.lines("journal not started; snapshots continue") != 1 || b.lines("journal interrupted") > 0 {
		t.Error("other lines in the log of the second daemon")
	}
	second := b.stop
	b.stop = first
	b.stop()
	b.stop = second
	puts(t, client, 10)
	b.wantOneRange(client)
}

func partials(t *testing.T, b *journalBed) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(b.dir.Path(), "*.part"))
	must(t, err)
	return names
}
