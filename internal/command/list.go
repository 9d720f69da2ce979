package command

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/internal/source"
	"etcd-rolling-backup/s3"
	"etcd-rolling-backup/snapshot"
)

func listCommand(e env) *cli.Command {
	return &cli.Command{
		Name: "list", Usage: "show the snapshots, newest first",
		Flags: config.Flags([]cli.Flag{
			config.Bool("store", "all", "also show partial and foreign files"), config.OutputFlag(),
			config.FromFlag("store", config.Anywhere, "`PLACE`: local, s3 or all (default: all if --s3-bucket is given, else local)"),
		}, config.DirFlags(), config.S3Flags()),
		Action: func(c *cli.Context) error { return list(c, e) },
	}
}

// listing is all that --output json shows.
type listing struct {
	Snapshots []row    `json:"snapshots"`
	Partials  []string `json:"partials,omitempty"`
	Foreign   []string `json:"foreign,omitempty"`
}

func list(c *cli.Context, e env) error {
	cfg, asJSON, err := settings(c)
	if err != nil {
		return err
	}
	from, err := listPlaces(c, cfg)
	if err != nil {
		return err
	}
	out := listing{Snapshots: []row{}}
	for _, p := range from {
		defer p.Close()
		out.add(c.Context, p)
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

// add reads a manifest only if no place before had one of that name: in the bucket each costs a request.
func (l *listing) add(ctx context.Context, p source.Listing) {
	l.Partials, l.Foreign = append(l.Partials, p.Partials...), append(l.Foreign, p.Foreign...)
	seen := map[snapshot.Name]int{}
	for i, r := range l.Snapshots {
		seen[r.Name] = i
	}
	for _, entry := range p.Snapshots {
		if i, ok := seen[entry.Name]; ok {
			l.Snapshots[i].alsoIn(p.Place, entry.Size)
			continue
		}
		m, err := p.Manifest(ctx, entry.Name)
		if errors.Is(err, snapshot.ErrNotFound) {
			continue // pruned meanwhile
		}
		l.Snapshots = append(l.Snapshots, newRow(entry, m, err, p.Place))
	}
}

func newRow(entry snapshot.Entry, m snapshot.Manifest, err error, place config.Place) row {
	r := snapshotRow(entry, m)
	r.Places = []config.Place{place}
	if err != nil {
		r.Error, r.short = err.Error(), "unreadable: run verify"
		if errors.Is(err, s3.ErrPermission) {
			r.short = "unreadable: no permission"
		}
	}
	return r
}

// alsoIn adds a place. For the mirror a copy of another size is no copy, so that is shown.
func (r *row) alsoIn(place config.Place, bytes int64) {
	r.Places = append(r.Places, place)
	if bytes != r.Size {
		r.Error = fmt.Sprintf("the copies differ: %d bytes in %s, %d in %s", r.Size, r.Places[0], bytes, place)
		r.short = "copies differ: verify --from each"
	}
}

func (l *listing) sort() {
	slices.SortStableFunc(l.Snapshots, func(a, b row) int {
		return cmp.Or(b.Time.Compare(a.Time), cmp.Compare(a.Name.String(), b.Name.String()))
	})
}

func (l *listing) print(e env, now time.Time) error {
	var lines [][]string
	for _, r := range l.Snapshots {
		line := []string{r.Name.String(), joinPlaces(r.Places), age(now, r.Time), size(r.Size)}
		if m := r.Manifest; m != nil {
			line = append(line, size(m.RawSize), fmt.Sprint(m.Revision), cmp.Or(r.short, m.EtcdVersion))
		} else {
			line = append(line, "-", "-", r.short)
		}
		lines = append(lines, line)
	}
	for _, name := range l.Partials {
		lines = append(lines, []string{name, string(config.Local), "-", "-", "-", "-", "partial"})
	}
	for _, name := range l.Foreign {
		lines = append(lines, []string{printable(name), string(config.Local), "-", "-", "-", "-", "foreign"})
	}
	if len(lines) == 0 {
		_, err := fmt.Fprintln(e.stdout, "no snapshots yet")
		return err
	}
	return printTable(e.stdout, []string{"NAME", "PLACE", "AGE", "SIZE", "DATABASE", "REVISION", "ETCD"}, lines)
}

func joinPlaces(places []config.Place) string {
	var names []string
	for _, p := range places {
		names = append(names, string(p))
	}
	return strings.Join(names, "+")
}

// listPlaces lists those that --from names, the local one first. Each is the caller's to close.
func listPlaces(c *cli.Context, cfg config.Config) ([]source.Listing, error) {
	local, inBucket, err := config.ReadPlaces(c, cfg.S3 != nil)
	if err != nil {
		return nil, err
	}
	dir, bucket := cfg.Store.Dir, cfg.S3
	if !local {
		dir = ""
	}
	if !inBucket {
		bucket = nil
	}
	return source.List(c.Context, dir, bucket)
}

// printable quotes a name that would break the table or the terminal.
func printable(name string) string {
	if quoted := strconv.Quote(name); quoted != `"`+name+`"` {
		return quoted
	}
	return name
}
