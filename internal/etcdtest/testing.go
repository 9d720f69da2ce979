package etcdtest

import (
	"context"
	"slices"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// startLimit bounds the start of a cluster for a test.
const startLimit = 2 * time.Minute

// Run starts a cluster for a test and stops it at the end. If the test fails, it logs the end of every member's log.
func Run(t testing.TB, options Options) *Cluster {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), startLimit)
	defer cancel()
	c, err := Start(ctx, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, m := range slices.Concat(c.Members, c.Learners) {
			if t.Failed() {
				t.Logf("end of the log of %s:\n%s", m.Name, m.Tail(0))
			}
		}
		if err := c.Stop(); err != nil {
			t.Errorf("stop etcd %s: %v", c.Version, err)
		}
	})
	return c
}

// Dial returns a client of the cluster that is closed at the end of the test.
func Dial(t testing.TB, c *Cluster) *clientv3.Client {
	t.Helper()
	client, err := c.Client(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() }) // it says that the test's context has ended
	return client
}

// Settle returns when each voter has applied all that the cluster has acknowledged until now: what was acknowledged by two of three members
// may be unknown to the third, which is the one that a test leaves alone.
func Settle(t testing.TB, c *Cluster) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), startLimit)
	defer cancel()
	if err := c.settle(ctx); err != nil {
		t.Error(err)
	}
}
