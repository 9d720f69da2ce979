package command

import (
	"bytes"
	"maps"
	"slices"
)

// groups counts keys by what they begin with. Keys come in any number, groups are few.
type groups struct {
	objects *objects
	counts  map[string]*resourceRow
}

func newGroups(o *objects) *groups { return &groups{o, map[string]*resourceRow{}} }

func (g *groups) add(key []byte, size int) {
	group, resource := groupOf(key), ""
	if k, ok := g.objects.parse(key); ok {
		resource = k.ResourceName()
		rest := len(k.Name)
		if k.Namespace != "" {
			rest += len(k.Namespace) + 1
		}
		group = key[:len(key)-rest]
	}
	r := g.counts[string(group)]
	if r == nil {
		r = &resourceRow{Resource: resource, Prefix: shownKey(group)}
		g.counts[string(group)] = r
	}
	r.Keys++
	r.Size += int64(size)
}

func (g *groups) rows() []resourceRow {
	var rows []resourceRow
	for _, group := range slices.Sorted(maps.Keys(g.counts)) {
		rows = append(rows, *g.counts[group])
	}
	return rows
}

// groupOf is the first part of a key that names no object, with the slash after it; keys without a slash are one group.
func groupOf(key []byte) []byte {
	parts := 1
	if len(key) > 0 && key[0] == '/' {
		parts = 2
	}
	end := 0
	for range parts {
		i := bytes.IndexByte(key[end:], '/')
		if i < 0 {
			return key[:end]
		}
		end += i + 1
	}
	return key[:end]
}
