package config

import (
	"errors"
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

// ParseAt reads what ParsePoint does, latest or base; "" and now are latest. Errors are those of ParsePoint.
func ParseAt(text string, now time.Time) (a At, err error) {
	a.Text = strings.TrimSpace(text)
	switch a.Text {
	case "", "latest", "now": // the journal is behind now, if only by a moment
		return a, nil
	case "base":
		a.Base = true
		return a, nil
	}
	a.Revision, a.Time, err = ParsePoint(a.Text, now)
	switch {
	case errors.Is(err, errForm):
		return a, Usagef("--at: %s%w, latest or base", DidYouMean(a.Text, []string{"latest", "base"}), err)
	case err != nil:
		return a, Usagef("--at: %w", err)
	}
	return a, nil
}

// ParsePoint reads a revision, or a time as ParseMoment does, also with the sign that log prints before a time. Errors wrap ErrUsage.
func ParsePoint(text string, now time.Time) (revision int64, at time.Time, err error) {
	text = strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(text), "≤"))
	n, err := strconv.ParseInt(text, 10, 64)
	switch number := err == nil || errors.Is(err, strconv.ErrRange); {
	case number && n < 1:
		return 0, at, Usagef("%s is no revision: etcd begins at 1", text)
	case err == nil:
		return n, at, nil
	case number:
		return 0, at, Usagef("%s is too large for a revision: the largest is %d", text, n)
	}
	if at, err = ParseMoment(text, now); err != nil {
		return 0, at, err
	}
	return 0, at, nil
}
