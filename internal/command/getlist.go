package command

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/dustin/go-humanize/english"

	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/internal/printable"
	"etcd-rolling-backup/snapshot/browse"
	"etcd-rolling-backup/snapshot/kube"
)

// objectList is one run of get that shows several objects.
type objectList struct {
	*getting
	selection *selection
	format    string
	seen      int
	hidden    bool
	lines     [][]string // of the table
	items     []any      // of the JSON list
	failed    []error    // one for each object that could not be shown
}

// list shows all objects that are meant: names and ages, documents of YAML, or a List as JSON, as kubectl does.
func (g *getting) list(ctx context.Context, wanted *selection, all *browse.List) error {
	x := &objectList{getting: g, selection: wanted, format: g.String("output")}
	if g.Bool("history") || x.format == formatRaw {
		return config.Usagef("--history and -o raw are for one object: give its type and name")
	}
	if err := all.Each(ctx, x.see); err != nil {
		return err
	}
	if x.seen == 0 && len(x.failed) == 0 {
		return nothing(wanted, g.found.Name, all.Revision())
	}
	if err := x.finish(); err != nil {
		return err
	}
	if x.hidden {
		g.note("the values of Secrets are hidden: --show-secrets shows them")
	}
	for _, err := range x.failed {
		g.note("not shown: %s", line(err))
	}
	if n := len(x.failed); n > 0 {
		return partialError{fmt.Errorf("not shown completely, because they could not be decoded: %s; the lines above name them", english.Plural(n, "object", ""))}
	}
	return wanted.complete(g.found.Name)
}

// nothing is the error if there is no object at all.
func nothing(wanted *selection, name string, revision int64) error {
	where, more := "", ""
	namespaced := slices.ContainsFunc(wanted.items, func(i item) bool { return i.resource.Scope != kube.Cluster })
	if namespaced && wanted.namespace != "" {
		where, more = " in namespace "+wanted.namespace, " (-A: all namespaces)"
	}
	return fmt.Errorf("%s has no %s%s at revision %d%s: ls shows what there is", name, wanted.words(), where, revision, more)
}

func (x *objectList) see(kv browse.KeyValue) error {
	key, ok := x.objects.parse(kv.Key)
	if !ok || !x.selection.names(key) {
		return nil
	}
	names := x.format != formatYAML && !x.asJSON
	fields, err := x.fields(kv)
	switch {
	case fields == nil && (!names || len(x.selection.labels) > 0):
		x.failed = append(x.failed, fmt.Errorf("%s: %w", shownKey(kv.Key), err))
		return nil
	case !x.selection.labels.match(fields):
		return nil
	}
	x.seen++
	if names {
		x.lines = append(x.lines, x.row(key, fields))
		return nil
	}
	x.hidden = x.hidden || x.hides(kv.Key)
	if err != nil {
		x.failed = append(x.failed, fmt.Errorf("some fields of %s: %w", shownKey(kv.Key), err))
	}
	if x.asJSON {
		x.items = append(x.items, fields)
		return nil
	}
	text, err := kube.MarshalYAML(fields)
	if err != nil {
		return err
	}
	return x.write(append([]byte("---\n"), text...))
}

// row is a line of the table: the namespace if all are meant, the name, with its type if several are meant, and the age.
func (x *objectList) row(key kube.Key, fields map[string]any) (cells []string) {
	if x.selection.namespace == "" {
		cells = []string{key.Namespace}
	}
	name := key.Name
	if x.selection.severalTypes() {
		name = key.ResourceName() + "/" + name
	}
	since := "-"
	text, _ := kube.Field(fields, fieldMetadata, "creationTimestamp").(string)
	if created, err := time.Parse(time.RFC3339, text); err == nil {
		since = age(time.Now(), created)
	}
	return append(cells, name, since)
}

func (x *objectList) finish() error {
	switch {
	case x.asJSON:
		text, err := kube.MarshalJSON(map[string]any{"apiVersion": "v1", "kind": "List", "items": x.items}, true)
		if err != nil {
			return err
		}
		_, err = x.stdout.Write(printable.JSON(text))
		return err
	case x.format == formatYAML:
		return nil
	}
	head := []string{"NAME", "AGE"}
	if x.selection.namespace == "" {
		head = append([]string{"NAMESPACE"}, head...)
	}
	return x.call.show(nil, func(p *printer) { p.table(head, x.lines) })
}
