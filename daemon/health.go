package daemon

import (
	"context"
	"maps"
	"strings"
	"time"

	"etcd-rolling-backup/daemon/status"
)

// mirrorWait bounds how long server, health log and heartbeat wait for the first mirror pass.
const mirrorWait = 5 * time.Second

// awaitMirror returns once the first mirror pass has ended, or after mirrorWait.
func (d *Daemon) awaitMirror(ctx context.Context) {
	if d.Mirror != nil {
		await(ctx, mirrorWait, d.mirrored)
	}
}

// healthLoop logs each new kind of problem that lasts for two checks, and logs once when all problems are gone.
func (d *Daemon) healthLoop(ctx context.Context) {
	d.awaitMirror(ctx)
	var before, logged map[status.Code]bool // in the last check; logged since they appeared
	unhealthy := false                      // according to the log
	for ctx.Err() == nil {
		problems := d.Problems()
		now, fresh := map[status.Code]bool{}, false
		var texts list
		for _, p := range problems {
			texts = append(texts, p.Text)
			now[p.Code] = true
			fresh = fresh || before[p.Code] && !logged[p.Code]
		}
		maps.DeleteFunc(logged, func(c status.Code, _ bool) bool { return !now[c] })
		switch {
		case fresh:
			d.Log.WithField("reasons", texts).Error("unhealthy")
			logged, unhealthy = now, true
		case len(problems) == 0 && unhealthy:
			d.Log.Info("healthy again")
			unhealthy = false
		}
		before = now
		await(ctx, lookInterval, nil)
	}
}

// list is logged as a list in JSON, and joined by semicolons in text.
type list []string

// String implements fmt.Stringer.
func (l list) String() string { return strings.Join(l, "; ") }
