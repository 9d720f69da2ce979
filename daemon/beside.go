package daemon

import (
	"context"
	"sync"
	"time"
)

// serveLimit bounds how long the first answer of Serve waits for the first pass of the mirror.
const serveLimit = 5 * time.Second

// startBeside starts what runs beside the cycles and is never waited for by them.
func (d *Daemon) startBeside(ctx context.Context, beside *sync.WaitGroup) {
	if d.Mirror != nil {
		beside.Go(func() { d.mirrorLoop(ctx) })
	}
	if d.Drill != nil {
		beside.Go(func() { d.drillLoop(ctx) })
	}
	if d.Heartbeat != nil {
		beside.Go(func() { d.beatLoop(ctx) })
	}
	if d.Serve == nil {
		return
	}
	beside.Go(func() {
		if d.Mirror != nil {
			select {
			case <-d.passed:
			case <-time.After(serveLimit):
			case <-ctx.Done():
			}
		}
		d.Serve(ctx)
	})
}
