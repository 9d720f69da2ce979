package journal_test

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/journal"
)

// timed is a segment from revision 7 on, with a checkpoint after each at noon plus these seconds; those below zero were received late.
func timed(t testing.TB, seconds ...int) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := journal.NewWriter(&b, header(7))
	must(t, err)
	for i, s := range seconds {
		must(t, w.Write(put(t, 7+int64(i), "k", "v")))
		must(t, w.Checkpoint(noon.Add(time.Duration(max(s, -s))*time.Second), s < 0))
	}
	_, err = w.Finish()
	must(t, err)
	return b.Bytes()
}

func TestAtStopsWhereTheTimeIsPassedForTheFirstTime(t *testing.T) {
	const none = -1
	for name, c := range map[string]struct {
		times    []int
		second   int
		revision int64
		next     int
	}{
		"before the first checkpoint":         {[]int{10, 20}, 9, 0, 10},
		"at the first checkpoint":             {[]int{10, 20}, 10, 7, 20},
		"between two checkpoints":             {[]int{10, 20, 30}, 29, 8, 30},
		"at the last checkpoint":              {[]int{10, 20}, 20, 8, none},
		"after the last checkpoint":           {[]int{10, 20}, 99, 8, none},
		"several at one time":                 {[]int{10, 10, 10, 20}, 10, 9, 20},
		"received late":                       {[]int{10, -20, 30}, 25, 8, 30},
		"the clock was set back":              {[]int{10, 20, 12, 22}, 15, 7, 20},
		"the clock was set back, time passed": {[]int{10, 20, 12, 22}, 21, 9, 22},
		"the clock was set back at the end":   {[]int{10, 20, 12}, 15, 7, 20},
		"set back below the first time":       {[]int{10, 5}, 7, 0, 10},
	} {
		b := timed(t, c.times...)
		s, err := journal.Open(bytes.NewReader(b), int64(len(b)))
		must(t, err)
		moment := func(second int) time.Time {
			if second == none {
				return time.Time{}
			}
			return noon.Add(time.Duration(second) * time.Second)
		}
		revision, next, err := journal.At(t.Context(), s, moment(c.second))
		must(t, err)
		if revision != c.revision || !next.Equal(moment(c.next)) {
			t.Errorf("%s: revision %d, next %v", name, revision, next)
		}
	}
}

func TestLateAfterEndsWithWhatCameInTime(t *testing.T) {
	for name, c := range map[string]struct {
		times    []int
		revision int64
		last, at int64
	}{
		"at once":           {[]int{10, -20, -21, 30, -40}, 7, 9, 21},
		"in the midst":      {[]int{10, -20, -21, 30, -40}, 8, 9, 21},
		"in time":           {[]int{10, -20, 30, -40}, 8, 0, 0},
		"to the end":        {[]int{10, -20, -21}, 6, 0, 0},
		"from the begin on": {[]int{-10, -20}, 6, 8, 20},
		"behind the end":    {[]int{10, -20}, 8, 0, 0},
	} {
		b := timed(t, c.times...)
		s, err := journal.Open(bytes.NewReader(b), int64(len(b)))
		must(t, err)
		last, at, err := journal.LateAfter(t.Context(), s, c.revision)
		must(t, err)
		if last != c.last || last > 0 && !at.Equal(noon.Add(time.Duration(c.at)*time.Second)) {
			t.Errorf("%s: revision %d at %v", name, last, at)
		}
	}
}

// So a reader that looks for a time may skip a segment whose last_time is not later.
func TestLastTimeIsTheLatestOfAll(t *testing.T) {
	b := timed(t, 10, 30, 12, 22)
	s, err := journal.Open(bytes.NewReader(b), int64(len(b)))
	must(t, err)
	if !s.From.Equal(noon.Add(10*time.Second)) || !s.To.Equal(noon.Add(30*time.Second)) {
		t.Errorf("from %v to %v", s.From, s.To)
	}
	s, err = journal.OpenPart(t.Context(), bytes.NewReader(b), int64(len(b)))
	must(t, err)
	if !s.From.Equal(noon.Add(10*time.Second)) || !s.To.Equal(noon.Add(30*time.Second)) {
		t.Errorf("as a part, from %v to %v", s.From, s.To)
	}
}

// A moment from a damaged segment counts for nothing, even if the damage is behind it.
func TestAtOfADamagedSegmentIsDamage(t *testing.T) {
	b := timed(t, 10, 20, 30)
	s, err := journal.Open(bytes.NewReader(b), int64(len(b)))
	must(t, err)
	_, size, err := journal.DecodeTail(b, int64(len(b)))
	must(t, err)
	b[size-1] ^= 1
	if revision, _, err := journal.At(t.Context(), s, noon.Add(10*time.Second)); !errors.Is(err, snapshot.ErrDamaged) || revision != 0 {
		t.Errorf("revision %d, %v", revision, err)
	}
}
