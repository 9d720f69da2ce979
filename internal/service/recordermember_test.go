package service

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"etcd-rolling-backup/daemon"
	"etcd-rolling-backup/daemon/status"
	"etcd-rolling-backup/internal/etcdtest"
)

// A member that lags behind the journal is waited for. It is neither a restored cluster nor a gap.
func TestJournalWaitsForAMemberThatLagsBehindIt(t *testing.T) {
	l := etcdtest.RunLag(t, etcdtest.Default)
	b := newJournalBedOf(t, l.Cluster)
	client, err := l.Leader.Client(t.Context())
	must(t, err)
	defer client.Close()
	b.cfg.Etcd.Endpoints = []string{l.Leader.Endpoint}
	b.start()
	b.waitForBases(1)
	l.Hold(t)
	puts(t, client, 20)
	b.reaches(client)
	b.stop()
	b.cfg.Etcd.Timeout, b.cfg.Etcd.Endpoints = time.Second, []string{l.Follower.Endpoint}
	b.start()
	b.until("it waits", func(j status.Journal) bool { return !j.Running && j.Message != "" })
	l.Release()
	puts(t, client, 10)
	b.wantOneRange(client)
}

// A member that was removed and added again has another ID and empty data. The journal of the node continues with it.
func TestJournalContinuesWithAReplacedMember(t *testing.T) {
	oldestAndNewest(t, func(t *testing.T, version string) {
		b := newJournalBed(t, etcdtest.Options{Version: version, Members: 3, UnsafeNoFsync: true})
		m, other := b.cluster.Members[0], etcdtest.Dial(t, b.cluster)
		b.cfg.Etcd.Endpoints = []string{m.Endpoint}
		b.start()
		b.waitForBases(1)
		puts(t, other, 20)
		b.reaches(other)
		rest, err := b.cluster.Members[1].Client(t.Context())
		must(t, err)
		defer rest.Close()
		list, err := rest.MemberList(t.Context())
		must(t, err)
		must(t, m.Kill())
		for _, x := range list.Members {
			if x.Name == m.Name {
				eventually(t, func() bool { // whose first answer may get lost with the leader
					ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
					defer cancel()
					_, err := rest.MemberRemove(ctx, x.ID)
					return err == nil || errors.Is(err, rpctypes.ErrMemberNotFound)
				})
			}
		}
		eventually(t, func() bool {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			_, err := rest.MemberAdd(ctx, []string{m.PeerURL})
			return err == nil || errors.Is(err, rpctypes.ErrPeerURLExist)
		})
		must(t, os.RemoveAll(m.DataDir))
		m.Args = append(m.Args, "--initial-cluster-state=existing")
		must(t, m.Restart(t.Context()))
		puts(t, rest, 20)
		b.waitForBases(2) // with the new list of members
		head := b.reaches(rest)
		b.stop()
		if len(b.ranges()) != 1 {
			t.Errorf("ranges %v", b.ranges())
		}
		b.wantAll(rest, b.bases()[0], head)
	})
}

// The role decides who takes the scheduled snapshots. Each member's journal needs one of its own to begin with.
func TestJournalOfAMemberWithoutSnapshotsGetsOne(t *testing.T) {
	b := newJournalBed(t, etcdtest.Options{UnsafeNoFsync: true, Members: 3})
	client := etcdtest.Dial(t, b.cluster)
	for _, m := range b.cluster.Members {
		s, err := client.Status(t.Context(), m.ClientURL)
		must(t, err)
		if s.Leader != s.Header.MemberId {
			b.cfg.Etcd.Endpoints = []string{m.Endpoint}
		}
	}
	b.cfg.Role = daemon.RoleLeader
	b.start()
	b.waitForBases(1)
	puts(t, client, 20)
	b.wantOneRange(client)
}
