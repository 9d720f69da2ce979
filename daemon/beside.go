package daemon

import (
	"context"
	"sync"
)

// startBeside starts what runs beside the cycles and is never waited for by them.
func (d *Daemon) startBeside(ctx context.Context, beside *sync.WaitGroup) {
	if d.Mirror != nil {
		beside.Go(func() { d.mirrorLoop(ctx) })
	}
	if d.Drill != nil {
		beside.Go(func() { d.drillLoop(ctx) })
	}
	beside.Go(func() { d.damageLoop(ctx) })
	if d.Heartbeat != nil {
		beside.Go(func() { d.beatLoop(ctx) })
	}
	if d.Health != nil {
		beside.Go(func() { d.healthLoop(ctx) })
	}
	if d.Serve != nil {
		beside.Go(func() {
			d.waitPast(ctx)
			d.Serve(ctx)
		})
	}
}
