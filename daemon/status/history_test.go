package status_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"etcd-rolling-backup/daemon/status"
	"etcd-rolling-backup/internal/statustest"
	"etcd-rolling-backup/snapshot"
)

// lines are the failures in short: job or place, snapshot, how often, first and last minute, text.
func lines(history []status.Failure) []string {
	var out []string
	for _, f := range history {
		name := ""
		if f.Name.Set != "" {
			name = f.Name.Time.Format(" 15h")
		}
		minutes := func(t time.Time) int { return int(t.Sub(noon) / time.Minute) }
		out = append(out, fmt.Sprintf("%s%s%s %dx %d to %d: %s %s", f.Job, f.Place, name, f.Times, minutes(f.Since), minutes(f.At), f.Reason, f.Message))
	}
	return out
}

func TestHistoryTellsEachFailureOnce(t *testing.T) {
	x, y := statustest.Name(hour), statustest.Name(hour.Add(-time.Hour))
	at := func(minutes int) time.Time { return noon.Add(time.Duration(minutes) * time.Minute) }
	fail := func(j status.Job, minutes int, name snapshot.Name, r status.Reason, message string) func(*status.Tracker) {
		return func(tr *status.Tracker) {
			tr.End(j, at(minutes), status.Outcome{Name: name, Reason: r, Message: message})
		}
	}
	none := snapshot.Name{}
	down := func(minutes int) func(*status.Tracker) {
		return fail(status.Snapshot, minutes, none, status.Unreachable, "refused")
	}
	found := func(tr *status.Tracker) { tr.SetDamaged(status.Local, noon, x, errPage) }
	pass := fail(status.Mirror, 0, none, status.Damaged, "upload: page 17")
	for name, c := range map[string]struct {
		story []func(*status.Tracker)
		want  []string
	}{
		"one": {[]func(*status.Tracker){down(-1)}, []string{"snapshot 1x -1 to -1: unreachable refused"}},
		"equal ones are one": {
			[]func(*status.Tracker){down(-3), fail(status.Mirror, -3, none, status.Host, "m"), down(-2), down(-1)},
			[]string{"snapshot 3x -3 to -1: unreachable refused", "mirror 1x -3 to -3: host m"},
		},
		"another one in between": {
			[]func(*status.Tracker){down(-3), fail(status.Snapshot, -2, none, status.Stalled, "stalled"), down(-1)},
			[]string{"snapshot 1x -1 to -1: unreachable refused", "snapshot 1x -2 to -2: stalled stalled", "snapshot 1x -3 to -3: unreachable refused"},
		},
		"of two snapshots": {
			[]func(*status.Tracker){fail(status.Drill, -2, x, status.Start, "m"), fail(status.Drill, -1, y, status.Start, "m")},
			[]string{"drill 11h 1x -1 to -1: start m", "drill 12h 1x -2 to -2: start m"},
		},
		"damage found by two jobs is one": {
			[]func(*status.Tracker){
				fail(status.Verify, -2, x, status.Damaged, "page 17"), fail(status.Drill, -2, x, status.Damaged, "page 17"),
				fail(status.Verify, -1, x, status.Damaged, "page 17"), fail(status.Drill, -1, x, status.Damaged, "page 17"),
				fail(status.Drill, -1, y, status.Damaged, "page 17"),
			},
			[]string{"verify 12h 2x -2 to -1: damaged page 17", "drill 11h 1x -1 to -1: damaged page 17"},
		},
		"damage found by nobody's run":   {[]func(*status.Tracker){found, found}, []string{"local 12h 1x 0 to 0: damaged page 17"}},
		"damage found and then reported": {[]func(*status.Tracker){found, pass, found, pass}, []string{"mirror 2x 0 to 0: damaged upload: page 17"}},
		"a skip is none": {[]func(*status.Tracker){func(tr *status.Tracker) {
			tr.End(status.Drill, noon, status.Outcome{Skipped: true, Reason: status.LowSpace})
		}}, nil},
		"a success after it leaves it in": {[]func(*status.Tracker){down(-1), func(tr *status.Tracker) { statustest.Take(tr, noon, statustest.Taken(noon, 1, 1)) }}, []string{"snapshot 1x -1 to -1: unreachable refused"}},
	} {
		t.Run(name, func(t *testing.T) {
			now := noon
			tr := status.New(statustest.Options(&now))
			statustest.Fill(tr, []status.Copy{{Name: x, Size: 1}, {Name: y, Size: 1}})
			for _, f := range c.story {
				f(tr)
			}
			if got := lines(tr.State().History); !slices.Equal(got, c.want) {
				t.Errorf("has\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(c.want, "\n"))
			}
		})
	}
}

func TestHistoryIsBounded(t *testing.T) {
	now := noon
	tr := status.New(local(&now))
	for i := range 50 {
		tr.End(status.Snapshot, noon.Add(time.Duration(i)*time.Second), status.Outcome{Reason: status.Other, Message: fmt.Sprint(i)})
	}
	if got := tr.State().History; len(got) != 10 || got[0].Message != "49" {
		t.Errorf("%d failures, first %q", len(got), got[0].Message)
	}
}
