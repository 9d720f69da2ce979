package mirror_test

import (
	"testing"
	"time"

	"etcd-rolling-backup/daemon/mirror"
	"etcd-rolling-backup/daemon/status"
)

// Each node looks for orphans at its own time of day, however often it does a pass.
func TestNodesLookForOrphansOncePerDayAtTheirOwnTimes(t *testing.T) {
	times := map[time.Duration]bool{}
	for _, node := range []string{"n1", "n2", "n3", "n4"} {
		b, o := newBucket(), options(1)
		o.Node, o.OrphanAfter, o.Status = node, time.Hour, tracker()
		var looked []time.Time
		for at := today; at.Before(today.Add(72 * time.Hour)); at = at.Add(10 * time.Minute) {
			before := len(b.listed)
			if _, err := mirror.Pass(t.Context(), directory(t), b, o, at); err != nil {
				t.Fatal(err)
			}
			if prefixes := b.listed[before]; len(prefixes) == 0 {
				looked = append(looked, at)
			}
		}
		if len(looked) != 4 || looked[0] != today || looked[2].Sub(looked[1]) != 24*time.Hour || looked[3].Sub(looked[2]) != 24*time.Hour {
			t.Errorf("%s looked at %v", node, looked)
			continue
		}
		times[looked[1].Sub(today)] = true
	}
	if len(times) < 3 {
		t.Errorf("4 nodes looked at the same times: %v", times)
	}
}

// A status that was saved while the clock was wrong delays nothing. What is known of other nodes stays until the next look.
func TestOrphansAreLookedForAfterTheClockWasWrong(t *testing.T) {
	b, o := newBucket().fill(t, hourly(t, "living", 20, 22)...), options(1)
	o.OrphanAfter, o.Status = 12*time.Hour, tracker()
	for i, at := range []time.Time{today.Add(1000 * time.Hour), today, today.Add(time.Minute)} {
		before := len(b.listed)
		if _, err := mirror.Pass(t.Context(), directory(t), b, o, at); err != nil {
			t.Fatal(err)
		}
		if all := len(b.listed[before]) == 0; all != (i < 2) {
			t.Errorf("pass %d listed %q", i, b.listed[before])
		}
		b.fill(t, hourly(t, "living", 20, 22)...)
	}
	if n := len(o.Status.State().Places[status.S3].Nodes); n != 2 {
		t.Errorf("%d snapshots of other nodes are known", n)
	}
}
