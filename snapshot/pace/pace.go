// Package pace decides how fast a snapshot stream is read, so that etcd's clients do not feel it.
package pace

import (
	"context"
	"fmt"
	"io"
	"math"
	"strings"

	"github.com/dustin/go-humanize"
)

// Rate is what a person chooses.
type Rate int64

// The rates that are no number of bytes per second.
const (
	Off  Rate = 0
	Auto Rate = -1
)

// Unmeasured is the rate with which an automatic stream begins, and which it keeps while nothing can be measured.
const Unmeasured Rate = 8 << 20

// String is how the flag has it.
func (r Rate) String() string {
	switch r {
	case Off:
		return "off"
	case Auto:
		return "auto"
	}
	return humanize.IBytes(uint64(max(r, 0)))
}

// minRate is enough to get a database of etcd's default quota, 2 GiB, within nine hours. Less is a number whose unit was forgotten.
const minRate = 64 << 10

// ParseRate reads auto, off, or a size as in 50MiB.
func ParseRate(text string) (Rate, error) {
	switch text {
	case "off":
		return Off, nil
	case "auto":
		return Auto, nil
	}
	n, err := humanize.ParseBytes(strings.TrimSuffix(text, "/s"))
	switch {
	case err != nil || n > math.MaxInt64:
		return Off, fmt.Errorf("%q is not auto, off or a size per second like 50MiB", text)
	case n < minRate:
		return Off, fmt.Errorf("%s per second is less than %s: use off for full speed, or a size like 50MiB", text, Rate(minRate))
	}
	return Rate(n), nil
}

// Fixed returns what slows a stream down to the rate.
func Fixed(r Rate) func(ctx context.Context, w io.Writer) io.Writer {
	l := &limiter{rate: math.Inf(1)}
	l.set(float64(r))
	return func(ctx context.Context, w io.Writer) io.Writer { return writer{ctx: ctx, w: w, limit: l} }
}
