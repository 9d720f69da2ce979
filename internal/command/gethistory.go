package command

import (
	"context"
	"fmt"

	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/snapshot/browse"
)

// revisions is what get shows with --history --output json.
type revisions struct {
	Snapshot  string        `json:"snapshot"`
	Key       string        `json:"key"`
	Retained  browse.Range  `json:"retained"`
	Revisions []revisionRow `json:"revisions"`
}

// revisionRow is one revision of a key.
type revisionRow struct {
	Revision int64          `json:"revision"`
	Deleted  bool           `json:"deleted"`
	Version  int64          `json:"version,omitempty"`
	Size     int            `json:"size,omitempty"` // of the value, bytes
	Lease    int64          `json:"lease,omitempty"`
	Object   map[string]any `json:"object,omitempty"` // of Kubernetes; otherwise the value
	Value    *string        `json:"value,omitempty"`
	Base64   string         `json:"value_base64,omitempty"`
}

// history shows every revision of one key.
func (g *getting) history(ctx context.Context, key []byte) (found bool, err error) {
	if format := g.String("output"); format == formatYAML || format == formatRaw {
		return false, config.Usagef("--history: use -o table or json, and get --revision N -o %s for one of them", format)
	}
	all := revisions{Snapshot: g.found.Name, Key: shownKey(key), Retained: g.db.Retained()}
	var lines [][]string
	err = g.db.History(ctx, key, func(x browse.Change) error {
		if g.asJSON {
			all.Revisions = append(all.Revisions, g.revision(x))
		} else {
			lines = append(lines, historyCells(x))
		}
		found = true
		return nil
	})
	if err != nil || !found {
		return found, err
	}
	return true, g.call.show(all, func(p *printer) { p.table([]string{"REVISION", "VERSION", "CHANGE", "SIZE", "LEASE"}, lines) })
}

func (g *getting) revision(x browse.Change) revisionRow {
	r := revisionRow{Revision: x.Revision, Deleted: x.Deleted, Version: x.Version, Size: len(x.Value), Lease: x.Lease}
	if x.Deleted {
		return r
	}
	if r.Object, _ = g.fields(x.KeyValue); r.Object == nil && !g.hides(x.Key) { // get of that revision says why
		v := newValue(x.KeyValue)
		r.Value, r.Base64 = v.Value, v.Base64
	}
	return r
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
