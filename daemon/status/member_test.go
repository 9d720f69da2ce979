package status_test

import (
	"reflect"
	"testing"
	"time"

	"etcd-rolling-backup/daemon/status"
	"etcd-rolling-backup/internal/statustest"
)

func TestMemberIsWhatEtcdAnsweredLast(t *testing.T) {
	at := func(seconds int) time.Time { return noon.Add(time.Duration(seconds) * time.Second) }
	unreachable := status.Outcome{Reason: status.Unreachable, Message: "m"}
	for name, c := range map[string]struct {
		story func(tr *status.Tracker)
		want  status.Member
	}{
		"not asked yet": {func(*status.Tracker) {}, status.Member{}},
		"healthy": {
			func(tr *status.Tracker) { tr.SetMember(at(-9), mib, true, nil) },
			status.Member{Asked: true, Seen: at(-9), Database: mib, Leader: true, Alarms: []string{}},
		},
		"with alarms, one of which is new to us": {
			func(tr *status.Tracker) { tr.SetMember(at(-9), mib, false, []string{"NOSPACE", "corrupt", "NEWS"}) },
			status.Member{
				Asked: true, Seen: at(-9), Database: mib, Alarms: []string{"NOSPACE", "CORRUPT", "other"}, Alarmed: at(-9), Leaderless: at(-9),
			},
		},
		"without a leader and with an alarm for some time": {
			func(tr *status.Tracker) {
				tr.SetMember(at(-9), mib, false, []string{"NOSPACE"})
				tr.MemberAway(at(-6))
				tr.SetMember(at(-3), mib, false, []string{"CORRUPT"})
			},
			status.Member{Asked: true, Seen: at(-3), Database: mib, Alarms: []string{"CORRUPT"}, Alarmed: at(-9), Leaderless: at(-9)},
		},
		"with a leader again, and without an alarm": {
			func(tr *status.Tracker) {
				tr.SetMember(at(-9), mib, false, []string{"NOSPACE"})
				tr.SetMember(at(-3), mib, true, []string{})
			},
			status.Member{Asked: true, Seen: at(-3), Database: mib, Leader: true, Alarms: []string{}},
		},
		"a snapshot was taken since": {
			func(tr *status.Tracker) {
				tr.MemberAway(at(-6))
				tr.Saved(at(-3), statustest.Taken(at(-3), mib, 1), 0, 0)
			},
			status.Member{Asked: true},
		},
		"away since the first try": {
			func(tr *status.Tracker) {
				tr.SetMember(at(-9), mib, true, []string{})
				tr.MemberAway(at(-6))
				tr.MemberAway(at(-3))
			},
			status.Member{Asked: true, Seen: at(-9), Away: at(-6), Database: mib, Leader: true, Alarms: []string{}},
		},
		"never seen": {func(tr *status.Tracker) { tr.MemberAway(at(-6)) }, status.Member{Asked: true, Away: at(-6)}},
		"a snapshot did not reach it": {
			func(tr *status.Tracker) { tr.End(status.Snapshot, at(-6), unreachable) },
			status.Member{Asked: true, Away: at(-6)},
		},
		"a snapshot failed for another reason": {
			func(tr *status.Tracker) { tr.End(status.Snapshot, at(-6), status.Outcome{Reason: status.LowSpace}) }, status.Member{},
		},
		"a drill did not reach the bucket": {func(tr *status.Tracker) { tr.End(status.Drill, at(-6), unreachable) }, status.Member{}},
		"back": {
			func(tr *status.Tracker) { tr.MemberAway(at(-9)); tr.SetMember(at(-6), mib, true, nil) },
			status.Member{Asked: true, Seen: at(-6), Database: mib, Leader: true, Alarms: []string{}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			now := noon
			tr := status.New(statustest.Options(&now))
			c.story(tr)
			if got := tr.State().Member; !reflect.DeepEqual(got, c.want) {
				t.Errorf("%+v, want %+v", got, c.want)
			}
		})
	}
}
