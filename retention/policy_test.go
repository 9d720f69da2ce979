package retention_test

import (
	"strings"
	"testing"
	"time"

	"etcd-rolling-backup/retention"
)

func TestValidate(t *testing.T) {
	for _, tc := range []struct {
		name   string
		policy retention.Policy
		want   []string // parts of the error; none means valid
	}{
		{"one rule is enough", retention.Policy{Monthly: 1}, nil},
		{"all rules", retention.Policy{Last: 1, Within: 1, Hourly: 1, Daily: 1, Weekly: 1, Monthly: 1}, nil},
		{"unlimited", retention.Policy{Last: retention.Unlimited}, nil},
		{"keeps nothing", retention.Policy{}, []string{"keeps nothing", "--keep-last"}},
		{"last", retention.Policy{Last: -2}, []string{"--keep-last is -2", "-1 for all"}},
		{"within", retention.Policy{Last: 1, Within: -time.Hour}, []string{"--keep-within is -1h0m0s", "must be a positive duration"}},
		{"hourly", retention.Policy{Last: 1, Hourly: -3}, []string{"--keep-hourly is -3"}},
		{"daily", retention.Policy{Last: 1, Daily: -4}, []string{"--keep-daily is -4"}},
		{"weekly", retention.Policy{Last: 1, Weekly: -5}, []string{"--keep-weekly is -5"}},
		{"monthly", retention.Policy{Last: 1, Monthly: -6}, []string{"--keep-monthly is -6"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := tc.policy.Validate()
			if (err != nil) != (tc.want != nil) {
				t.Fatalf("Validate() = %v, want an error with %q", err, tc.want)
			}
			for _, part := range tc.want {
				if !strings.Contains(err.Error(), part) || strings.Contains(err.Error(), "\n") {
					t.Errorf("Validate() = %q, want one line with %q", err, part)
				}
			}
		})
	}
}

func TestPolicyString(t *testing.T) {
	for _, tc := range []struct {
		policy retention.Policy
		want   string
	}{
		{retention.Policy{}, "nothing"},
		{retention.Policy{Last: 24}, "last 24"},
		{retention.Policy{Last: 24, Within: 7 * 24 * time.Hour, Daily: 7}, "last 24, within 7d, daily 7"},
		{retention.Policy{Last: retention.Unlimited}, "last unlimited"},
		{retention.Policy{Hourly: 1, Daily: 2, Weekly: 3, Monthly: 4}, "hourly 1, daily 2, weekly 3, monthly 4"},
		{retention.Policy{Within: 36 * time.Hour}, "within 1d12h"},
		{retention.Policy{Within: 20 * time.Hour}, "within 20h"},
		{retention.Policy{Within: 90 * time.Minute}, "within 1h30m"},
		{retention.Policy{Within: 10 * time.Minute}, "within 10m"},
		{retention.Policy{Within: 10 * time.Second}, "within 10s"},
		{retention.Policy{Within: 24*time.Hour + 1500*time.Millisecond}, "within 1d1.5s"},
	} {
		if got := tc.policy.String(); got != tc.want {
			t.Errorf("String() = %q, want %q", got, tc.want)
		}
	}
}

func TestIsZero(t *testing.T) {
	if !(retention.Policy{}).IsZero() {
		t.Error("a policy without rules is not zero")
	}
	if (retention.Policy{Within: 1}).IsZero() {
		t.Error("a policy with one rule is zero")
	}
}
