package main

import (
	"fmt"
	"io"
	"os"
	"text/tabwriter"
	"time"

	"github.com/dustin/go-humanize"
)

// table is the output for a set of ways.
type table struct {
	title string
	ways  []string // the rows, in this order
	all   map[string]usage
	goals []goal
}

// goal is a figure and its target.
type goal struct{ what, measured, wanted string }

// printTable writes the figures and the goals as two Markdown tables.
func printTable(out io.Writer, t table) error {
	tab := tabwriter.NewWriter(out, 0, 0, 1, ' ', tabwriter.Debug)
	p := func(format string, args ...any) { fmt.Fprintf(tab, format, args...) } // Flush returns the error
	p("\n%s\n\n", t.title)
	p("| way\t wall\t CPU\t peak memory\t written\t archive\t\n|---\t---\t---\t---\t---\t---\t\n")
	for _, way := range t.ways {
		u := t.all[way]
		p("| %s\t %.2f s\t %.2f s\t %s\t %s\t %s\t\n", way, u.wall.Seconds(), u.cpu.Seconds(),
			ibytes(u.memory), ibytes(u.written), ibytes(u.archive))
	}
	p("\n| ratio\t measured\t wanted\t\n|---\t---\t---\t\n")
	for _, g := range t.goals {
		p("| %s\t %s\t %s\t\n", g.what, g.measured, g.wanted)
	}
	return tab.Flush()
}

func (b *bench) title(of string) string {
	return fmt.Sprintf("%s of %s, medians of %d rounds", ibytes(b.bytes), of, b.rounds)
}

func (b *bench) snapshotTable(all map[string]usage) table {
	floor, tools, ours := all[wayFloor], all[wayTools], all[wayRoller]
	return table{b.title("data, etcd " + b.version), []string{wayFloor, wayTools, wayRoller}, all, []goal{
		{"wall, (c) to (a)", ratio(ours.wall, floor.wall, 2), "at most 1.4"},
		{"wall, (b) to (c)", ratio(tools.wall, ours.wall, 2), "at least 2.5"},
		{"CPU, (c) to (b)", ratio(ours.cpu, tools.cpu, 2), "at most 0.5"},
		{"written to archive, (c)", ratio(ours.written, ours.archive, 3), "0.99 to 1.01"},
		{"archive, (c) to (b)", ratio(ours.archive, tools.archive, 2), "under 1"},
		{"peak memory, (c)", ibytes(ours.memory), underMemory},
	}}
}

func (b *bench) endToEndTable(all map[string]usage) table {
	tools, ours := all[wayToolsPut], all[wayRollerMirror]
	return table{b.title("data, from etcd " + b.version + " into MinIO"), []string{wayToolsPut, wayRollerMirror}, all, []goal{
		{"wall, (e1) to (e2)", ratio(tools.wall, ours.wall, 2), "at least 2.5"},
		{"peak memory, (e2)", ibytes(ours.memory), underMemory},
	}}
}

func (b *bench) uploadTable(at string, all map[string]usage) table {
	put, ours := all[wayPut], all[wayMirror]
	return table{b.title("archive into " + at), []string{wayPut, wayMirror}, all, []goal{
		{"throughput, (d2) to (d1)", ratio(put.wall, ours.wall, 2), "at least 0.9"},
		{"peak memory, (d2)", ibytes(ours.memory), underMemory},
	}}
}

func (b *bench) restoreTable(all map[string]usage) table {
	etcdutl, both, ours := all[wayEtcdutl], all[wayZstdEtcdutl], all[wayRestore]
	return table{b.title("data back from an archive, etcd " + b.version), []string{wayEtcdutl, wayZstdEtcdutl, wayRestore}, all, []goal{
		{"wall, (f3) to (f1)", ratio(ours.wall, etcdutl.wall, 2), "at most 1.5"},
		{"wall, (f3) to (f2)", ratio(ours.wall, both.wall, 2), "under 1"},
		{"peak memory without mapped files, (f3)", ibytes(ours.own), "under 128 MiB"},
	}}
}

func (b *bench) lookTable(all map[string]usage) table {
	list, compare := all[wayList], all[wayCompare]
	return table{b.title("looking into a snapshot, etcd " + b.version), []string{wayVerify, wayGet, wayList, wayCompare}, all, []goal{
		{"wall, (h2) to (h1)", ratio(all[wayGet].wall, all[wayVerify].wall, 2), "at most 1.5"},
		{"wall, (h3)", list.wall.Round(time.Millisecond).String(), "under 500ms with 1 GiB"},
		{"peak memory without mapped files, (h3)", ibytes(list.own), underMemory},
		{"wall, (h4)", compare.wall.Round(time.Millisecond).String(), "under 2s with 1 GiB"},
		{"peak memory without mapped files, (h4)", ibytes(compare.own), "under 128 MiB"},
	}}
}

const underMemory = "under 64 MiB"

func ibytes(n int64) string { return humanize.IBytes(uint64(n)) }

func ratio[T ~int64](x, y T, digits int) string {
	return fmt.Sprintf("%.*f", digits, float64(x)/float64(y))
}

// printFelt writes what the clients of etcd felt, as medians of the rounds.
func (b *bench) printFelt(all map[string][]felt) error {
	medians := map[string]felt{}
	for way, fs := range all {
		medians[way] = felt{
			p50: middle(fs, func(f felt) time.Duration { return f.p50 }), p99: middle(fs, func(f felt) time.Duration { return f.p99 }),
			p999: middle(fs, func(f felt) time.Duration { return f.p999 }), times: middle(fs, func(f felt) int { return f.times }),
		}
	}
	tab := tabwriter.NewWriter(os.Stdout, 0, 0, 1, ' ', tabwriter.Debug)
	p := func(format string, args ...any) { fmt.Fprintf(tab, format, args...) } // Flush returns the error
	p("\n%s\n\n", b.title(fmt.Sprintf("data, etcd %s, %d puts a second of %s meanwhile", b.version, loadRate, ibytes(loadBytes))))
	p("| during\t put p50\t put p99\t put p99.9\t snapshots in %s\t\n|---\t---\t---\t---\t---\t\n", phaseTime)
	for _, way := range []string{wayIdle, wayRKE, wayOff, wayPaced} {
		f := medians[way]
		p("| %s\t %s\t %s\t %s\t %d\t\n", way, milliseconds(f.p50), milliseconds(f.p99), milliseconds(f.p999), f.times)
	}
	p("\n| ratio\t measured\t wanted\t\n|---\t---\t---\t\n")
	p("| p99, (g4) to (g1)\t %s\t at most 1.2\t\n", ratio(medians[wayPaced].p99, medians[wayIdle].p99, 2))
	p("| p99, (g2) to (g1)\t %s\t \t\n", ratio(medians[wayRKE].p99, medians[wayIdle].p99, 2))
	return tab.Flush()
}

func milliseconds(d time.Duration) string { return fmt.Sprintf("%.1f ms", d.Seconds()*1000) }
