package drill_test

import (
	"fmt"
	"slices"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"etcd-rolling-backup/internal/etcdtest"
	"etcd-rolling-backup/snapshot"
)

// Snapshots of every version can be restored, of clusters with users, leases, alarms, learners and compactions, and the drill
// finds what the server itself says of its keys.
func TestVersions(t *testing.T) {
	for _, version := range etcdtest.Versions() {
		t.Run(version, func(t *testing.T) {
			c := etcdtest.Run(t, etcdtest.Options{Version: version, UnsafeNoFsync: true})
			client := etcdtest.Dial(t, c)
			_, err := etcdtest.Fill(t.Context(), client, etcdtest.FillOptions{Bytes: 2 << 20, Seed: 1})
			must(t, err)
			short, err := client.Grant(t.Context(), 5) // is over before the drill is
			must(t, err)
			_, err = client.Put(t.Context(), "/of/a/short/lease", "x", clientv3.WithLease(short.ID))
			must(t, err)
			wantRestorable(t, c, client, take(t, c.Members[0], "", ""), false)
		})
	}
}

func TestUsers(t *testing.T) {
	for _, version := range []string{"3.4", "3.7"} {
		t.Run(version, func(t *testing.T) {
			c := etcdtest.Run(t, etcdtest.Options{Version: version, UnsafeNoFsync: true, Flags: []string{"--bcrypt-cost=4"}})
			must(t, c.EnableAuth(t.Context(), "a-password"))
			client := etcdtest.Dial(t, c)
			for i := range 300 {
				_, err := client.Put(t.Context(), fmt.Sprintf("/key/%d", i%50), "value")
				must(t, err)
			}
			_, err := client.Compact(t.Context(), 200)
			must(t, err)
			wantRestorable(t, c, client, take(t, c.Members[0], "root", "a-password"), true)
		})
	}
}

// A cluster with a learner and both alarms, in whose snapshot the learner is a member and writing is refused.
func TestLearnerAndAlarms(t *testing.T) {
	c := etcdtest.Run(t, etcdtest.Options{Version: "3.6", UnsafeNoFsync: true})
	client := etcdtest.Dial(t, c)
	_, err := client.Put(t.Context(), "/key", "value")
	must(t, err)
	_, err = c.AddLearner(t.Context())
	must(t, err)
	status, err := client.Status(t.Context(), c.Members[0].ClientURL)
	must(t, err)
	for _, alarm := range []pb.AlarmType{pb.AlarmType_NOSPACE, pb.AlarmType_CORRUPT} {
		_, err := pb.NewMaintenanceClient(client.ActiveConnection()).Alarm(t.Context(), &pb.AlarmRequest{
			Action: pb.AlarmRequest_ACTIVATE, MemberID: status.Header.MemberId, Alarm: alarm,
		})
		must(t, err)
	}
	r, err := newBench(t, take(t, c.Members[0], "", "")).start(t)
	must(t, err)
	if !slices.Equal(r.Alarms, []string{"CORRUPT", "NOSPACE"}) || r.Keys != 1 {
		t.Errorf("%+v, want one key and both alarms", r)
	}
}

// wantRestorable drills and asks the server for the same.
func wantRestorable(t *testing.T, c *etcdtest.Cluster, client *clientv3.Client, archive string, auth bool) {
	t.Helper()
	r, err := newBench(t, archive).start(t)
	must(t, err)
	hash, err := client.HashKV(t.Context(), c.Members[0].ClientURL, r.Revision)
	must(t, err)
	if r.HashKV != hash.Hash || r.HashRevision != r.Revision || r.CompactRevision != hash.CompactRevision {
		t.Errorf("the drill found %+v, the server says %+v", r, hash)
	}
	keys, err := client.Get(t.Context(), "", clientv3.WithFromKey(), clientv3.WithCountOnly(), clientv3.WithRev(r.Revision))
	must(t, err)
	if r.Keys != keys.Count || r.Sampled == 0 || r.Auth != auth || r.EtcdVersion == "" || len(r.Alarms) != 0 {
		t.Errorf("the drill found %+v, the server says %d keys", r, keys.Count)
	}
	if name, err := snapshot.ParseName(r.Name); err != nil || name.Node != "node-a" {
		t.Errorf("the drill says that it was of %q", r.Name)
	}
}
