package pace

import (
	"slices"
	"time"
)

// Limits bound how long a stream at the automatic rate may take.
type Limits struct {
	Size     int64         // of the whole stream, bytes; 0: unknown
	Interval time.Duration // between two snapshots; 0: there is no schedule
}

const (
	mebibyte = 1 << 20
	// gentle is the highest rate where the deadline needs no other. What a stream costs etcd's clients grows with its rate even where a probe
	// does not see it: each message is garbage in etcd, and its collection makes one put in a hundred wait (docs/BENCHMARKS.md, g4).
	gentle = float64(Unmeasured)
	// slowest is the rate below which slowing down no longer helps: it is a few percent of a core and of any disk, and it ends sooner.
	slowest = 2 * mebibyte
	// longest bounds the time of a stream. While it is open, etcd holds a read transaction: it can't reuse pages that are freed meanwhile, so
	// the file grows by each write, and a defragmentation of the member waits, with all its clients. (It also logs "snapshotting taking too
	// long to transfer" every 30 seconds, which has no effect.) 5 minutes are 27 MiB/s for the largest database that etcd recommends, 8 GiB.
	longest = 5 * time.Minute
	// shareOfInterval leaves three quarters of the interval for a slow disk, retries, the mirror and the next run.
	shareOfInterval = 4
)

const (
	// window is how far back answers count. It has 20 of them where etcd is fast.
	window = time.Second
	// enough answers at the same rate are needed for the next change of it; to slow down twice as many, because on a busy machine some
	// are always slow. Fewer within half a window, or a whole one, are slow ones, or there are none.
	enough = 5
	// quantile is the share of the answers that are as fast as the latency which all decisions are about. A median does not notice the queue
	// behind short bursts of work, and the slowest answer of 20 is chance.
	quantile = 0.75
	// tolerance and slack say how much slower etcd's answers may become. A fast etcd answers in less than a millisecond, and what is added to
	// that is nothing that a client waits for: a write waits for the disk for longer.
	tolerance = 1.5
	slack     = time.Millisecond / 2
	// quiet times the lowest rate is so slow that the stream adds nothing to what is measured.
	quiet = 1.25
	// The shares of a new measurement in what latencies are compared with: see learn.
	learnQuiet, learnLower = 4, 16
)

const (
	recovery = 1.1 // four times a second at most: back to the highest rate in seconds
	slowDown = 0.6
	plunge   = 0.3 // when the latency is several times what is accepted
	several  = 4
)

// answer is one probe's.
type answer struct {
	at   time.Time
	took time.Duration
}

// control decides about the rate: gentle while etcd answers about as fast as before, slower when it does not, and never too slow for the
// deadline.
//
// It is told what happens and when, and has neither a clock nor goroutines.
type control struct {
	limits   Limits
	deadline time.Time // zero: the stream is not open yet
	rate     float64   // bytes per second
	base     time.Duration
	answers  []answer  // of the window at the current rate
	changed  time.Time // when the rate was last changed
}

func newControl(l Limits) *control { return &control{limits: l, rate: gentle} }

// answered adds a probe's answer.
func (c *control) answered(at time.Time, took time.Duration) {
	c.answers = append(c.answers, answer{at, took})
}

// begin ends the measurement before the stream. It returns the latency; 0: not known.
func (c *control) begin(now time.Time) time.Duration {
	allowed := longest
	if c.limits.Interval > 0 {
		allowed = min(allowed, c.limits.Interval/shareOfInterval)
	}
	c.base = upper(c.answers, 0)
	c.deadline = now.Add(allowed)
	c.change(now, max(gentle, c.lowest(now, 0)))
	return c.base
}

// step returns the rate from now on. done are the bytes that have passed; waiting is for how long the current probe has had no answer.
func (c *control) step(now time.Time, done int64, waiting time.Duration) float64 {
	c.answers = slices.DeleteFunc(c.answers, func(a answer) bool { return now.Sub(a.at) > window })
	lowest := c.lowest(now, done)
	if c.rate < lowest {
		c.rate = lowest // changes nothing for the answers
	}
	if len(c.answers) < enough && now.Sub(c.changed) < window/2 {
		return c.rate
	}
	latency := upper(c.answers, waiting)
	if c.base == 0 && len(c.answers) >= enough {
		c.base = latency // not known before the stream, which began at a gentle rate
	}
	limit := c.accepted()
	switch {
	case latency == 0: // every probe fails
		if now.Sub(c.changed) > window {
			c.change(now, max(gentle, lowest))
		}
	case latency <= limit:
		c.learn(latency, lowest)
		c.change(now, min(c.rate*recovery, max(gentle, lowest)))
	case len(c.answers) < 2*enough && now.Sub(c.changed) < window: // not sure yet
	case c.rate > quiet*lowest:
		c.slower(now, lowest, float64(latency)/float64(limit))
	case len(c.answers) >= enough:
		c.learn(latency, lowest)
		c.change(now, c.rate) // the next decision is about new answers
	}
	return c.rate
}

// learn adapts what latencies are compared with: at the lowest rate it is the load of others that is measured, and at any rate it can't be
// less than what is measured.
func (c *control) learn(latency time.Duration, lowest float64) {
	switch {
	case c.rate <= quiet*lowest:
		c.base += (latency - c.base) / learnQuiet
	case latency < c.base:
		c.base += (latency - c.base) / learnLower
	}
}

// lowest is the rate at which the rest of the stream ends by the deadline, or at once if that has passed.
func (c *control) lowest(now time.Time, done int64) float64 {
	left := max(c.deadline.Sub(now), time.Second)
	return max(slowest, float64(c.limits.Size-done)/left.Seconds())
}

// accepted is the highest latency that needs no slowing down.
func (c *control) accepted() time.Duration {
	if c.base == 0 {
		return window
	}
	return max(time.Duration(tolerance*float64(c.base)), c.base+slack)
}

// slower slows down; times is how many times higher than accepted the latency is.
func (c *control) slower(now time.Time, lowest, times float64) {
	factor := slowDown
	if times > several {
		factor = plunge
	}
	c.change(now, max(c.rate*factor, lowest))
}

// change begins a new measurement, at the new rate.
func (c *control) change(now time.Time, rate float64) {
	c.rate, c.changed = rate, now
	c.answers = c.answers[:0]
}

// upper returns the latency that the quantile of the answers did not exceed; a probe that waits counts like one that has just been
// answered, unless that would make the latency lower. 0: there are none.
func upper(answers []answer, waiting time.Duration) time.Duration {
	all := make([]time.Duration, 0, len(answers)+1)
	for _, a := range answers {
		all = append(all, a.took)
	}
	slices.Sort(all)
	if i := int(quantile * float64(len(all))); waiting > 0 && (len(all) == 0 || waiting > all[min(i, len(all)-1)]) {
		all = append(all, waiting)
	}
	if len(all) == 0 {
		return 0
	}
	return all[min(int(quantile*float64(len(all))), len(all)-1)]
}
