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
		Flags: slices.Concat([]cli.Flag{
			config.Bool("store", "all", "also show damaged, partial and foreign files"), config.OutputFlag(),
			config.Text("store", "from", "", "`PLACE`: local, s3 or all (default: all if --s3-bucket is given, else local)"),
		}, config.DirFlags(), config.S3Flags()),
		Action: e.action(0, list),
	}
}

// listing is all that --output json shows.
type listing struct {
	Snapshots []row    `json:"snapshots"`
	Broken    []string `json:"broken,omitempty"`
	Partials  []string `json:"partials,omitempty"`
	Foreign   []string `json:"foreign,omitempty"`
}

func list(ctx context.Context, c *call) error {
	from, err := listPlaces(ctx, c)
	if err != nil {
		return err
	}
	out := listing{Snapshots: []row{}}
	for _, p := range from {
		defer p.Close()
		out.add(ctx, p)
	}
	slices.SortStableFunc(out.Snapshots, func(a, b row) int {
		return cmp.Or(b.Time.Compare(a.Time), cmp.Compare(a.Name.String(), b.Name.String()))
	})
	if !c.Bool("all") {
		out.Broken, out.Partials, out.Foreign = nil, nil, nil
	}
	return c.show(out, out.print)
}

// add reads a manifest only if no place before had one of that name: in the bucket each costs a request.
func (l *listing) add(ctx context.Context, p source.Listing) {
	l.Partials, l.Foreign = append(l.Partials, p.Partials...), append(l.Foreign, p.Foreign...)
	for _, b := range p.Broken {
		l.Broken = append(l.Broken, b.Name.String()+snapshot.BrokenSuffix)
	}
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
		r := snapshotRow(entry, m)
		r.Places = []string{string(p.Place)}
		if err != nil {
			r.Error, r.short = err.Error(), "unreadable: run verify"
			switch {
			case errors.Is(err, s3.ErrPermission):
				r.short = "unreadable: no permission"
			case errors.Is(err, s3.ErrArchived):
				r.short = "archived: restore the object first"
			}
		}
		l.Snapshots = append(l.Snapshots, r)
	}
}

// alsoIn adds a place. For the mirror a copy of another size is no copy, so that is shown.
func (r *row) alsoIn(place config.Place, bytes int64) {
	r.Places = append(r.Places, string(place))
	if bytes != r.Size {
		r.Error = fmt.Sprintf("the copies differ: %d bytes in %s, %d in %s", r.Size, r.Places[0], bytes, place)
		r.short = "copies differ: verify --from each"
	}
}

func (l *listing) print(out *printer) {
	var lines [][]string
	for _, r := range l.Snapshots {
		line := []string{r.Name.String(), strings.Join(r.Places, "+"), age(time.Now(), r.Time), size(r.Size), "-", "-", r.short}
		if m := r.Manifest; m != nil {
			line = append(line[:4], size(m.RawSize), fmt.Sprint(m.Revision), cmp.Or(r.short, m.EtcdVersion))
		}
		lines = append(lines, line)
	}
	other := func(name, what string) {
		lines = append(lines, []string{name, string(config.Local), "-", "-", "-", "-", what})
	}
	for _, name := range l.Broken {
		other(name, "damaged")
	}
	for _, name := range l.Partials {
		other(name, "partial")
	}
	for _, name := range l.Foreign {
		other(printable(name), "foreign")
	}
	if len(lines) == 0 {
		out.line("no snapshots yet")
		return
	}
	out.table([]string{"NAME", "PLACE", "AGE", "SIZE", "DATABASE", "REVISION", "ETCD"}, lines)
}

// listPlaces lists those that --from names, the local one first. Each is the caller's to close.
func listPlaces(ctx context.Context, c *call) ([]source.Listing, error) {
	local, inBucket, err := config.ReadPlaces(c.Context, c.cfg.S3 != nil)
	if err != nil {
		return nil, err
	}
	dir, bucket := c.cfg.Store.Dir, c.cfg.S3
	if !local {
		dir = ""
	}
	if !inBucket {
		bucket = nil
	}
	return source.List(ctx, dir, bucket)
}

// printable quotes a name that would break the table or the terminal.
func printable(name string) string {
	if quoted := strconv.Quote(name); quoted != `"`+name+`"` {
		return quoted
	}
	return name
}
