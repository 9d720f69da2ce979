package command

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/internal/history"
	"etcd-rolling-backup/internal/service"
	"etcd-rolling-backup/internal/source"
	"etcd-rolling-backup/s3"
	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/input"
)

func listCommand(e env) *cli.Command {
	return &cli.Command{
		Name: "list", Usage: "show the snapshots, newest first",
		Flags: slices.Concat([]cli.Flag{
			config.Bool("store", "all", "also show damaged, partial and foreign files"), config.OutputFlag(),
			config.Text("store", "from", "", "`PLACE`: local, s3 or all (default: all if --s3-bucket is given, else local)"),
		}, config.ShownNodeFlags(), config.DirFlags(), config.S3Flags(), config.VersionFlags()),
		Action: e.action(0, list),
	}
}

// listing is all that --output json shows.
type listing struct {
	Snapshots []row     `json:"snapshots"`
	Broken    []string  `json:"broken,omitempty"`
	Partials  []string  `json:"partials,omitempty"`
	Foreign   []string  `json:"foreign,omitempty"`
	Missing   []missing `json:"missing,omitempty"`
	// Journal are the moments that can be restored, not only those of snapshots.
	Journal []journalRow `json:"journal,omitempty"`

	ranges []source.Range     // what Journal is made of, and what no snapshot begins
	bases  []history.Snapshot // those that may begin them
	others bool               // only other nodes have snapshots, as a note has said
}

// missing is a place that could not be listed.
type missing struct {
	Place config.Place `json:"place"`
	Where string       `json:"where"`
	Error string       `json:"error"`
}

// detailsLimit is how long manifests are read: a bucket may have any number of snapshots, and each costs a request.
const detailsLimit = time.Minute

var errTooMany = fmt.Errorf("not all manifests could be read within %s", detailsLimit)

func list(ctx context.Context, c *call) error {
	from, failed, err := listNodes(ctx, c)
	if err != nil {
		return err
	}
	out := listing{Snapshots: []row{}}
	limited, cancel := context.WithTimeoutCause(ctx, detailsLimit, errTooMany)
	defer cancel()
	for _, p := range from {
		defer p.Close()
		if p.Place == config.S3 && len(p.Snapshots) == 0 && !p.Others {
			c.note("%s", p.Empty(ctx))
		}
		out.others = out.others || p.Others
		out.add(limited, p)
	}
	if ctx.Err() == nil && limited.Err() != nil {
		c.warn("%s: rows without details are complete otherwise", errTooMany)
	}
	out.addKeys(service.SavedKeys(c.cfg))
	out.markVersions(from)
	out.markPredecessors(snapshot.NewDir(c.cfg.Store.Dir))
	for _, f := range failed {
		out.Missing = append(out.Missing, missing{Place: f.Place, Where: f.Where, Error: f.Error()})
	}
	slices.SortStableFunc(out.Snapshots, func(a, b row) int {
		return cmp.Or(b.Time.Compare(a.Time), cmp.Compare(a.Name.String(), b.Name.String()))
	})
	out.addJournal(limited, from, c.scratch())
	if !c.Bool("all") {
		out.Broken, out.Partials, out.Foreign = nil, nil, nil
	}
	return errors.Join(c.show(out, out.print), incomplete(failed))
}

// incomplete is the error of a list that lacks a place.
func incomplete(failed []*source.PlaceError) error {
	if len(failed) == 0 {
		return nil
	}
	return partialError{fmt.Errorf("the list is incomplete, it lacks what is in %s: %w", failed[0].Where, failed[0])}
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
	var fresh, again []snapshot.Entry
	several := l.clusters() > 1
	for _, entry := range p.Snapshots {
		i, ok := seen[entry.Name]
		switch {
		case !ok:
			fresh = append(fresh, entry)
		case several || entry.Size != l.Snapshots[i].Size || l.Snapshots[i].Error != "": // two clusters may have taken them in the same second
			again = append(again, entry)
		default:
			l.Snapshots[i].alsoIn(p.Place, entry.Size)
		}
	}
	for _, read := range p.Manifests(ctx, again) {
		r := &l.Snapshots[seen[read.Name]]
		if id := read.Manifest.ClusterID; read.Err == nil && id != 0 && r.ClusterID != 0 && id != r.ClusterID {
			fresh = append(fresh, read.Entry)
			continue
		}
		if read.Err == nil && r.Error != "" && read.HasManifest() {
			r.intact = &read.Manifest
		}
		r.alsoIn(p.Place, read.Bytes)
	}
	for _, read := range p.Manifests(ctx, fresh) {
		if errors.Is(read.Err, snapshot.ErrNotFound) {
			continue // pruned meanwhile
		}
		r := snapshotRow(read.Entry, read.Manifest)
		r.Size, r.entry = read.Bytes, read.Entry
		r.Places = []string{string(p.Place)}
		r.Form, r.RawSize, r.StateFile = read.Form, read.RawSize, read.StateFile
		if read.Err != nil {
			r.Error, r.short = read.Err.Error(), "unreadable: run verify"
			switch {
			case errors.Is(read.Err, input.ErrForm) && r.Name.File != "":
				r.short = "has no snapshot"
			case errors.Is(read.Err, s3.ErrPermission):
				r.short = "unreadable: no permission"
			case ctx.Err() != nil:
				r.short = "not read yet"
			case errors.Is(read.Err, s3.ErrArchived):
				r.short = "archived: restore the object first"
			}
		}
		l.Snapshots = append(l.Snapshots, r)
	}
}

// addKeys adds the keys of snapshots whose manifest does not have them.
func (l *listing) addKeys(saved func(snapshot.Entry) snapshot.Count) {
	for i := range l.Snapshots {
		r := &l.Snapshots[i]
		if r.Manifest != nil {
			r.Keys = r.Keys.Or(saved(r.entry))
		}
	}
}

// markVersions marks what the bucket has only as old versions. A copy in the directory is shown as usual.
func (l *listing) markVersions(from []source.Listing) {
	for i := range l.Snapshots {
		r := &l.Snapshots[i]
		for _, p := range from {
			v, ok := p.Version(r.Name)
			if !ok || !slices.Contains(r.Places, string(p.Place)) {
				continue
			}
			r.VersionID, r.Lost, r.Versions = v.ID, v.Loss, v.Choices
			switch {
			case len(v.Choices) > 1:
				r.short = fmt.Sprintf("%d different versions: choose one", len(v.Choices))
			case len(v.Choices) == 1:
				r.short = "stored before the time in its name"
			case r.short == "":
				r.short = string(v.Loss) + " in the bucket: old version"
			}
		}
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
		line := []string{r.Name.String(), strings.Join(r.Places, "+"), age(time.Now(), r.Time), size(r.Size), "-", "-", "-", r.cluster(), r.form(), cmp.Or(r.short, "-")}
		if r.RawSize > 0 {
			line[4] = size(r.RawSize)
		}
		if m := r.Manifest; m != nil {
			line[5], line[9] = fmt.Sprint(m.Revision), cmp.Or(r.short, m.EtcdVersion)
		}
		if n, known := r.Keys.Get(); known {
			line[6] = fmt.Sprint(n)
		}
		lines = append(lines, line)
	}
	other := func(name, what string) {
		lines = append(lines, []string{name, string(config.Local), "-", "-", "-", "-", "-", "-", "-", what})
	}
	for _, name := range l.Broken {
		other(name, "damaged")
	}
	for _, name := range l.Partials {
		other(name, "partial")
	}
	for _, name := range l.Foreign {
		other(name, "foreign")
	}
	if len(lines) == 0 {
		if len(l.Missing) == 0 && !l.others {
			out.line("no snapshots yet")
		}
		l.printJournal(out)
		return
	}
	l.table(out, []string{"NAME", "PLACE", "AGE", "SIZE", "DATABASE", "REVISION", "KEYS", columnCluster, columnForm, "ETCD"}, lines)
	l.choices(out)
	l.printJournal(out)
}

// choices prints the versions between which a person must choose.
func (l *listing) choices(out *printer) {
	for _, r := range l.Snapshots {
		for _, v := range r.Versions {
			out.line("%s: --s3-version-id %s stored %s, %s", r.Name, v.ID, v.Modified.UTC().Format(time.RFC3339), size(v.Size))
		}
	}
}

// listPlaces lists those that --from names, the local one first, and the journal too if it is wanted. Each is the caller's to close. If one of two fails, the other one and
// that failure are returned; if nothing could be listed, the error is.
func listPlaces(ctx context.Context, c *call, journal bool) ([]source.Listing, []*source.PlaceError, error) {
	local, inBucket, err := config.ReadPlaces(c.Context, c.cfg.S3 != nil)
	if err != nil {
		return nil, nil, err
	}
	dir, bucket := c.cfg.Store.Dir, c.cfg.S3
	if !local {
		dir = ""
	}
	if !inBucket {
		bucket = nil
	}
	all, failed := source.Places{Dir: dir, Bucket: bucket, Journal: journal}.List(ctx)
	if len(all) > 0 {
		return all, failed, nil
	}
	return nil, nil, c.noPlace(failed)
}
