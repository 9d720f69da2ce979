package command

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"unicode/utf8"

	"github.com/urfave/cli/v2"

	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/snapshot/browse"
)

func lsCommand(e env) *cli.Command {
	return &cli.Command{
		Name: "ls", Usage: "show the keys in a snapshot that begin with a prefix; without one, how many there are of each resource",
		ArgsUsage: "[PREFIX]   such as /registry/configmaps/",
		Flags: slices.Concat([]cli.Flag{
			config.Bool("snapshot", "deleted", "show the keys that were deleted, as far back as the snapshot retains revisions"),
			config.FormatFlag("table or json"),
		}, config.LookFlags(), config.CertificateFlags()),
		Action: e.action(1, ls),
	}
}

// contents is what ls shows with --output json: one of the three lists.
type contents struct {
	Snapshot  string        `json:"snapshot"`
	Revision  int64         `json:"revision"`
	Retained  browse.Range  `json:"retained"`
	Resources []resourceRow `json:"resources,omitzero"`
	Keys      []keyRow      `json:"keys,omitzero"`
	Deleted   []deletedRow  `json:"deleted,omitzero"`
}

// keyRow is one key.
type keyRow struct {
	Key      string `json:"key"`
	Size     int    `json:"size"` // of the value, bytes
	Created  int64  `json:"create_revision"`
	Modified int64  `json:"mod_revision"`
	Version  int64  `json:"version"`
	Lease    int64  `json:"lease,omitempty"`
}

func newKeyRow(kv browse.KeyValue) keyRow {
	return keyRow{Key: shownKey(kv.Key), Size: len(kv.Value), Created: kv.Created, Modified: kv.Modified, Version: kv.Version, Lease: kv.Lease}
}

// deletedRow is a key that was deleted.
type deletedRow struct {
	Key     string `json:"key"`
	Deleted int64  `json:"deleted_revision"`
	Last    int64  `json:"last_revision,omitempty"` // where get finds its last value; 0: that was compacted
	Size    int    `json:"size,omitempty"`
}

// resourceRow is one group of keys.
type resourceRow struct {
	Resource string `json:"resource,omitempty"` // of Kubernetes, as kubectl takes it
	Prefix   string `json:"prefix"`
	Keys     int    `json:"keys"`
	Size     int64  `json:"size"` // of all values, bytes
}

func ls(ctx context.Context, c *call) error {
	revision, err := config.ReadRevision(c.Context)
	if err != nil {
		return err
	}
	prefix, err := readKey(c.Args().First())
	if err != nil {
		return err
	}
	d, err := c.look(ctx)
	if err != nil {
		return err
	}
	defer d.Close()
	out := contents{Snapshot: c.found.Name, Retained: d.Retained()}
	list := d.List
	if c.Bool("deleted") {
		list = d.Deleted
	}
	l, err := list(ctx, prefix, revision)
	if err != nil {
		return err
	}
	out.Revision = l.Revision()
	switch {
	case c.Bool("deleted"):
		err = out.addDeleted(ctx, c, l)
	case c.NArg() == 0:
		err = out.addResources(ctx, c, d, l)
	default:
		err = out.addKeys(ctx, c, l)
	}
	if err == nil && l.Len() == 0 {
		c.note("%s", out.nothing(c))
	}
	return err
}

func (o *contents) nothing(c *call) string {
	what := "no key"
	if c.Bool("deleted") {
		what = "no deleted key"
	}
	if c.NArg() > 0 {
		what += fmt.Sprintf(" that begins with %s", c.Args().First())
	}
	return fmt.Sprintf("%s has %s at revision %d", o.Snapshot, what, o.Revision)
}

func (o *contents) addKeys(ctx context.Context, c *call, l *browse.List) error {
	if c.asJSON {
		o.Keys = make([]keyRow, 0, l.Len())
		err := l.Each(ctx, func(kv browse.KeyValue) error {
			o.Keys = append(o.Keys, newKeyRow(kv))
			return nil
		})
		if err != nil {
			return err
		}
	}
	number := len(fmt.Sprint(o.Revision))
	return c.showRows(o, l, []column{{"KEY", widest(l)}, {"REVISION", number}, {"VERSION", number}, {"SIZE", 0}}, func(row func(...string) error) error {
		return l.Each(ctx, func(kv browse.KeyValue) error {
			return row(shownKey(kv.Key), fmt.Sprint(kv.Modified), fmt.Sprint(kv.Version), size(int64(len(kv.Value))))
		})
	})
}

func (o *contents) addDeleted(ctx context.Context, c *call, l *browse.List) error {
	if c.asJSON {
		o.Deleted = make([]deletedRow, 0, l.Len())
		err := l.EachDeletion(ctx, func(d browse.Deletion) error {
			r := deletedRow{Key: shownKey(d.Key), Deleted: d.Revision, Size: len(d.Last.Value)}
			if d.Last.Key != nil {
				r.Last = d.Revision - 1
			}
			o.Deleted = append(o.Deleted, r)
			return nil
		})
		if err != nil {
			return err
		}
	}
	number := len(fmt.Sprint(o.Revision))
	get, with := column{"GET --revision", number}, func(revision int64) string { return fmt.Sprint(revision) }
	if c.at != nil { // --revision is of another snapshot then
		get, with = column{"GET", len(c.showing(o.Revision))}, c.showing
	}
	return c.showRows(o, l, []column{{"KEY", widest(l)}, {"DELETED", number}, get, {"SIZE", 0}}, func(row func(...string) error) error {
		return l.EachDeletion(ctx, func(d browse.Deletion) error {
			if d.Last.Key == nil {
				return row(shownKey(d.Key), fmt.Sprint(d.Revision), "compacted", "-")
			}
			return row(shownKey(d.Key), fmt.Sprint(d.Revision), with(d.Revision-1), size(int64(len(d.Last.Value))))
		})
	})
}

// addResources counts by the resource of Kubernetes, and other keys by their first part.
func (o *contents) addResources(ctx context.Context, c *call, d *browse.DB, l *browse.List) error {
	known, err := newObjects(ctx, d, l, nil)
	if err != nil {
		return err
	}
	g := newGroups(known)
	if err := l.Each(ctx, func(kv browse.KeyValue) error {
		g.add(kv.Key, len(kv.Value))
		return nil
	}); err != nil {
		return err
	}
	o.Resources = g.rows()
	if l.Len() == 0 && !c.asJSON {
		return nil
	}
	return c.show(o, func(p *printer) {
		head := []string{"PREFIX", "KEYS", "SIZE"}
		if known.isKubernetes() {
			head = append([]string{"RESOURCE"}, head...)
		}
		var lines [][]string
		for _, r := range o.Resources {
			line := []string{cmp.Or(r.Resource, "-"), r.Prefix, fmt.Sprint(r.Keys), size(r.Size)}
			lines = append(lines, line[len(line)-len(head):])
		}
		p.table(head, lines)
	})
}

// showRows prints a list as JSON, or as a table of any length.
func (c *call) showRows(v any, l *browse.List, columns []column, rows func(row func(...string) error) error) error {
	if !c.asJSON && l.Len() == 0 {
		return nil
	}
	return c.show(v, func(p *printer) { p.columns(columns, rows) })
}

// widest is the length of the longest key as it is shown.
func widest(l *browse.List) (width int) {
	for key := range l.Keys() {
		width = max(width, utf8.RuneCountInString(shownKey([]byte(key))))
	}
	return width
}
