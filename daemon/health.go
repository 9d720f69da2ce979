package daemon

import (
	"context"
	"time"
)

// pastLimit bounds how long who tells of the state waits for the first pass of the mirror.
const pastLimit = 5 * time.Second

// waitPast returns once what lies in the bucket is known too, or has been waited for long enough.
func (d *Daemon) waitPast(ctx context.Context) {
	if d.Mirror == nil {
		return
	}
	select {
	case <-d.passed:
	case <-time.After(pastLimit):
	case <-ctx.Done():
	}
}

// unwell are the reasons why not all is well, as far as somebody tells.
func (d *Daemon) unwell() []string {
	if d.Health == nil {
		return nil
	}
	return d.Health()
}

// healthLoop logs when all has ceased to be well, and when it is again. A reason that is there at one look only is not worth a line.
func (d *Daemon) healthLoop(ctx context.Context) {
	d.waitPast(ctx)
	before, told := 0, 0
	for ctx.Err() == nil {
		reasons := d.unwell()
		switch n := len(reasons); {
		case n == 0 && told > 0:
			d.Log.Info("all is well again")
			told = 0
		case n < told:
			told = n
		case n > told && before > 0:
			d.Log.WithField("reasons", reasons).Error("not all is well")
			told = n
		}
		before = len(reasons)
		select {
		case <-ctx.Done():
		case <-time.After(lookInterval):
		}
	}
}
