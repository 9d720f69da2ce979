package metrics

import (
	"slices"
	"strings"
	"time"
)

// member is what etcd said when it last answered, and whether it still does.
type member struct {
	seen     time.Time
	database int64
	leader   bool
	alarms   []string
	asked    bool      // since the start
	away     time.Time // since when it does not answer; zero: it does
}

// Member tells what etcd said of itself: the bytes of its database file, whether it knew a leader, which alarms are raised
// in etcd's own words.
func (m *Metrics) Member(at time.Time, databaseBytes int64, hasLeader bool, raised []string) {
	names := make([]string, len(raised))
	for i, a := range raised {
		names[i] = alarmName(a)
	}
	m.change(func(s *state, _ bool) {
		s.member = member{seen: at, database: databaseBytes, leader: hasLeader, alarms: names, asked: true}
	})
}

// MemberAway tells that etcd was asked and did not answer. A snapshot that Failed because etcd is Unreachable tells it too.
func (m *Metrics) MemberAway(at time.Time) {
	m.change(func(s *state, _ bool) { s.member.unheard(at) })
}

func (m *member) unheard(at time.Time) {
	m.asked = true
	if m.away.IsZero() {
		m.away = at
	}
}

// trouble is what is wrong with etcd in a few words, which is no trouble of the backup's; "": nothing.
func (m member) trouble() string {
	switch {
	case !m.away.IsZero():
		return "does not answer"
	case m.seen.IsZero():
		return ""
	case len(m.alarms) > 0:
		return "raises " + strings.Join(m.alarms, ", ")
	case !m.leader:
		return "knows no leader"
	}
	return ""
}

// fact is the page's figure of etcd, once it was asked.
func (m member) fact(now time.Time) fact {
	f := fact{Label: "etcd", Value: m.trouble(), Tone: warn}
	switch {
	case m.away.IsZero():
		if f.Value == "" {
			f.Value, f.Tone = "has a leader", ""
		}
		f.More = []string{"database " + size(m.database), "as of " + relative(m.seen, now)}
	case m.seen.IsZero():
		f.More = []string{"has not answered since the start"}
	default:
		f.More = []string{"since " + absolute(m.away) + "; before that it " + m.before()}
	}
	return f
}

// before is how it was when it last answered.
func (m member) before() string {
	switch {
	case len(m.alarms) > 0:
		return "raised " + strings.Join(m.alarms, ", ")
	case !m.leader:
		return "knew no leader"
	}
	return "had a leader"
}

// alarmName is one of etcd's words or Other.
func alarmName(s string) string {
	s = strings.ToUpper(s)
	if slices.Contains(alarms(), s) {
		return s
	}
	return string(Other)
}
