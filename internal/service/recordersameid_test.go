package service

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"

	"etcd-rolling-backup/daemon/status"
	"etcd-rolling-backup/internal/etcdtest"
	"etcd-rolling-backup/snapshot/member"
)

// restoreSame restores a cluster of one member under its ID.
func restoreSame(t *testing.T, c *etcdtest.Cluster, file string) {
	t.Helper()
	m := c.Members[0]
	must(t, m.Stop())
	must(t, os.RemoveAll(m.DataDir))
	_, err := etcdtest.Etcdutl(t.Context(), c.Version, "snapshot", "restore", file, "--data-dir="+m.DataDir, "--name="+m.Name,
		"--initial-cluster="+m.Name+"="+m.PeerURL, "--initial-advertise-peer-urls="+m.PeerURL)
	must(t, err)
	must(t, m.Restart(t.Context()))
}

// While the daemon is away, the cluster is restored under its ID and passes the end of the journal, where it has the same event again.
func TestJournalBeginsAgainWhereARestoredClusterHasTheSameLastEvent(t *testing.T) {
	same := map[string]func(*testing.T, *clientv3.Client){
		"put": func(t *testing.T, c *clientv3.Client) {
			_, err := c.Put(t.Context(), "new", "the same")
			must(t, err)
		},
		"delete": func(t *testing.T, c *clientv3.Client) {
			_, err := c.Delete(t.Context(), "old")
			must(t, err)
		},
	}
	for kind, change := range same {
		t.Run(kind, func(t *testing.T) {
			oldestAndNewest(t, func(t *testing.T, version string) {
				b := newJournalBed(t, etcdtest.Options{Version: version, UnsafeNoFsync: true})
				client := etcdtest.Dial(t, b.cluster)
				_, err := client.Put(t.Context(), "old", "")
				must(t, err)
				file := filepath.Join(t.TempDir(), "snapshot.db")
				_, err = b.cluster.Members[0].Etcdctl(t.Context(), "snapshot", "save", file)
				must(t, err)
				b.start()
				b.waitForBases(1)
				puts(t, client, 20)
				b.reaches(client) // the last segment has one revision only
				change(t, client)
				b.reaches(client)
				b.stop()
				restoreSame(t, b.cluster, file)
				client = etcdtest.Dial(t, b.cluster)
				puts(t, client, 20)
				change(t, client)
				puts(t, client, 10)
				b.start()
				b.wantNewRange(client)
			})
		})
	}
}

// What etcd has compacted is not compared, and is no gap.
func TestJournalContinuesWhereEtcdHasCompactedUpToItsEnd(t *testing.T) {
	for name, before := range map[string]int64{"the last revision": 0, "the one before": 1, "some before": 5} {
		t.Run(name, func(t *testing.T) {
			oldestAndNewest(t, func(t *testing.T, version string) {
				b := newJournalBed(t, etcdtest.Options{Version: version, UnsafeNoFsync: true})
				client := etcdtest.Dial(t, b.cluster)
				b.start()
				b.waitForBases(1)
				puts(t, client, 20)
				head := b.reaches(client)
				b.stop()
				_, err := client.Compact(t.Context(), head-before, clientv3.WithCompactPhysical())
				must(t, err)
				b.start()
				b.until("it records", func(j status.Journal) bool { return j.Running })
				puts(t, client, 10)
				b.reaches(client)
				b.stop()
				if bases, ranges := b.bases(), b.ranges(); len(bases) != 1 || len(ranges) != 1 {
					t.Errorf("snapshots at %v, ranges %v, want one of each", bases, ranges)
				}
			})
		})
	}
}

// etcd may compact between the question and the watch, which then begins with a revision that it no longer has. The last one may still be there.
func TestJournalIsLostOnlyWhenItsLastRevisionIsCompacted(t *testing.T) {
	for from, lost := range map[int64]bool{10: false, 109: false, 110: true} {
		r := &recorder{at: position{cluster: 1, last: 110}}
		err := r.ended(from, fmt.Errorf("watch: %w", member.ErrCompacted))
		if !errors.Is(err, member.ErrCompacted) || (r.at.lost != "") != lost {
			t.Errorf("a watch from %d: %v, lost %q", from, err, r.at.lost)
		}
	}
}
