package config

import (
	"strconv"
	"strings"
	"time"
)

// At says which state of the cluster is asked for.
type At struct {
	Text     string // as it was given; "": it was not
	Base     bool   // that of the snapshot alone
	Revision int64  // 0: not given
	Time     time.Time
}

// Newest reports that the snapshot and all of the journal that follows it are asked for.
func (a At) Newest() bool { return !a.Base && a.Revision == 0 && a.Time.IsZero() }

// ParseAt reads a revision, a time as ParseMoment does, latest or base; "" is latest. Errors are those of ParseMoment.
func ParseAt(text string, now time.Time) (a At, err error) {
	a.Text = strings.TrimSpace(text)
	switch a.Text {
	case "", "latest":
		return a, nil
	case "base":
		a.Base = true
		return a, nil
	}
	if n, err := strconv.ParseInt(a.Text, 10, 64); err == nil {
		if n < 1 {
			return a, Usagef("--at: %d is no revision: etcd begins at 1", n)
		}
		a.Revision = n
		return a, nil
	}
	if a.Time, err = ParseMoment(a.Text, now); err != nil {
		return a, Usagef("--at: %w, a revision such as 98211, latest or base", err)
	}
	return a, nil
}
