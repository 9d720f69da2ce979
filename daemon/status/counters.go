package status

import (
	"maps"
	"slices"
	"time"
)

// Counters count events since the start of the daemon.
type Counters struct {
	Runs          map[Run]int
	S3Errors      map[Reason]int
	Pruned        map[Place]int
	Unmirrored    int // pruned on the disk before they were uploaded
	PruneFailures int
	Uploads       int
	UploadedBytes int64
	Stages        map[Stage]Durations
}

// Result is how a run ended.
type Result string

// The results.
const (
	Succeeded Result = "success"
	Failed    Result = "failure"
	Skipped   Result = "skipped"
)

// Run is one possible result of a run. A success has no reason.
type Run struct {
	Job    Job
	Result Result
	Reason Reason
}

// Durations is a histogram of seconds.
type Durations struct {
	Count   uint64
	Sum     float64
	Buckets []uint64 // number of durations up to the bound with the same index in DurationBounds
}

// DurationBounds are the upper bounds of the buckets in seconds: from a small database on a fast disk to 8 GiB over a slow network.
func DurationBounds() []float64 {
	return []float64{.01, .03, .1, .3, 1, 3, 10, 30, 60, 120, 300, 600, 1200, 3600}
}

func newCounters() Counters {
	return Counters{Runs: map[Run]int{}, S3Errors: map[Reason]int{}, Pruned: map[Place]int{}, Stages: map[Stage]Durations{}}
}

func (c Counters) clone() Counters {
	c.Runs, c.S3Errors, c.Pruned, c.Stages = maps.Clone(c.Runs), maps.Clone(c.S3Errors), maps.Clone(c.Pruned), maps.Clone(c.Stages)
	return c
}

// observe adds a duration to a stage; 0: the stage did not take place.
func (c Counters) observe(stage Stage, took time.Duration) {
	if took <= 0 {
		return
	}
	d := c.Stages[stage]
	bounds := DurationBounds()
	d.Buckets = slices.Concat(d.Buckets, make([]uint64, len(bounds)))[:len(bounds)] // a copy; the first is all zeros
	for i, bound := range bounds {
		if took.Seconds() <= bound {
			d.Buckets[i]++
		}
	}
	d.Count++
	d.Sum += took.Seconds()
	c.Stages[stage] = d
}
