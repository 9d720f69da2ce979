package status_test

import (
	"strings"
	"testing"
	"time"

	"etcd-rolling-backup/daemon/status"
	"etcd-rolling-backup/internal/statustest"
)

// TestEtcdNeedsAPerson: alarms are a problem immediately; an etcd without a leader or without an answer is one when it lasts.
func TestEtcdNeedsAPerson(t *testing.T) {
	is := func(leader bool, alarms ...string) func(*status.Tracker, time.Time) {
		return func(tr *status.Tracker, at time.Time) { tr.SetMember(at, mib, leader, alarms) }
	}
	away := func(tr *status.Tracker, at time.Time) { tr.MemberAway(at) }
	for name, c := range map[string]struct {
		story         []func(*status.Tracker, time.Time) // one each 30 seconds, until now
		want, passing []status.Code
		text          string
	}{
		"healthy": {story: []func(*status.Tracker, time.Time){is(true)}},
		"NOSPACE": {
			[]func(*status.Tracker, time.Time){is(true), is(true, "NOSPACE")},
			[]status.Code{status.CodeEtcdNoSpace},
			nil, "alarm NOSPACE in etcd: its database is full and it rejects writes; backups go on.",
		},
		"CORRUPT": {
			[]func(*status.Tracker, time.Time){is(true, "CORRUPT"), is(true, "CORRUPT")},
			[]status.Code{status.CodeEtcdCorrupt},
			nil, "alarm CORRUPT in etcd: the members have different data, and this one's may be wrong. " +
				"Do not trust the snapshots taken since 2026-11-22 12:12:00 UTC; what to do: docs/ALERTS.md, EtcdBackupEtcdAlarm",
		},
		"an alarm of a later etcd": {
			[]func(*status.Tracker, time.Time){is(true, "NEWS")}, []status.Code{status.CodeEtcdAlarm}, nil, "alarm in etcd; \"etcdctl alarm list\"",
		},
		"two alarms, reported for two members": {
			[]func(*status.Tracker, time.Time){is(true, "NOSPACE", "CORRUPT", "NOSPACE")},
			[]status.Code{status.CodeEtcdCorrupt, status.CodeEtcdNoSpace},
			nil, "",
		},
		"alarm cleared":             {story: []func(*status.Tracker, time.Time){is(true, "CORRUPT"), is(true)}},
		"alarm, then no answer":     {[]func(*status.Tracker, time.Time){is(true, "CORRUPT"), away}, []status.Code{status.CodeEtcdCorrupt}, []status.Code{status.CodeEtcdAway}, ""},
		"an election":               {story: []func(*status.Tracker, time.Time){is(false), is(true)}},
		"no leader":                 {story: []func(*status.Tracker, time.Time){is(false), is(false)}, passing: []status.Code{status.CodeEtcdNoLeader}},
		"no leader for 90 seconds":  {[]func(*status.Tracker, time.Time){is(false), is(false), is(false), is(false)}, []status.Code{status.CodeEtcdNoLeader}, nil, "this etcd member has no leader since 2026-11-22 12:11:00 UTC: it is cut off from the others, or the cluster has lost its quorum"},
		"a restart":                 {story: []func(*status.Tracker, time.Time){away, is(true)}},
		"no answer":                 {story: []func(*status.Tracker, time.Time){is(true), away, away}, passing: []status.Code{status.CodeEtcdAway}},
		"no answer for 5 minutes":   {[]func(*status.Tracker, time.Time){away, away, away, away, away, away, away, away, away, away, away}, []status.Code{status.CodeEtcdAway}, nil, "no answer from etcd since 2026-11-22 12:07:30 UTC"},
		"no leader, then no answer": {story: []func(*status.Tracker, time.Time){is(false), is(false), is(false), is(false), away}, passing: []status.Code{status.CodeEtcdAway}},
	} {
		t.Run(name, func(t *testing.T) {
			now := noon
			tr := statustest.Healthy(&now)
			for i, f := range c.story {
				f(tr, noon.Add(time.Duration(i+1-len(c.story))*30*time.Second))
			}
			wantCodes(t, "now", tr, c.want...)
			wantPassing(t, tr, c.passing...)
			if got := texts(tr.Problems()); !strings.HasPrefix(got, c.text) {
				t.Errorf("%s\nwant %s", got, c.text)
			}
		})
	}
}
