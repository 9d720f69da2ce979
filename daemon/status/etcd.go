package status

import (
	"slices"
	"strings"
	"time"
)

// How long etcd may have no leader or not answer before that is a problem: an election takes seconds, a restart or an upgrade minutes.
// etcd is asked each minute.
const (
	leaderTolerated = 90 * time.Second
	awayTolerated   = 5 * time.Minute
)

// alarmSection is where the documentation says what to do about an alarm.
const alarmSection = "docs/ALERTS.md, EtcdBackupEtcdAlarm"

// Member is the state of the etcd member, from requests since the start.
type Member struct {
	Asked      bool
	Seen       time.Time // when it last answered; zero: never
	Away       time.Time // since when it does not answer; zero: it answers
	Database   int64     // size of its file in bytes
	Leader     bool      // it had a leader
	Leaderless time.Time // since when it has none, as far as it was asked; zero: it had one
	Alarms     []string  // from Alarms()
	Alarmed    time.Time // since when it has alarms, as far as it was asked; zero: it had none
}

// SetMember records etcd's answer: the size of its database file, whether it has a leader, and the raised alarms by etcd's names.
func (t *Tracker) SetMember(at time.Time, databaseBytes int64, hasLeader bool, raised []string) {
	names := make([]string, len(raised))
	for i, a := range raised {
		names[i] = within(strings.ToUpper(a), Alarms())
	}
	t.change(func(s *State) {
		m := Member{Asked: true, Seen: at, Database: databaseBytes, Leader: hasLeader, Alarms: names}
		m.Leaderless, m.Alarmed = since(s.Member.Leaderless, at, !hasLeader), since(s.Member.Alarmed, at, len(names) > 0)
		s.Member = m
	})
}

// since returns when a state began that lasts at that time; zero: it does not.
func since(before, at time.Time, lasts bool) time.Time {
	switch {
	case !lasts:
		return time.Time{}
	case before.IsZero():
		return at
	}
	return before
}

// MemberAway records that etcd did not answer a request. A run that fails with the reason Unreachable records it too.
func (t *Tracker) MemberAway(at time.Time) { t.change(func(s *State) { s.Member.away(at) }) }

func (m *Member) away(at time.Time) {
	m.Asked = true
	if m.Away.IsZero() {
		m.Away = at
	}
}

// etcdProblems reports what etcd itself needs a person for. The backups may work all the same.
func (s State) etcdProblems(l *problemList, now time.Time) {
	m := s.Member
	for _, a := range slices.Compact(slices.Sorted(slices.Values(m.Alarms))) {
		switch a {
		case "CORRUPT":
			l.add(CodeEtcdCorrupt, m.Alarmed, "alarm CORRUPT in etcd: the members have different data, and this one's may be wrong. "+
				"Do not trust the snapshots taken since %s; what to do: %s", Absolute(m.Alarmed), alarmSection)
		case "NOSPACE":
			l.add(CodeEtcdNoSpace, m.Alarmed, "alarm NOSPACE in etcd: its database is full and it rejects writes; backups go on. "+
				"Compact, defragment, disarm the alarm: %s", alarmSection)
		default:
			l.add(CodeEtcdAlarm, m.Alarmed, "alarm in etcd; \"etcdctl alarm list\" shows which")
		}
	}
	switch {
	case !m.Away.IsZero():
		p := l.add(CodeEtcdAway, m.Away, "no answer from etcd since %s", Absolute(m.Away))
		p.Passing = now.Sub(m.Away) < awayTolerated
		if j := s.Jobs[Snapshot]; j.Failures > 0 { // their text says more
			p.under(CodeSnapshotsFailing, CodeSnapshotRetried, CodeSnapshotLate, CodeNoSnapshot)
		}
	case !m.Leaderless.IsZero():
		p := l.add(CodeEtcdNoLeader, m.Leaderless, "this etcd member has no leader since %s: it is cut off from the others, or the cluster has lost its quorum "+
			"and serves no writes; backups go on. Start the other members; if they are lost: docs/RESTORE.md, The quorum is lost", Absolute(m.Leaderless))
		p.Passing = now.Sub(m.Leaderless) < leaderTolerated
	}
}
