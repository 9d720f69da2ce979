package pace

import (
	"context"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"etcd-rolling-backup/snapshot"
)

// Prober makes one light request to the member and returns when it is answered.
type Prober interface {
	Probe(ctx context.Context) error
}

const (
	// probePause is the time from one probe to the next, if that is answered: 20 a second, of thousands that etcd answers.
	probePause = 50 * time.Millisecond
	// probeLimit is how long a probe waits. Its age counts as latency meanwhile.
	probeLimit = 5 * time.Second
	// stepPause is the time between two decisions.
	stepPause = 50 * time.Millisecond
	// The measurement before the stream lasts as long as the stream would at measureRate, within these bounds: a small database does not wait
	// for it, and 20 answers are enough for a large one.
	measureRate     = 16 * mebibyte
	shortestMeasure = 100 * time.Millisecond
	longestMeasure  = time.Second
	// shareOfMeasure bounds it for a schedule of seconds.
	shareOfMeasure = 10
	// mostAnswers bounds the memory of a stream of hours.
	mostAnswers = 1 << 14
)

// Pacer reads one stream at the automatic rate. Its goroutines end with Close.
type Pacer struct {
	prober Prober
	end    context.CancelFunc
	tasks  sync.WaitGroup
	limit  limiter
	done   atomic.Int64 // bytes that have passed

	mu      sync.Mutex
	control *control
	asked   time.Time // when the current probe was made; zero: there is none
	before  time.Duration
	during  []answer
	open    bool // the stream is
}

// Measure begins to measure the latency, which takes a second at most, and returns what slows the stream down. It ends early with ctx.
func Measure(ctx context.Context, p Prober, l Limits) *Pacer {
	life, end := context.WithCancel(ctx)
	a := &Pacer{prober: p, end: end, control: newControl(l)}
	a.tasks.Go(func() { a.probeLoop(life) })
	a.tasks.Go(func() { a.stepLoop(life) })
	_ = sleep(ctx, l.measure()) // what comes next ends with ctx too
	return a
}

// measure is how long the measurement before the stream lasts.
func (l Limits) measure() time.Duration {
	d := min(max(time.Duration(float64(l.Size)/measureRate*float64(time.Second)), shortestMeasure), longestMeasure)
	if l.Interval > 0 {
		d = min(d, l.Interval/shareOfMeasure)
	}
	return d
}

// Slow returns a writer to w that waits, as snapshot.TakeOptions wants it. The stream begins.
func (p *Pacer) Slow(ctx context.Context, w io.Writer) io.Writer {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	p.before, p.open = p.control.begin(now), true
	p.limit.set(p.control.rate)
	return writer{ctx: ctx, w: counter{w, &p.done}, limit: &p.limit}
}

// Close ends the measurement and returns the latency.
func (p *Pacer) Close() snapshot.Latency {
	p.end()
	p.tasks.Wait()
	return snapshot.Latency{Before: p.before, During: upper(p.during, 0)}
}

// probeLoop makes one probe after the other, so that an etcd that answers slowly is not asked more often.
func (p *Pacer) probeLoop(ctx context.Context) {
	for connected := false; ctx.Err() == nil; {
		began := time.Now()
		p.ask(began)
		limited, cancel := context.WithTimeout(ctx, probeLimit)
		err := p.prober.Probe(limited)
		late := limited.Err() != nil && ctx.Err() == nil
		cancel()
		p.answered(time.Now(), late || err == nil && connected)
		connected = connected || err == nil // the first answer came after a handshake
		_ = sleep(ctx, time.Until(began.Add(probePause)))
	}
}

func (p *Pacer) ask(at time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked = at
}

// answered ends a probe; one that failed says nothing about the latency.
func (p *Pacer) answered(at time.Time, counts bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	took := at.Sub(p.asked)
	p.asked = time.Time{}
	if !counts {
		return
	}
	p.control.answered(at, took)
	if p.open {
		if len(p.during) == mostAnswers {
			p.during = slices.Delete(p.during, 0, mostAnswers/2)
		}
		p.during = append(p.during, answer{at, took})
	}
}

// stepLoop adapts the rate while the stream is open.
func (p *Pacer) stepLoop(ctx context.Context) {
	for sleep(ctx, stepPause) == nil {
		p.step(time.Now())
	}
}

func (p *Pacer) step(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.open {
		return
	}
	waiting := time.Duration(0)
	if !p.asked.IsZero() {
		waiting = now.Sub(p.asked)
	}
	p.limit.set(p.control.step(now, p.done.Load(), waiting))
}

// counter counts what is written.
type counter struct {
	w    io.Writer
	done *atomic.Int64
}

func (c counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.done.Add(int64(n))
	return n, err
}
