package daemon_test

import (
	"errors"
	"testing"

	"etcd-rolling-backup/daemon"
)

func TestRoleChoosesTheMember(t *testing.T) {
	const takes, skips = true, false
	for _, tc := range []struct {
		role            string
		leader, healthy bool
		want            bool
	}{
		{"any", true, true, takes},
		{"any", false, true, takes},
		{"any", false, false, takes},
		{"leader", true, true, takes},
		{"leader", false, true, skips},
		{"leader", false, false, takes}, // no leader: this may be the last copy alive
		{"follower", true, true, skips},
		{"follower", false, true, takes},
		{"follower", false, false, takes},
	} {
		role, err := daemon.ParseRole(tc.role)
		if err != nil {
			t.Fatal(err)
		}
		err = role.Choose(tc.leader, tc.healthy, 3)
		if err != nil && !errors.Is(err, daemon.ErrSkipped) {
			t.Errorf("error %v, want one that wraps ErrSkipped", err)
		}
		if alone := role.Choose(tc.leader, tc.healthy, 1); alone != nil {
			t.Errorf("--only-on %s: nobody else could: %v", tc.role, alone)
		}
		if got := err == nil; got != tc.want {
			t.Errorf("--only-on %s, leader %t, healthy %t: takes %t, want %t", tc.role, tc.leader, tc.healthy, got, tc.want)
		}
	}
}

func TestUnknownRoleIsRefused(t *testing.T) {
	for _, s := range []string{"", "Leader", "learner", " any", "leader,follower"} {
		if r, err := daemon.ParseRole(s); err == nil || r != "" {
			t.Errorf("%q: %q, %v; want an error", s, r, err)
		}
	}
}
