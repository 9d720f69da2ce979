package fleet

import (
	"slices"
	"time"
)

const (
	// gaps is how many of the newest gaps between snapshots are considered: retention thins out what is older.
	gaps = 8
	// enough of them show whether retention has thinned them out.
	enough = 6
	// same is how close two snapshots are that count as one: a daemon that starts again takes one, and the nodes of a cluster of RKE share
	// their names.
	same = time.Minute
	// grace is for the snapshot itself and its upload.
	grace = 5 * time.Minute
)

// Rhythm is how often a node takes snapshots, as their times show it.
type Rhythm struct {
	Every time.Duration // zero: not known
	Limit time.Duration // the age from which the newest one is late
}

// RhythmOf needs three snapshots. times are those of scheduled ones, newest first.
//
// The usual gap is the median of the newest gaps: neither an outage nor a run that somebody repeated changes it. Retention thins out the
// older snapshots first: so the median of the four newest gaps counts, if it is less. The newest snapshot is late after two usual gaps. A
// schedule may have longer pauses, such as weekends: so the longest gap is waited for too, up to four usual ones.
func RhythmOf(times []time.Time) Rhythm {
	var found []time.Duration
	for i := 1; i < len(times) && len(found) < gaps; i++ {
		if gap := times[i-1].Sub(times[i]); gap >= same {
			found = append(found, gap)
		}
	}
	if len(found) < 2 {
		return Rhythm{}
	}
	longest, usual := slices.Max(found), median(found)
	if len(found) >= enough {
		usual = min(usual, median(found[:4]))
	}
	limit := max(2*usual, min(longest+longest/10, 4*usual)) + grace
	return Rhythm{Every: usual.Round(time.Second), Limit: limit.Round(time.Second)}
}

// median is the middle one, and of two the longer one.
func median(of []time.Duration) time.Duration {
	return slices.Sorted(slices.Values(of))[len(of)/2]
}
