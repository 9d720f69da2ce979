package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/dustin/go-humanize"
)

// printTable writes the medians and the ratios as a Markdown table.
func printTable(out io.Writer, b *bench, results map[string][]usage) error {
	a, tools, ours := median(results[wayFloor]), median(results[wayTools]), median(results[wayRoller])
	t := tabwriter.NewWriter(out, 0, 0, 1, ' ', tabwriter.Debug)
	p := func(format string, args ...any) { fmt.Fprintf(t, format, args...) } // Flush gives the error
	p("\n%s of data, etcd %s, medians of %d rounds\n\n", humanize.IBytes(uint64(b.bytes)), b.version, b.rounds)
	p("| way\t wall\t CPU\t peak memory\t written\t archive\t\n|---\t---\t---\t---\t---\t---\t\n")
	for _, row := range []struct {
		way string
		u   usage
	}{{wayFloor, a}, {wayTools, tools}, {wayRoller, ours}} {
		p("| %s\t %.2f s\t %.2f s\t %s\t %s\t %s\t\n", row.way, row.u.wall.Seconds(), row.u.cpu.Seconds(),
			humanize.IBytes(uint64(row.u.memory)), humanize.IBytes(uint64(row.u.written)), humanize.IBytes(uint64(row.u.archive)))
	}
	p("\n| ratio\t measured\t wanted\t\n|---\t---\t---\t\n")
	p("| wall, (c) to (a)\t %.2f\t at most 1.4\t\n", ratio(ours.wall, a.wall))
	p("| wall, (b) to (c)\t %.2f\t at least 2.5\t\n", ratio(tools.wall, ours.wall))
	p("| CPU, (c) to (b)\t %.2f\t at most 0.5\t\n", ratio(ours.cpu, tools.cpu))
	p("| written to archive, (c)\t %.3f\t 0.99 to 1.01\t\n", ratio(ours.written, ours.archive))
	p("| archive, (c) to (b)\t %.2f\t under 1\t\n", ratio(ours.archive, tools.archive))
	p("| peak memory, (c)\t %s\t under 64 MiB\t\n", humanize.IBytes(uint64(ours.memory)))
	return t.Flush()
}

// median takes each figure's own median.
func median(all []usage) usage {
	return usage{
		wall:    middle(all, func(u usage) time.Duration { return u.wall }),
		cpu:     middle(all, func(u usage) time.Duration { return u.cpu }),
		memory:  middle(all, func(u usage) int64 { return u.memory }),
		written: middle(all, func(u usage) int64 { return u.written }),
		archive: middle(all, func(u usage) int64 { return u.archive }),
	}
}

func middle[T cmp.Ordered](all []usage, figure func(usage) T) T {
	values := make([]T, 0, len(all))
	for _, u := range all {
		values = append(values, figure(u))
	}
	slices.Sort(values)
	return values[len(values)/2]
}

func ratio[T ~int64](x, y T) float64 { return float64(x) / float64(y) }
