package daemon_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"etcd-rolling-backup/daemon"
)

// share is by how much the node's runs come later than the schedule says; jitter is a day at most.
func share(t rapid.TB, jitter time.Duration, node string) time.Duration {
	t.Helper()
	midnight := time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC)
	return parse(t, "0 0 * * *", jitter, node).Next(midnight.Add(-time.Second)).Sub(midnight)
}

// The numbers stand here because they must never change: an upgrade must not move a node's runs.
func TestJitterFollowsFromTheNameAlone(t *testing.T) {
	for _, tc := range []struct {
		node string
		want time.Duration
	}{
		{"node-a", 1*time.Minute + 56*time.Second},
		{"node-b", 5*time.Minute + 38*time.Second},
		{"control-plane-1.example.org", 3*time.Minute + 36*time.Second},
	} {
		if got := share(t, 10*time.Minute, tc.node); got != tc.want {
			t.Errorf("node %s: %s, want %s", tc.node, got, tc.want)
		}
	}
}

func TestJitterIsWholeSecondsBelowItsBound(t *testing.T) {
	if _, err := daemon.ParseSchedule("@hourly", -time.Second, node); !errors.Is(err, daemon.ErrSchedule) {
		t.Errorf("negative: error %v, want one that wraps ErrSchedule", err)
	}
	for _, jitter := range []time.Duration{0, 1, time.Second - 1, time.Second, 2*time.Second - 1} {
		if got := share(t, jitter, node); got != 0 {
			t.Errorf("a jitter of %s moves the runs by %s, want whole seconds less than it", jitter, got)
		}
	}
}

// A thousand names, alike as hosts' names are, in ten equal parts: a hundred in each, give or take.
func TestJitterSpreadsNodes(t *testing.T) {
	for _, form := range []string{"node-%d", "node-%04d", "%d", "ip-10-0-0-%d.eu-central-1.compute.internal", "etcd%d.example.org"} {
		const parts, names = 10, 1000
		count := make([]int, parts)
		for i := range names {
			d := share(t, time.Hour, fmt.Sprintf(form, i))
			if d < 0 || d >= time.Hour || d%time.Second != 0 {
				t.Fatalf("share %s, want whole seconds less than the jitter", d)
			}
			count[d*parts/time.Hour]++
		}
		for _, n := range count {
			if n < 60 || n > 140 { // four standard deviations of a fair spread
				t.Errorf("%s: %d, want each about %d", form, count, names/parts)
				break
			}
		}
	}
}

// A cluster's few nodes are told apart by one letter. At a jitter of ten minutes they are minutes apart as a rule.
func TestJitterSpreadsTheNodesOfACluster(t *testing.T) {
	const clusters = 200
	var sum time.Duration
	for i := range clusters {
		a, b := share(t, 10*time.Minute, fmt.Sprintf("c%d-1", i)), share(t, 10*time.Minute, fmt.Sprintf("c%d-2", i))
		sum += (a - b).Abs()
	}
	// Two independent shares differ by a third of the jitter on average.
	if mean := sum / clusters; mean < 2*time.Minute || mean > 5*time.Minute {
		t.Errorf("neighbors are %s apart on average, want about 3m20s", mean)
	}
}
