package daemon_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"etcd-rolling-backup/daemon/status"
	"etcd-rolling-backup/retention"
	"etcd-rolling-backup/snapshot"
)

const msgRoom = "low disk space: removed snapshots that the policy no longer keeps, trying again"

// full is a bed whose disk holds no more than the snapshots of these hours before its origin.
func full(t *testing.T, keep int, hours ...int) *bed {
	t.Helper()
	b := newBed(t, "@hourly")
	b.opts.Policy = retention.Policy{Last: keep}
	for _, h := range hours {
		b.store.add(snapshot.Entry{Name: name(t, snapshot.RollingSet, node, b.origin.Add(-time.Duration(h)*time.Hour))})
	}
	b.fits = len(hours)
	return b
}

// Restarted with a smaller policy, a daemon whose disk is full of its own snapshots makes room, and takes one in the same run.
func TestFullDiskIsPrunedByASmallerPolicyAndTheRunSucceeds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := full(t, 2, 1, 2, 3, 4)
		b.runFor(time.Minute)
		b.wantRuns(0, 0)
		if got, want := b.store.names(), b.hourly(0, -1); !slices.Equal(got, want) {
			t.Errorf("left %q, want %q", got, want)
		}
		if !slices.Equal(b.store.removed, b.hourly(-3, -4, -2)) {
			t.Errorf("removed %q in this order", b.store.removed)
		}
		if want := b.hourly(-1); !slices.Equal(b.store.verified, want) {
			t.Errorf("verified %q, want the newest: %q", b.store.verified, want)
		}
		b.closing(1)
		b.wantLines(atWarning, msgRoom)
		b.wantLines(atError)
		if j := b.job(status.Snapshot); j.Failures != 0 {
			t.Errorf("%d failures", j.Failures)
		}
		for _, e := range b.log.AllEntries() {
			if err, _ := e.Data["error"].(error); e.Message == msgRoom && (!errors.Is(err, snapshot.ErrLowSpace) || e.Data["pruned"] != 2 || e.Data["kept"] != 2) {
				t.Errorf("fields: %v", e.Data)
			}
		}
	})
}

// If the policy keeps all that is there, nothing is removed, and the run is not repeated before its retry.
func TestFullDiskWhosePolicyKeepsAllIsNotPruned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := full(t, 4, 1, 2, 3, 4)
		b.runFor(6 * time.Second)
		b.wantRuns(seconds(0, 5)...)
		if len(b.store.removed)+len(b.store.verified) > 0 {
			t.Errorf("removed %q, read %q", b.store.removed, b.store.verified)
		}
		b.wantLines(atWarning)
		b.wantLines(atError, "snapshot failed", "snapshot failed")
	})
}

// Making room that is not enough ends with the failure; the newest stays, and the next retry has nothing to remove.
func TestFullDiskOfOthersKeepsTheNewestSnapshot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := full(t, 1, 1, 2, 3)
		b.store.add(snapshot.Entry{Name: name(t, snapshot.ManualSet, node, b.origin.Add(-9*time.Hour))})
		b.fits = 1
		b.runFor(6 * time.Second)
		b.wantRuns(seconds(0, 0, 5)...)
		if got := b.store.names(); len(got) != 2 || got[0] != b.hourly(-1)[0] {
			t.Errorf("left %q, want the newest and the manual one", got)
		}
		b.wantLines(atWarning, msgRoom)
		b.wantLines(atError, "snapshot failed", "snapshot failed")
	})
}

// Other failures make no room, however much the policy would remove.
func TestFailureOfEtcdMakesNoRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := full(t, 1, 1, 2, 3)
		b.always.err = errDown
		b.runFor(time.Hour - time.Second)
		if len(b.store.removed) > 0 {
			t.Errorf("removed %q", b.store.removed)
		}
	})
}

// What is removed relies on the newest snapshot. If that is damaged it is set aside first, and the one before it counts as the newest.
func TestFullDiskIsNotPrunedOnTheWordOfADamagedSnapshot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := full(t, 1, 1, 2, 3)
		b.store.entries[0].Modified = b.origin // set aside today, so it stays
		b.store.verifyErr = map[string]error{b.hourly(-1)[0]: fmt.Errorf("verify: %w", snapshot.ErrDamaged)}
		b.runFor(time.Minute)
		if want := b.hourly(-1, -2); !slices.Equal(b.store.verified, want) {
			t.Errorf("verified %q, want %q", b.store.verified, want)
		}
		if want := b.hourly(-1); !slices.Equal(b.store.brokenNames(), want) {
			t.Errorf("set aside %q, want %q", b.store.brokenNames(), want)
		}
		if want := b.hourly(-3, -2); !slices.Equal(b.store.removed, want) {
			t.Errorf("removed %q, want %q: the second only after a new snapshot", b.store.removed, want)
		}
		if got, want := b.store.names(), b.hourly(0); !slices.Equal(got, want) {
			t.Errorf("left %q, want %q", got, want)
		}
	})
	synctest.Test(t, func(t *testing.T) { // a disk that can't be read proves nothing
		b := full(t, 1, 1, 2, 3)
		b.store.verifyErr = map[string]error{b.hourly(-1)[0]: errors.New("input/output error")}
		b.runFor(time.Hour - time.Second)
		if len(b.store.removed)+len(b.store.brokenNames()) > 0 {
			t.Errorf("removed %q, set aside %q", b.store.removed, b.store.brokenNames())
		}
	})
}

// Snapshots from before a loss stay, even when the disk is full.
func TestFullDiskKeepsWhatTheGuardProtects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := full(t, 1, 1, 2, 3)
		b.store.manifests[name(t, snapshot.RollingSet, node, b.origin.Add(-time.Hour))] = snapshot.Manifest{RawSize: 1000, Source: snapshot.Source{Revision: 42}}
		b.fits = 2
		b.runFor(6 * time.Second)
		if got, want := b.store.names(), b.hourly(-1, -2); !slices.Equal(got, want) {
			t.Errorf("left %q, want %q: the one that lost data and the last before", got, want)
		}
	})
}
