package pace

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// etcd is a simulated member: what it answers depends on the rate of the stream, on the time and on chance.
type etcd struct {
	latency func(at time.Duration, rate float64, r *rand.Rand) time.Duration
	fails   func(at time.Duration) bool // probes fail without an answer
	fastest float64                     // rate of the stream at full speed; 0: 400 MiB per second
}

// run is what a simulated stream did.
type run struct {
	before time.Duration
	took   time.Duration
	rates  []float64 // at each step
}

// mean is the average of the rate that was allowed in a part of the stream.
func (r run) mean(from, to time.Duration) float64 {
	part := r.rates[min(int(from/stepPause), len(r.rates)-1):min(int(to/stepPause), len(r.rates))]
	sum := 0.0
	for _, x := range part {
		sum += x
	}
	return sum / float64(len(part)) / mebibyte
}

// stream measures for a second, then streams, all in a synthetic time that advances by one step at a time.
func (e etcd) stream(l Limits) run {
	r, c, start := rand.New(rand.NewPCG(1, 2)), newControl(l), time.Unix(0, 0)
	fastest := e.fastest
	if fastest == 0 {
		fastest = 400 * mebibyte
	}
	var out run
	var asked, answer time.Time // of the probe that waits
	var done float64
	for now := start; ; now = now.Add(stepPause) {
		at, rate, open := now.Sub(start)-time.Second, 0.0, !c.deadline.IsZero()
		if open {
			rate = min(c.rate, fastest)
		}
		if !asked.IsZero() && !now.Before(answer) {
			c.answered(answer, answer.Sub(asked))
			asked = time.Time{}
		}
		if asked.IsZero() && (e.fails == nil || !e.fails(at)) {
			asked, answer = now, now.Add(min(e.latency(at, rate, r), probeLimit))
		}
		switch {
		case open:
			if done += rate * stepPause.Seconds(); done >= float64(l.Size) {
				out.took = at
				return out
			}
			waiting := time.Duration(0)
			if !asked.IsZero() {
				waiting = now.Sub(asked)
			}
			out.rates = append(out.rates, c.step(now, int64(done), waiting))
		case at >= 0:
			out.before = c.begin(now)
		}
	}
}

// linear is an etcd whose latency rises with the rate: by base for each such number of MiB per second. It varies by a fifth.
func linear(base time.Duration, each float64) func(time.Duration, float64, *rand.Rand) time.Duration {
	return func(_ time.Duration, rate float64, r *rand.Rand) time.Duration {
		return time.Duration(float64(base) * (1 + rate/mebibyte/each) * (0.9 + 0.2*r.Float64()))
	}
}

const gib = 1 << 30

func TestStreamWithoutEffectIsGentle(t *testing.T) {
	for what, latency := range map[string]func(time.Duration, float64, *rand.Rand) time.Duration{
		"quick":    linear(300*time.Microsecond, math.Inf(1)),
		"far away": linear(200*time.Millisecond, math.Inf(1)),
		// A tenth of the answers is slow at all times, as on a busy machine.
		"noisy": func(_ time.Duration, _ float64, r *rand.Rand) time.Duration {
			if r.IntN(10) == 0 {
				return time.Duration(10+r.IntN(40)) * time.Millisecond
			}
			return time.Duration(400+r.IntN(400)) * time.Microsecond
		},
	} {
		r := etcd{latency: latency}.stream(Limits{Size: gib, Interval: time.Hour})
		if mean, most := r.mean(0, r.took), slices.Max(r.rates); mean < 0.8*gentle/mebibyte || most > gentle {
			t.Errorf("%s: %.1f MiB per second, at most %.1f", what, mean, most/mebibyte)
		}
	}
	big := etcd{latency: linear(300*time.Microsecond, math.Inf(1))}.stream(Limits{Size: 8 * gib, Interval: 20 * time.Minute})
	if big.took < longest-10*time.Second || big.took > longest+2*time.Second {
		t.Errorf("8 GiB took %s, want %s", big.took, longest)
	}
}

// What rises in a line stays near what is accepted, and what is slow at all times is no reason to slow down.
func TestRateSettlesWhereTheLatencyIsAccepted(t *testing.T) {
	for what, c := range map[string]struct {
		e        etcd
		from, to float64 // MiB per second after 5 seconds
	}{
		"twice as slow at 6 MiB/s": {etcd{latency: linear(2*time.Millisecond, 6)}, 2, 5},
		"twice as slow at 9 MiB/s": {etcd{latency: linear(5*time.Millisecond, 9)}, 3, 7},
		"a slow disk, twice at 8":  {etcd{latency: linear(80*time.Millisecond, 8)}, 2, 7},
		"ten times as slow from 5 MiB/s on": {etcd{latency: func(_ time.Duration, rate float64, r *rand.Rand) time.Duration {
			d := time.Millisecond
			if rate > 5*mebibyte {
				d *= 10
			}
			return time.Duration(float64(d) * (0.9 + 0.2*r.Float64()))
		}}, 2, 5},
	} {
		r := c.e.stream(Limits{Size: gib / 2, Interval: time.Hour})
		if mean := r.mean(5*time.Second, r.took); mean < c.from || mean > c.to {
			t.Errorf("%s: %.1f MiB per second, want %.1f to %.1f (before: %s)", what, mean, c.from, c.to, r.before)
		}
	}
}

// One slow answer, or two, say nothing.
func TestSingleSlowAnswersChangeNothing(t *testing.T) {
	e := etcd{latency: func(at time.Duration, _ float64, _ *rand.Rand) time.Duration {
		if at%(500*time.Millisecond) == 0 {
			return 40 * time.Millisecond
		}
		return time.Millisecond
	}}
	last := 0.0
	for i, rate := range e.stream(Limits{Size: 2 * gib, Interval: time.Hour}).rates {
		if rate < last {
			t.Fatalf("step %d: from %.0f to %.0f MiB per second", i, last/mebibyte, rate/mebibyte)
		}
		last = rate
	}
}

func TestLoadOfOthersBecomesWhatIsComparedWith(t *testing.T) {
	busyFrom := func(from, to time.Duration) etcd {
		return etcd{latency: func(at time.Duration, _ float64, r *rand.Rand) time.Duration {
			d := time.Millisecond
			if at >= from && at < to {
				d *= 20
			}
			return time.Duration(float64(d) * (0.9 + 0.2*r.Float64()))
		}}
	}
	r := busyFrom(2*time.Second, time.Hour).stream(Limits{Size: gib / 2, Interval: time.Hour})
	if slow := r.mean(3*time.Second, 5*time.Second); slow > 3 { // the lowest is 2
		t.Errorf("%.1f MiB per second when the latency had risen, want nearly the lowest rate first", slow)
	}
	if later := r.mean(r.took/2, r.took); later < 7 {
		t.Errorf("%.1f MiB per second later: the load of others was taken for ours", later)
	}
	r = busyFrom(-time.Second, time.Second).stream(Limits{Size: gib / 2, Interval: time.Hour})
	if mean := r.mean(0, r.took); mean < 7 {
		t.Errorf("%.1f MiB per second after the load of others", mean)
	}
}

// Whatever etcd answers, the stream ends well inside of the interval and within some minutes.
func TestStreamEndsInTimeWhateverEtcdAnswers(t *testing.T) {
	for what, e := range map[string]etcd{
		"slower and slower": {latency: func(at time.Duration, _ float64, _ *rand.Rand) time.Duration {
			return time.Millisecond + max(at, 0)/10
		}},
		"silent during the stream": {latency: func(at time.Duration, _ float64, _ *rand.Rand) time.Duration {
			if at < 0 {
				return time.Millisecond
			}
			return time.Hour
		}},
		"silent at all times": {latency: func(time.Duration, float64, *rand.Rand) time.Duration { return time.Hour }},
		"slow by our doing":   {latency: linear(time.Millisecond, 0.1)},
		"no answers":          {fails: func(time.Duration) bool { return true }},
	} {
		for _, c := range []struct {
			size     int64
			interval time.Duration
			want     time.Duration
		}{
			{gib / 4, time.Hour, gib / 4 / slowest * time.Second},
			{gib, time.Hour, longest},
			{8 * gib, 24 * time.Hour, longest},
			{8 * gib, 10 * time.Minute, 150 * time.Second},
			{8 * gib, 0, longest},
			{gib, time.Second, 4 * time.Second},
		} {
			r := e.stream(Limits{Size: c.size, Interval: c.interval})
			if r.took > c.want+2*time.Second { // the last second has no deadline of its own
				t.Errorf("%s: %d GiB with an interval of %s took %s, want %s", what, c.size/gib, c.interval, r.took, c.want)
			}
		}
	}
}

func TestSilentMemberIsReadSlowly(t *testing.T) {
	e := etcd{latency: func(at time.Duration, _ float64, _ *rand.Rand) time.Duration {
		if at < time.Second {
			return time.Millisecond
		}
		return time.Hour
	}}
	if r := e.stream(Limits{Size: gib, Interval: time.Hour}); r.mean(4*time.Second, r.took) > 1.2*float64(gib)/longest.Seconds()/mebibyte {
		t.Errorf("%.0f MiB per second while no probe is answered", r.mean(4*time.Second, r.took))
	}
}

func TestProbesThatFailLeaveAGentleRate(t *testing.T) {
	for what, from := range map[string]time.Duration{"from the beginning": -time.Hour, "after a second": time.Second} {
		e := etcd{latency: linear(time.Millisecond, math.Inf(1)), fails: func(at time.Duration) bool { return at >= from }}
		r := e.stream(Limits{Size: gib, Interval: time.Hour})
		if got := r.mean(4*time.Second, r.took); got != gentle/mebibyte {
			t.Errorf("%s: %.0f MiB per second, want %d", what, got, int(gentle/mebibyte))
		}
	}
	back := etcd{latency: linear(time.Millisecond, math.Inf(1)), fails: func(at time.Duration) bool { return at < 2*time.Second }}
	if r := back.stream(Limits{Size: gib, Interval: time.Hour}); r.before != 0 || r.mean(4*time.Second, r.took) < 7 {
		t.Errorf("answers after two seconds: before %s, %.1f MiB per second", r.before, r.mean(4*time.Second, r.took))
	}
}
