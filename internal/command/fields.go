package command

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"unicode/utf8"
)

// fieldChange is a field that differs. Old and New are as they are shown: JSON, or (none).
type fieldChange struct {
	Path string `json:"path"`
	Old  string `json:"old"`
	New  string `json:"new"`
}

const (
	noField      = "(none)"
	longestShown = 120 // characters of a value
)

// fieldChanges compares two values: field by field if both are JSON.
func fieldChanges(before, after []byte) []fieldChange {
	old, okOld := decodeJSON(before)
	current, okNew := decodeJSON(after)
	if okOld && okNew {
		return compareFields(old, current)
	}
	return []fieldChange{{"value", shownBytes(before), shownBytes(after)}}
}

// decodeJSON reads an object or a list.
func decodeJSON(b []byte) (v any, ok bool) {
	b = bytes.TrimSpace(b)
	if len(b) == 0 || b[0] != '{' && b[0] != '[' {
		return nil, false
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	return v, d.Decode(&v) == nil && !d.More()
}

func shownBytes(b []byte) string {
	if !utf8.Valid(b) {
		return fmt.Sprintf("(%d bytes)", len(b))
	}
	return short(strconv.Quote(string(b)))
}

// compareFields returns the fields that differ, in the order of their paths.
func compareFields(before, after any) (all []fieldChange) {
	compareAt("", before, after, func(f fieldChange) { all = append(all, f) })
	return all
}

func compareAt(path string, before, after any, found func(fieldChange)) {
	switch old := before.(type) {
	case map[string]any:
		if current, ok := after.(map[string]any); ok {
			compareMaps(path, old, current, found)
			return
		}
	case []any:
		if current, ok := after.([]any); ok {
			compareLists(path, old, current, found)
			return
		}
	}
	if !reflect.DeepEqual(before, after) {
		found(fieldChange{path, shownField(before), shownField(after)})
	}
}

// absent is in place of a field that is not there; null is another value.
type absent struct{}

func compareMaps(path string, before, after map[string]any, found func(fieldChange)) {
	names := slices.Concat(slices.Collect(maps.Keys(before)), slices.Collect(maps.Keys(after)))
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		compareAt(join(path, name), valueOf(before, name), valueOf(after, name), found)
	}
}

func valueOf(m map[string]any, name string) any {
	if v, ok := m[name]; ok {
		return v
	}
	return absent{}
}

// compareLists compares the elements of the same name, as Kubernetes does in most lists, or otherwise at the same place. The order counts
// too: init containers run in it, and a variable of the environment can use those before it.
func compareLists(path string, before, after []any, found func(fieldChange)) {
	old, okOld := byName(before)
	current, okNew := byName(after)
	if okOld && okNew {
		names := slices.Concat(slices.Collect(maps.Keys(old)), slices.Collect(maps.Keys(current)))
		slices.Sort(names)
		for _, name := range slices.Compact(names) {
			compareAt(path+"["+name+"]", valueOf(old, name), valueOf(current, name), found)
		}
		a, b := namesIn(before, current), namesIn(after, old)
		if !slices.Equal(a, b) {
			found(fieldChange{path + "[*].name", shownField(a), shownField(b)})
		}
		return
	}
	for i := range max(len(before), len(after)) {
		var a, b any = absent{}, absent{}
		if i < len(before) {
			a = before[i]
		}
		if i < len(after) {
			b = after[i]
		}
		compareAt(fmt.Sprintf("%s[%d]", path, i), a, b, found)
	}
}

// byName returns the elements by their field name; false: they do not all have one of their own.
func byName(list []any) (map[string]any, bool) {
	named := map[string]any{}
	for _, x := range list {
		m, _ := x.(map[string]any)
		name, ok := m["name"].(string)
		if _, twice := named[name]; !ok || twice {
			return nil, false
		}
		named[name] = x
	}
	return named, true
}

// namesIn returns, in their order, the names of those elements whose name the other list has too.
func namesIn(list []any, other map[string]any) (names []string) {
	for _, x := range list {
		m, _ := x.(map[string]any)
		if name, _ := m["name"].(string); other[name] != nil {
			names = append(names, name)
		}
	}
	return names
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

func shownField(v any) string {
	if _, none := v.(absent); none {
		return noField
	}
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return short(string(text))
}

func short(s string) string {
	if r := []rune(s); len(r) > longestShown {
		return string(r[:longestShown]) + "…"
	}
	return s
}
