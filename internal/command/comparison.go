package command

import (
	"strings"

	"etcd-rolling-backup/snapshot/browse"
)

// comparison decides what diff shows of each key that differs.
type comparison struct {
	differences
	objects *objects
	all     bool // also what is skipped by default
}

// What happened to a key.
const (
	keyAdded   = "added"
	keyDeleted = "deleted"
	keyChanged = "changed"
)

// see counts a difference; false: it is not shown.
func (o *comparison) see(before, after *browse.KeyValue) (difference, bool) {
	d := difference{Change: keyChanged}
	key := after
	switch {
	case after == nil:
		d.Change, key = keyDeleted, before
	case before == nil:
		d.Change = keyAdded
	}
	if events, leases := o.objects.isNoise(key.Key); (events || leases) && !o.all {
		if events {
			o.Skipped.Events++
		} else {
			o.Skipped.Leases++
		}
		return d, false
	}
	d.Key = shownKey(key.Key)
	switch d.Change {
	case keyAdded:
		o.Added++
	case keyDeleted:
		o.Deleted++
	case keyChanged:
		if d.Fields = o.fields(before, after); len(d.Fields) == 0 {
			o.Skipped.Status++
			return d, false
		}
		o.Changed++
	}
	return d, true
}

// fields returns what differs in the value of a key; none: only what is not shown.
func (o *comparison) fields(before, after *browse.KeyValue) []fieldChange {
	var all []fieldChange
	secret := o.objects.isSecret(after.Key)
	old, current := o.decode(before), o.decode(after)
	switch {
	case old != nil && current != nil:
		all = compareFields(old, current)
	case secret:
		return []fieldChange{{"value", hiddenValue, hiddenValue}}
	default:
		all = fieldChanges(before.Value, after.Value)
		if len(all) == 0 { // the same JSON, written in another way
			all = []fieldChange{{"value", shownBytes(before.Value), shownBytes(after.Value)}}
		}
	}
	for i := range all {
		if f := &all[i]; secret && !strings.HasPrefix(f.Path, "metadata.labels") {
			f.Old, f.New = hidden(f.Old), hidden(f.New)
		}
	}
	return all
}

func hidden(value string) string {
	if value == noField {
		return value
	}
	return hiddenValue
}

// decode returns the fields of an object that count; nil: it is none, or can't be decoded.
func (o *comparison) decode(kv *browse.KeyValue) map[string]any {
	if !o.objects.isKubernetes() {
		return nil
	}
	x, err := o.objects.decoder.Decode(string(kv.Key), kv.Value)
	if err != nil {
		return nil // what is unknown in it may be what differs
	}
	if !o.all {
		withoutNoise(x.Fields)
	}
	return x.Fields
}
