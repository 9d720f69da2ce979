package member_test

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"etcd-rolling-backup/internal/etcdtest"
	"etcd-rolling-backup/snapshot/member"
)

// A learner is refused as such, whether it answers or not: with authentication enabled it accepts no login.
func TestLearner(t *testing.T) {
	for _, version := range oldestAndNewest() {
		t.Run(version, func(t *testing.T) {
			c := etcdtest.Run(t, etcdtest.Options{Version: version, UnsafeNoFsync: true})
			learner, err := c.AddLearner(t.Context())
			must(t, err)
			wantLearner(t, at(plain(c), learner.Endpoint))
			must(t, c.EnableAuth(t.Context(), "open sesame"))
			eventually(t, "the learner knew of the users", func() bool {
				m, err := member.Connect(t.Context(), as(at(plain(c), learner.Endpoint), "root", "open sesame"))
				if err == nil {
					must(t, m.Close())
				}
				return err != nil
			})
			wantLearner(t, as(at(plain(c), learner.Endpoint), "root", "open sesame"))
			voter := connect(t, as(plain(c), "root", "open sesame"))
			if list := voter.Source().Members; len(list) != 2 || list[0].Learner == list[1].Learner {
				t.Errorf("members %+v, want a voter and a learner", list)
			}
		})
	}
}

func wantLearner(t *testing.T, cfg member.Config) {
	t.Helper()
	m, err := member.Connect(t.Context(), cfg)
	if err == nil {
		defer func() { must(t, m.Close()) }()
		_, err = download(t.Context(), m)
	}
	t.Log(err)
	if !errors.Is(err, member.ErrLearner) || !strings.Contains(err.Error(), "voting member") {
		t.Errorf("a learner, user %q: %v, want ErrLearner", cfg.User, err)
	}
}

// Connect reads the certificates each time, so a renewed file is used immediately, and so is one that became invalid.
func TestRotatedCertificates(t *testing.T) {
	c := etcdtest.Run(t, etcdtest.Options{TLS: true, UnsafeNoFsync: true})
	now := time.Now()
	cfg := withPair(mutual(c), issue(t, c, now.Add(-time.Minute)))
	want := func(what string, works bool) {
		t.Helper()
		m, err := member.Connect(t.Context(), cfg)
		if err == nil {
			must(t, m.Close())
		}
		if (err == nil) != works {
			t.Errorf("%s: %v", what, err)
		}
	}
	want("expired", false)
	issue(t, c, now.Add(time.Hour))
	want("renewed", true)
	held := connect(t, cfg)
	issue(t, c, now.Add(-time.Minute))
	want("expired again", false)
	if _, err := download(t.Context(), held); err != nil {
		t.Errorf("a connection made before: %v", err)
	}

	stranger, err := etcdtest.NewAuthority(t.TempDir())
	must(t, err)
	issue(t, c, now.Add(time.Hour))
	cfg.CACert = stranger.CACert
	want("foreign CA", false)
	pem, err := os.ReadFile(c.PKI.CACert)
	must(t, err)
	must(t, os.WriteFile(stranger.CACert, pem, 0o600))
	want("renewed CA", true)
}

// issue writes a client certificate to the same files each time.
func issue(t *testing.T, c *etcdtest.Cluster, until time.Time) etcdtest.KeyPair {
	t.Helper()
	pair, err := c.PKI.IssueClient("rotated", time.Now().Add(-30*time.Minute), until)
	must(t, err)
	return pair
}

// The last running member can still be backed up, although the cluster answers no other request.
func TestWithoutQuorum(t *testing.T) {
	t.Parallel() // it waits more than it works
	for _, version := range oldestAndNewest() {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			c := etcdtest.Run(t, etcdtest.Options{Version: version, Members: 3, UnsafeNoFsync: true})
			loseQuorum(t, c)
			m := awaitNoLeader(t, plain(c))
			wantMembers(t, m.Source(), c)
			if m.Leader() {
				t.Error("a member without quorum leads")
			}
			if n, err := download(t.Context(), m); err != nil || n <= m.DBSize() {
				t.Errorf("Stream without quorum: %d bytes, %v", n, err)
			}
		})
	}
}

// A login goes through raft. Without quorum a user's client certificate works where the password does not, and the error of the
// password says so.
func TestUsersWithoutQuorum(t *testing.T) {
	t.Parallel() // it waits more than it works
	for _, version := range oldestAndNewest() {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			c := etcdtest.Run(t, etcdtest.Options{Version: version, Members: 3, TLS: true, UnsafeNoFsync: true})
			must(t, c.EnableAuth(t.Context(), "open sesame"))
			root, err := c.PKI.IssueClient("root", time.Now().Add(-time.Minute), time.Now().Add(time.Hour))
			must(t, err)
			loseQuorum(t, c)
			m := awaitNoLeader(t, withPair(mutual(c), root))
			if _, err := download(t.Context(), m); err != nil {
				t.Errorf("Stream with the certificate of root: %v", err)
			}
			login := as(mutual(c), "root", "open sesame")
			login.Timeout = silenceLimit
			refusal{"login without quorum", login, []string{"quorum", "--cert"}}.demand(t)
		})
	}
}

func loseQuorum(t *testing.T, c *etcdtest.Cluster) {
	t.Helper()
	must(t, c.Members[1].Kill())
	must(t, c.Members[2].Kill())
}

// awaitNoLeader connects when the member has noticed that its cluster has no leader.
func awaitNoLeader(t *testing.T, cfg member.Config) *member.Member {
	t.Helper()
	eventually(t, "the member missed its leader", func() bool {
		m, err := member.Connect(t.Context(), cfg)
		must(t, err)
		must(t, m.Close())
		return !m.Source().Healthy
	})
	return connect(t, cfg)
}

// Alarms are reported and never prevent a snapshot.
func TestNoSpaceAlarm(t *testing.T) {
	for _, version := range oldestAndNewest() {
		t.Run(version, func(t *testing.T) {
			c := etcdtest.Run(t, etcdtest.Options{Version: version, QuotaBytes: 1 << 20, UnsafeNoFsync: true})
			// etcd looks at the size of what it has committed, which it does ten times a second.
			var err error
			for seed := uint64(0); err == nil && seed < 50; seed++ {
				_, err = etcdtest.Fill(t.Context(), etcdtest.Dial(t, c), etcdtest.FillOptions{Bytes: 8 << 20, Seed: seed})
			}
			if err == nil || !strings.Contains(err.Error(), "space exceeded") {
				t.Fatalf("400 MiB into a quota of 1 MiB: %v", err)
			}
			m := connect(t, plain(c))
			if s := m.Source(); !slices.Equal(s.Alarms, []string{"NOSPACE"}) || !s.Healthy {
				t.Errorf("alarms %q, healthy %t", s.Alarms, s.Healthy)
			}
			if _, err := download(t.Context(), m); err != nil {
				t.Errorf("Stream of a full etcd: %v", err)
			}
		})
	}
}
