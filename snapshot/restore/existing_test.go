package restore

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"

	"etcd-rolling-backup/internal/etcdtest"
	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/input"
)

func TestClustersOfDataAreComparedByIDOrElseByMembers(t *testing.T) {
	a := snapshot.Member{ID: 1, Name: "a", PeerURLs: []string{"https://a:2380"}}
	moved := snapshot.Member{ID: 1, Name: "a", PeerURLs: []string{"https://a:1"}}
	again := snapshot.Member{ID: 9, Name: "other", PeerURLs: []string{"https://a:2380"}}
	b := snapshot.Member{ID: 2, Name: "a", PeerURLs: []string{"https://b:2380"}}
	of := func(id snapshot.ID, earlier ...snapshot.ID) DataCluster {
		return DataCluster{Lineage: snapshot.Lineage{Cluster: id, Predecessors: earlier}}
	}
	with := func(members ...snapshot.Member) DataCluster { return DataCluster{Members: members} }
	also := func(o DataCluster, members ...snapshot.Member) DataCluster {
		return DataCluster{Lineage: o.Lineage, Members: members}
	}
	for name, x := range map[string]struct {
		a, b DataCluster
		want Relation
	}{
		"the same ID":              {of(1), of(1), Same},
		"another ID":               {of(1), of(2), Other},
		"a predecessor":            {of(1), of(2, 3, 1), Same},
		"siblings":                 {of(1, 5), of(2, 5), Same},
		"others, with ancestors":   {of(1, 5), of(2, 6), Other},
		"IDs before members":       {also(of(1), a), also(of(2), a), Other},
		"one ID unknown":           {also(of(1), a), with(b, a), Same},
		"the same member, moved":   {with(a), with(moved), Same},
		"a member's URL, restored": {with(a), with(again), Same},
		"other members":            {with(a), with(b), Other},
		"nothing known":            {with(), of(1), Unknown},
		"no members of one":        {with(a), with(), Unknown},
	} {
		if got, back := x.a.Relation(x.b), x.b.Relation(x.a); got != x.want || back != x.want {
			t.Errorf("%s: %s and %s, want %s", name, got, back, x.want)
		}
	}
}

// The cluster ID that is computed for a restored cluster is the one that etcd reports, and is read from its data.
func TestClusterIDIsTheOneOfEtcd(t *testing.T) {
	for _, version := range etcdtest.Versions() {
		c := etcdtest.Run(t, etcdtest.Options{Version: version, Members: 3, UnsafeNoFsync: true})
		status, err := etcdtest.Dial(t, c).Status(t.Context(), c.Members[0].ClientURL)
		must(t, err)
		want := snapshot.ID(status.Header.ClusterId)
		cluster := Cluster{Token: "etcd-cluster"} // etcd's default
		for _, m := range c.Members {
			cluster.Peers = append(cluster.Peers, Peer{Name: m.Name, URLs: []string{m.PeerURL}})
		}
		if got, err := cluster.ID(); err != nil || got != want {
			t.Errorf("etcd %s: computed %s (%v), etcd reports %s", version, got, err, want)
		}
		must(t, c.Members[0].Stop())
		data := c.Members[0].DataDir
		got, err := (&Plan{DataDir: data}).Existing()
		if err != nil || got.Cluster != want || len(got.Members) != 3 {
			t.Errorf("etcd %s: read %+v (%v), etcd reports %s", version, got, err, want)
		}
		// A log elsewhere, and one whose newest file is damaged.
		wal := filepath.Join(t.TempDir(), "wal")
		must(t, os.Rename(filepath.Join(data, "member/wal"), wal))
		must(t, os.WriteFile(filepath.Join(wal, "ffffffffffffffff-0000000000000000.wal"), make([]byte, 4096), 0o600))
		if got, err := (&Plan{DataDir: data, WALDir: wal}).Existing(); err != nil || got.Cluster != want {
			t.Errorf("etcd %s, a log elsewhere: read %s (%v), want %s", version, got.Cluster, err, want)
		}
		if got, err := (&Plan{DataDir: data}).Existing(); err == nil || got.Cluster != 0 || len(got.Members) != 3 {
			t.Errorf("etcd %s, without a log: read %+v (%v)", version, got, err)
		}
	}
}

// What is damaged is unknown, and nothing crashes.
func TestDamagedDataIsOfAnUnknownCluster(t *testing.T) {
	dir := t.TempDir()
	occupied(t, dir)
	for _, text := range []string{"", "x", "\x10\x00\x00\x00\x00\x00\x00\x00garbage that is long enough"} {
		must(t, os.WriteFile(filepath.Join(dir, "member/wal/0000000000000000-0000000000000000.wal"), []byte(text), 0o600))
		if got, err := (&Plan{DataDir: dir}).Existing(); err == nil || got.Cluster != 0 || got.Members != nil {
			t.Errorf("%q: read %+v, %v", text, got, err)
		}
	}
}

// A cluster of Kubernetes is recognized by its prefix, and below another prefix by its encoding, wherever its keys are.
func TestKubernetesKeysAreFound(t *testing.T) {
	for name, x := range map[string]struct {
		key, value string
		want       string
	}{
		"Kubernetes, k3s and RKE2":  {"/registry/pods/default/a", "", "/registry/pods/default/a"},
		"OpenShift":                 {"/kubernetes.io/pods/default/a", "", "/kubernetes.io/pods/default/a"},
		"another prefix":            {"/prod/pods/default/a", "k8s\x00\n\x0b", "/prod/pods/default/a"},
		"another prefix, encrypted": {"/prod/secrets/default/a", "k8s:enc:aescbc:v1:key1:", "/prod/secrets/default/a"},
		"no Kubernetes":             {"/registry", "k8s", ""},
	} {
		c := etcdtest.Run(t, etcdtest.Options{UnsafeNoFsync: true})
		client := etcdtest.Dial(t, c)
		for _, key := range []string{"/first", "/second"} {
			_, err := client.Put(t.Context(), key, "value")
			must(t, err)
		}
		_, err := client.Txn(t.Context()).Then(clientv3.OpPut(x.key, x.value)).Commit()
		must(t, err)
		must(t, c.Members[0].Stop())
		found, err := look(t.Context(), filepath.Join(c.Members[0].DataDir, "member/snap/db"))
		if err != nil || found.kubernetes != x.want {
			t.Errorf("%s: found %q (%v), want %q", name, found.kubernetes, err, x.want)
		}
	}
}

// A refused review stops the restore before the snapshot is read if the members are known, otherwise after it, and changes nothing.
func TestReviewIsBeforeTheWork(t *testing.T) {
	member := snapshot.Member{ID: 1, Name: "a", PeerURLs: []string{"http://h:1"}}
	for _, recorded := range [][]snapshot.Member{{member}, nil} {
		dir := t.TempDir()
		in := &counted{given: given{data: database(t, 3, member)}}
		o := Options{DataDir: filepath.Join(dir, "data"), Recorded: recorded, Review: refusal(t)}
		_, err := Prepare(t.Context(), in, o, noon)
		refused(t, "a review", err, errReview)
		if _, err := Check(t.Context(), o, noon); errors.Is(err, errReview) != (recorded != nil) {
			t.Errorf("recorded %v: Check: %v", recorded, err)
		}
		if read := in.unpacked > 0; read == (recorded != nil) {
			t.Errorf("recorded %v: unpacked: %t", recorded, read)
		}
		wantNames(t, dir, "")
	}
}

var errReview = errors.New("refused by the review")

// refusal demands what a review must know.
func refusal(t *testing.T) func(context.Context, *Plan) error {
	return func(_ context.Context, p *Plan) error {
		if len(p.Members) != 1 || len(p.Cluster.Peers) != 1 {
			t.Errorf("the review sees members %v and cluster %+v", p.Members, p.Cluster)
		}
		return errReview
	}
}

// counted counts how often it is unpacked.
type counted struct {
	given
	unpacked int
}

func (c *counted) Unpack(ctx context.Context, w io.Writer, o input.Options) (input.Unpacked, error) {
	c.unpacked++
	return c.given.Unpack(ctx, w, o)
}
