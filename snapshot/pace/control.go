package pace

import (
	"math"
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
	// startRate is a rate that few machines feel.
	startRate = float64(Unmeasured)
	// slowest is the rate below which slowing down no longer helps: it is a few percent of a core and of any disk, and it ends sooner.
	slowest = 16 * mebibyte
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
	speedUp  = 1.5  // until the latency has risen for the first time: a stream without effect is at full speed after two seconds
	recovery = 1.25 // well below the rate at which it has risen
	approach = 0.02 // the growth at a step close to that rate, so that it is exceeded seldom; then a multiple of it for each further step
	near     = 0.8  // of that rate
	slowDown = 0.6
	plunge   = 0.3 // when the latency is several times what is accepted
	several  = 4
	// headroom is how far the rate may exceed what the stream really does, so that it soon slows down when it must.
	headroom = 1.5
)

// answer is one probe's.
type answer struct {
	at   time.Time
	took time.Duration
}

// control decides about the rate: fast while etcd answers about as fast as before, slower when it does not, and never too slow for the
// deadline. The rate of a stream without effect grows by half four times a second. Once the latency has risen, the rate falls and comes back to
// near that rate, then beyond it in growing steps, so that etcd seldom feels it.
//
// It is told what happens and when, and has neither a clock nor goroutines.
type control struct {
	limits   Limits
	deadline time.Time // zero: the stream is not open yet
	rate     float64   // bytes per second
	ceiling  float64   // the rate at which the latency was too high for the last time; +Inf: never
	calm     int       // steps close to the ceiling, or beyond it, since then
	base     time.Duration
	answers  []answer  // of the window at the current rate
	changed  time.Time // when the rate was last changed
	moved    moved
}

// moved is how many bytes have passed, and when.
type moved struct {
	at   time.Time
	done int64
}

func newControl(l Limits) *control { return &control{limits: l, rate: startRate, ceiling: math.Inf(1)} }

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
	c.moved = moved{at: now}
	c.change(now, max(startRate, c.lowest(now, 0)))
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
			c.change(now, max(startRate, lowest))
		}
	case latency <= limit:
		c.learn(latency, lowest)
		c.faster(now, done)
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
	c.ceiling, c.calm = c.rate, 0
	factor := slowDown
	if times > several {
		factor = plunge
	}
	c.change(now, max(c.rate*factor, lowest))
}

func (c *control) faster(now time.Time, done int64) {
	rate := c.rate
	switch {
	case math.IsInf(c.ceiling, 1):
		rate *= speedUp
	case rate*recovery < near*c.ceiling:
		rate *= recovery
	default:
		c.calm++
		rate *= 1 + approach*float64(c.calm)
	}
	if took := now.Sub(c.moved.at).Seconds(); took > 0 {
		rate = min(rate, max(c.rate, headroom*float64(done-c.moved.done)/took, startRate))
	}
	c.moved = moved{now, done}
	c.change(now, rate)
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
