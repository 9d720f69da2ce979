package member_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"etcd-rolling-backup/internal/etcdtest"
	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/member"
)

// The first endpoint in the given order that answers is used, not the fastest one.
func TestConnectTakesFirstThatAnswers(t *testing.T) {
	t.Parallel() // it waits more than it works
	c := etcdtest.Run(t, etcdtest.Options{Members: 3, UnsafeNoFsync: true})
	a, b := c.Members[0].Endpoint, c.Members[1].Endpoint
	down, silent := closedPort(t), silentPort(t)
	for _, x := range []struct {
		endpoints []string
		want      string
	}{
		{[]string{a}, a},
		{[]string{a, b}, a},
		{[]string{b, a}, b},
		{[]string{"http://" + b}, b},
		{[]string{down, b, a}, b},
		{[]string{silent, a}, a},
		{[]string{a, down, silent}, a},
	} {
		cfg := at(plain(c), x.endpoints...)
		cfg.Timeout = 5 * time.Second
		if m := connect(t, cfg); m.Endpoint() != "http://"+x.want {
			t.Errorf("of %s took %s, want %s", x.endpoints, m.Endpoint(), x.want)
		}
	}

	cfg := at(plain(c), down, silent)
	cfg.Timeout = 300 * time.Millisecond
	_, err := member.Connect(t.Context(), cfg)
	t.Log(err)
	if err == nil || !strings.Contains(err.Error(), down) || !strings.Contains(err.Error(), silent) {
		t.Errorf("with no endpoint that answers: %v, want both named", err)
	}
}

// A stop does not wait for Timeout, even during a login.
func TestConnectEndsWithTheContext(t *testing.T) {
	cfg := at(member.Config{Timeout: time.Minute}, silentPort(t))
	for _, cfg := range []member.Config{cfg, as(cfg, "root", "open sesame")} {
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		began := time.Now()
		_, err := member.Connect(ctx, cfg)
		if took := time.Since(began); err == nil || took > cfg.Timeout/2 {
			t.Errorf("Connect as %q: %v after %s", cfg.User, err, took)
		}
	}
}

func TestConnectRefusesTwoClusters(t *testing.T) {
	a := etcdtest.Run(t, etcdtest.Options{UnsafeNoFsync: true}).Members[0].Endpoint
	b := etcdtest.Run(t, etcdtest.Options{UnsafeNoFsync: true}).Members[0].Endpoint
	for _, endpoints := range [][]string{{a, b}, {b, a}, {a, a, b}, {closedPort(t), a, b}} {
		m, err := member.Connect(t.Context(), member.Config{Endpoints: endpoints, Timeout: answerLimit})
		if m != nil || !errors.Is(err, member.ErrDifferentClusters) || !strings.Contains(err.Error(), a) || !strings.Contains(err.Error(), b) {
			t.Errorf("Connect to %s: %v, want ErrDifferentClusters with both endpoints", endpoints, err)
		}
	}
	connect(t, member.Config{Endpoints: []string{a, a}, Timeout: answerLimit})
}

// Connect and Stream work with every kind of TLS configuration of the server.
func TestConnectWithTLS(t *testing.T) {
	for _, version := range oldestAndNewest() {
		t.Run(version, func(t *testing.T) {
			oneSided := etcdtest.Run(t, etcdtest.Options{
				Version: version, TLS: true, UnsafeNoFsync: true, Flags: []string{"--client-cert-auth=false", "--trusted-ca-file="},
			})
			both := etcdtest.Run(t, etcdtest.Options{Version: version, TLS: true, UnsafeNoFsync: true})
			for name, cfg := range map[string]member.Config{
				"server's certificate": withPair(mutual(oneSided), etcdtest.KeyPair{}),
				"both certificates":    mutual(both),
				"with the scheme":      at(mutual(both), "https://"+both.Members[0].Endpoint),
			} {
				m := connect(t, cfg)
				if !strings.HasPrefix(m.Endpoint(), "https://") {
					t.Errorf("%s: endpoint %s", name, m.Endpoint())
				}
				if _, err := download(t.Context(), m); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
		})
	}
}

// The manifest's description of the member is etcd's own.
func TestSource(t *testing.T) {
	for _, version := range oldestAndNewest() {
		t.Run(version, func(t *testing.T) {
			c := etcdtest.Run(t, etcdtest.Options{Version: version, Members: 3, UnsafeNoFsync: true})
			client := etcdtest.Dial(t, c)
			put, err := client.Put(t.Context(), "a", "1")
			must(t, err)
			eventually(t, "the members knew of the change and of their version", func() bool {
				return !slices.ContainsFunc(c.Members, func(x *etcdtest.Member) bool {
					s := connect(t, at(plain(c), x.Endpoint)).Source()
					return s.Revision < put.Header.Revision || s.StorageVersion != storageVersion(version)
				})
			})
			leaders := 0
			for _, node := range c.Members {
				m := connect(t, at(plain(c), node.Endpoint))
				wantSource(t, m.Source(), c, put.Header.ClusterId, put.Header.Revision)
				if m.Leader() {
					leaders++
				}
				if m.DBSize() <= 0 {
					t.Errorf("%s: database of %d bytes", node.Name, m.DBSize())
				}
			}
			if leaders != 1 {
				t.Errorf("%d of three members lead", leaders)
			}
		})
	}
}

// storageVersion is that of the database of a member of these tests, which etcd tells since 3.6.
func storageVersion(version string) string {
	if version == "3.4" {
		return ""
	}
	return version + ".0"
}

func wantSource(t *testing.T, s snapshot.Source, c *etcdtest.Cluster, cluster uint64, revision int64) {
	t.Helper()
	switch {
	case uint64(s.ClusterID) != cluster, s.MemberID == 0, s.RaftTerm == 0, s.RaftIndex == 0:
		t.Errorf("ids or raft state: %+v", s)
	case s.Revision != revision:
		t.Errorf("revision %d, want %d", s.Revision, revision)
	case !strings.HasPrefix(s.EtcdVersion, c.Version+"."):
		t.Errorf("version %q", s.EtcdVersion)
	case !s.Healthy, len(s.Alarms) != 0:
		t.Errorf("healthy %t, alarms %s", s.Healthy, s.Alarms)
	}
	wantMembers(t, s, c)
}

// wantMembers compares the list of members with the cluster's voters.
func wantMembers(t *testing.T, s snapshot.Source, c *etcdtest.Cluster) {
	t.Helper()
	if len(s.Members) != len(c.Members) {
		t.Fatalf("%d members: %+v", len(s.Members), s.Members)
	}
	var ids []snapshot.ID
	for _, m := range s.Members {
		ids = append(ids, m.ID)
		i := slices.IndexFunc(c.Members, func(x *etcdtest.Member) bool { return x.Name == m.Name })
		if i < 0 {
			t.Errorf("unknown member %+v", m)
			continue
		}
		x := c.Members[i]
		if !slices.Equal(m.PeerURLs, []string{x.PeerURL}) || !slices.Equal(m.ClientURLs, []string{x.ClientURL}) || m.Learner {
			t.Errorf("%+v is not %s at %s and %s", m, x.Name, x.PeerURL, x.ClientURL)
		}
	}
	if !slices.Contains(ids, s.MemberID) {
		t.Errorf("member %s is not in its own list %s", s.MemberID, ids)
	}
}
