package command

import (
	"fmt"

	"github.com/urfave/cli/v2"
)

// checkBucket tries every permission with a tiny object.
func checkBucket(c *cli.Context) []finding {
	b, err := openBucket(c)
	if err != nil {
		return []finding{fail("bucket", err)}
	}
	defer b.Close()
	var out []finding
	for _, p := range b.Probe(c.Context) {
		switch {
		case p.Err == nil && p.Detail != "":
			out = append(out, okay(p.Action, "%s: %s", p.Purpose, p.Detail))
		case p.Err == nil:
			out = append(out, okay(p.Action, "%s, in %s", p.Purpose, b))
		case p.Optional:
			out = append(out, warn(p.Action, "%s: %s", p.Purpose, line(p.Err)))
		default:
			out = append(out, fail(p.Action, fmt.Errorf("%s: %w", p.Purpose, p.Err)))
		}
	}
	return out
}
