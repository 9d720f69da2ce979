package member_test

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"etcd-rolling-backup/internal/etcdtest"
	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/member"
)

// recorded is what a manifest says of a cluster's members.
func recorded(c *etcdtest.Cluster) (members []snapshot.Member) {
	for i, m := range c.Members {
		members = append(members, snapshot.Member{ID: snapshot.ID(i + 1), Name: m.Name, PeerURLs: []string{m.PeerURL}, ClientURLs: []string{m.ClientURL}})
	}
	return members
}

// survey describes the sightings, one word for each.
func survey(t *testing.T, c member.Config, members []snapshot.Member) string {
	t.Helper()
	var words []string
	for _, s := range member.Survey(t.Context(), c, members, 20*time.Second) {
		words = append(words, fmt.Sprintf("%s:%t,%t,%t", s.Member.Name, s.Answered, s.Leader, s.ClusterID != 0))
	}
	return strings.Join(words, " ")
}

// The members that run are seen, with and without the certificates, and a stopped one is not.
func TestSurveySeesTheMembersThatRun(t *testing.T) {
	for _, tls := range []bool{false, true} {
		c := etcdtest.Run(t, etcdtest.Options{Members: 3, TLS: tls, UnsafeNoFsync: true})
		members := recorded(c)
		var with member.Config
		if tls {
			with = mutual(c)
		}
		if got, want := survey(t, with, members), "node1:true,true,true node2:true,true,true node3:true,true,true"; got != want {
			t.Errorf("TLS %t: %s, want %s", tls, got, want)
		}
		must(t, c.Members[0].Kill())
		eventually(t, "the others have a leader", func() bool {
			return survey(t, with, members) == "node2:true,true,true node3:true,true,true"
		})
		if !tls {
			must(t, c.Members[1].Kill())
			eventually(t, "the last one knows no leader", func() bool {
				return survey(t, with, members) == "node3:true,false,true"
			})
			continue
		}
		for _, unable := range []member.Config{{}, {CACert: with.CACert}, {Cert: with.Cert, Key: "/missing"}} {
			if got, want := survey(t, unable, members), "node2:false,false,false node3:false,false,false"; got != want {
				t.Errorf("with %+v: %s, want %s", unable, got, want)
			}
		}
	}
}

// Without a login a member of a cluster with users is seen, whatever it answers.
func TestSurveySeesMembersThatDemandALogin(t *testing.T) {
	for _, version := range etcdtest.Versions() {
		c := etcdtest.Run(t, etcdtest.Options{Version: version, UnsafeNoFsync: true})
		must(t, c.EnableAuth(t.Context(), "password"))
		if got := survey(t, member.Config{}, recorded(c)); !strings.HasPrefix(got, "node1:") {
			t.Errorf("etcd %s: seen: %q", version, got)
		}
	}
}

// What does not lead to one member, or is no etcd, is not taken for a member that runs.
func TestSurveyIgnoresOtherServers(t *testing.T) {
	web := httptest.NewServer(http.NotFoundHandler())
	defer web.Close()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer silent.Close()
	c := etcdtest.Run(t, etcdtest.Options{UnsafeNoFsync: true})
	shared := c.Members[0].ClientURL
	members := []snapshot.Member{
		{ID: 1, Name: "web", ClientURLs: []string{web.URL}},
		{ID: 2, Name: "silent", ClientURLs: []string{"http://" + silent.Addr().String()}},
		{ID: 3, Name: "one", ClientURLs: []string{shared}},
		{ID: 4, Name: "two", ClientURLs: []string{shared, "http://0.0.0.0:2379", "unix:///run/etcd", "::"}},
		{ID: 5, Name: "none"},
	}
	if got := member.Survey(t.Context(), member.Config{}, members, time.Second); len(got) != 0 {
		t.Errorf("seen: %+v", got)
	}
}
