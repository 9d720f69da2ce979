package command

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"slices"
	"unicode/utf8"

	"github.com/urfave/cli/v2"
	"golang.org/x/term"

	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/internal/printable"
	"etcd-rolling-backup/snapshot/browse"
)

const (
	getName    = "get"
	formatYAML = "yaml"
	formatRaw  = "raw"
)

func getCommand(e env) *cli.Command {
	return &cli.Command{
		Name: getName, Usage: "show one key in a snapshot, or one object of Kubernetes",
		ArgsUsage: "KEY | TYPE NAME   such as /registry/configmaps/default/web, or cm web -n default",
		Flags: slices.Concat([]cli.Flag{
			config.Bool("snapshot", "history", "show every revision of it that the snapshot retains"),
			config.NamespaceFlag(),
			config.Bool("objects", "show-secrets", "show the values of Secrets"),
			config.FormatFlag("yaml, json or raw (default: yaml for objects of Kubernetes, raw for others)"),
		}, config.LookFlags(), config.CertificateFlags()),
		Action: e.action(2, get),
	}
}

func get(ctx context.Context, c *call) error {
	revision, err := config.ReadRevision(c.Context)
	if err != nil {
		return err
	}
	if c.NArg() == 0 || c.Args().First() == "" {
		return config.Usagef("get needs a key, such as get /registry/configmaps/default/web: ls shows the keys")
	}
	key, err := readKey(c.Args().First())
	if err != nil {
		return err
	}
	d, err := c.look(ctx)
	if err != nil {
		return err
	}
	defer d.Close()
	if c.Bool("history") {
		return c.history(ctx, d, key)
	}
	kv, err := d.Get(ctx, key, revision)
	if errors.Is(err, browse.ErrNoKey) {
		return c.noKey(ctx, d, key, revision)
	}
	if err != nil {
		return err
	}
	return c.showValue(kv)
}

// value is what get shows of a key with --output json.
type value struct {
	keyRow
	Value  *string `json:"value,omitempty"` // a text
	Base64 string  `json:"value_base64,omitempty"`
}

func newValue(kv browse.KeyValue) value {
	v := value{keyRow: newKeyRow(kv)}
	if text := string(kv.Value); utf8.Valid(kv.Value) {
		v.Value = &text
	} else {
		v.Base64 = base64.StdEncoding.EncodeToString(kv.Value)
	}
	return v
}

// showValue prints a value that is no object.
func (c *call) showValue(kv browse.KeyValue) error {
	if c.asJSON {
		return c.show(newValue(kv), nil)
	}
	if err := c.raw(kv.Value); err != nil {
		return err
	}
	if c.String("output") == formatYAML {
		return partialError{fmt.Errorf("%s is not an object of Kubernetes: its value is shown as it is", shownKey(kv.Key))}
	}
	return nil
}

// raw writes the bytes as they are, or to a terminal so that they do no harm there.
func (c *call) raw(b []byte) error {
	if f, ok := c.stdout.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		_, err := fmt.Fprintln(printable.Writer(c.stdout), string(b))
		return err
	}
	_, err := c.stdout.Write(b)
	return err
}

// revisionRow is one revision of a key.
type revisionRow struct {
	Revision int64 `json:"revision"`
	Deleted  bool  `json:"deleted"`
	value
}

// history shows every revision of one key.
func (c *call) history(ctx context.Context, d *browse.DB, key []byte) error {
	type revisions struct {
		Snapshot  string        `json:"snapshot"`
		Retained  browse.Range  `json:"retained"`
		Revisions []revisionRow `json:"revisions"`
	}
	out := revisions{Snapshot: c.found.Name, Retained: d.Retained()}
	found := false
	each := func(visit func(browse.Change) error) error {
		return d.History(ctx, key, func(x browse.Change) error {
			found = true
			return visit(x)
		})
	}
	if c.asJSON {
		if err := each(func(x browse.Change) error {
			r := revisionRow{Revision: x.Revision, Deleted: x.Deleted, value: newValue(x.KeyValue)}
			if x.Deleted {
				r.value = value{keyRow: r.keyRow}
			}
			out.Revisions = append(out.Revisions, r)
			return nil
		}); err != nil {
			return err
		}
	}
	number := len(fmt.Sprint(out.Retained.Newest))
	columns := []column{{"REVISION", number}, {"VERSION", number}, {"CHANGE", 0}, {"SIZE", len("1023.9 KiB")}, {"LEASE", 0}}
	err := c.show(out, func(p *printer) {
		p.columns(columns, func(row func(...string) error) error {
			return each(func(x browse.Change) error { return row(historyCells(x)...) })
		})
	})
	if err == nil && !found {
		return c.noKey(ctx, d, key, 0)
	}
	return err
}

func historyCells(x browse.Change) []string {
	switch {
	case x.Deleted:
		return []string{fmt.Sprint(x.Revision), "-", "deleted", "-", "-"}
	case x.Version == 1:
		return []string{fmt.Sprint(x.Revision), "1", "created", size(int64(len(x.Value))), lease(x.Lease)}
	}
	return []string{fmt.Sprint(x.Revision), fmt.Sprint(x.Version), "changed", size(int64(len(x.Value))), lease(x.Lease)}
}

// lease is written as etcdctl does.
func lease(id int64) string {
	if id == 0 {
		return "-"
	}
	return fmt.Sprintf("%016x", id)
}
