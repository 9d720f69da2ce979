package config

import (
	"time"

	"github.com/urfave/cli/v2"
)

// ReadMaxAge reads --max-age; 0: none.
func ReadMaxAge(c *cli.Context) (time.Duration, error) {
	r := &reader{Context: c}
	d := r.duration("max-age")
	if d < 0 {
		r.fail(Usagef("--max-age: %s: must be a positive duration, or 0s for each node's own rhythm", d))
	}
	return d, r.err
}
