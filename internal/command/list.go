package command

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"etcd-rolling-backup/s3"
	"etcd-rolling-backup/snapshot"
)

func listCommand(e env) *cli.Command {
	return &cli.Command{
		Name: "list", Usage: "show the snapshots, newest first",
		Flags: group(
			[]cli.Flag{&cli.BoolFlag{Name: "all", Category: "store", EnvVars: envVars("all"), Usage: "also show partial and foreign files"}, outputFlag()},
			[]cli.Flag{fromFlag("", "`PLACE`: local, s3 or all (default: all where --s3-bucket is given, else local)")}, dirFlags(), s3Flags()),
		Action: func(c *cli.Context) error { return list(c, e) },
	}
}

// listing is the whole of what --output json shows.
type listing struct {
	Snapshots []row    `json:"snapshots"`
	Partials  []string `json:"partials,omitempty"`
	Foreign   []string `json:"foreign,omitempty"`
}

func list(c *cli.Context, e env) error {
	if err := noArgs(c); err != nil {
		return err
	}
	asJSON, err := jsonOutput(c)
	if err != nil {
		return err
	}
	from, err := listPlaces(c)
	if err != nil {
		return err
	}
	out := listing{Snapshots: []row{}}
	for _, p := range from {
		defer p.close()
		out.add(c, p)
	}
	out.sort()
	if !c.Bool("all") {
		out.Partials, out.Foreign = nil, nil
	}
	if asJSON {
		return printJSON(e.stdout, out)
	}
	return out.print(e, time.Now())
}

// add reads a manifest only where no place before had one of that name: in the bucket each costs a request.
func (l *listing) add(c *cli.Context, p place) {
	l.Partials, l.Foreign = append(l.Partials, p.Partials...), append(l.Foreign, p.Foreign...)
	seen := map[string]int{}
	for i, r := range l.Snapshots {
		seen[r.Name] = i
	}
	for _, entry := range p.Snapshots {
		if i, ok := seen[entry.Name.String()]; ok {
			l.Snapshots[i].alsoIn(p.name, entry.Size)
			continue
		}
		m, err := p.manifest(c.Context, entry)
		if errors.Is(err, snapshot.ErrNotFound) {
			continue // pruned meanwhile
		}
		l.Snapshots = append(l.Snapshots, newRow(entry, m, err, p.name))
	}
}

func newRow(entry snapshot.Entry, m snapshot.Manifest, err error, place string) row {
	r := snapshotRow(entry, m)
	r.Places = []string{place}
	if err != nil {
		r.Error, r.short = err.Error(), "unreadable: run verify"
		if errors.Is(err, s3.ErrPermission) {
			r.short = "unreadable: no permission"
		}
	}
	return r
}

// alsoIn adds a place. The mirror takes a copy of another size for none, and so it is told.
func (r *row) alsoIn(place string, bytes int64) {
	r.Places = append(r.Places, place)
	if bytes != r.Size {
		r.Error = fmt.Sprintf("the copies differ: %d bytes in %s, %d in %s", r.Size, r.Places[0], bytes, place)
		r.short = "copies differ: verify --from each"
	}
}

func (l *listing) sort() {
	slices.SortStableFunc(l.Snapshots, func(a, b row) int {
		return cmp.Or(b.Time.Compare(a.Time), cmp.Compare(a.Name, b.Name))
	})
}

func (l *listing) print(e env, now time.Time) error {
	var lines [][]string
	for _, r := range l.Snapshots {
		line := []string{r.Name, strings.Join(r.Places, "+"), age(now, r.Time), size(r.Size)}
		if m := r.Manifest; m != nil {
			line = append(line, size(m.RawSize), fmt.Sprint(m.Revision), cmp.Or(r.short, m.EtcdVersion))
		} else {
			line = append(line, "-", "-", r.short)
		}
		lines = append(lines, line)
	}
	for _, name := range l.Partials {
		lines = append(lines, []string{name, fromLocal, "-", "-", "-", "-", "partial"})
	}
	for _, name := range l.Foreign {
		lines = append(lines, []string{printable(name), fromLocal, "-", "-", "-", "-", "foreign"})
	}
	if len(lines) == 0 {
		_, err := fmt.Fprintln(e.stdout, "no snapshots yet")
		return err
	}
	return printTable(e.stdout, []string{"NAME", "PLACE", "AGE", "SIZE", "DATABASE", "REVISION", "ETCD"}, lines)
}

// printable quotes a name that would spoil the table or the terminal.
func printable(name string) string {
	if quoted := strconv.Quote(name); quoted != `"`+name+`"` {
		return quoted
	}
	return name
}
