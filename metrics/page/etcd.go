package page

import (
	"strings"
	"time"

	"etcd-rolling-backup/daemon/status"
)

// etcdFact is the page's fact about etcd, once a request was sent to it.
func etcdFact(m status.Member, now time.Time) fact {
	f := fact{Label: "etcd", Value: etcdTrouble(m)}
	switch {
	case m.Away.IsZero():
		if f.Value == "" {
			f.Value = "has a leader"
		}
		f.More = []string{"database " + status.Size(m.Database), "as of " + status.Relative(m.Seen, now)}
	case m.Seen.IsZero():
		f.More = []string{"has not answered since the start"}
	default:
		f.More = []string{"since " + status.Absolute(m.Away) + "; before that it " + etcdBefore(m)}
	}
	return f
}

// etcdTrouble returns etcd's own problem in a few words; "": none.
func etcdTrouble(m status.Member) string {
	switch {
	case !m.Away.IsZero():
		return "does not answer"
	case m.Seen.IsZero():
		return ""
	case len(m.Alarms) > 0:
		return "raises " + strings.Join(m.Alarms, ", ")
	case !m.Leader:
		return "has no leader"
	}
	return ""
}

// etcdBefore returns etcd's state when it last answered.
func etcdBefore(m status.Member) string {
	switch {
	case len(m.Alarms) > 0:
		return "raised " + strings.Join(m.Alarms, ", ")
	case !m.Leader:
		return "had no leader"
	}
	return "had a leader"
}
