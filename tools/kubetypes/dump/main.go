// Dump prints, as JSON, the types that Kubernetes stores, as the tags of one version's Go types describe them: each field's number in
// protobuf, its name in JSON and its type. The merge of several versions is the table that the program decodes with.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"strconv"
	"strings"

	"etcd-rolling-backup/tools/kubetypes/describe"
	"etcd-rolling-backup/tools/kubetypes/kinds"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "dump:", err)
		os.Exit(1)
	}
}

func run() error {
	scheme, err := kinds.Scheme()
	if err != nil {
		return err
	}
	d := dump{Version: describe.Version{Structs: map[string][]describe.Field{}}}
	for _, kind := range kinds.All(scheme) {
		name, err := d.structType(kind.Type)
		if err != nil {
			return err
		}
		d.Kinds = append(d.Kinds, describe.Kind{APIVersion: kind.APIVersion, Kind: kind.Name, Struct: name})
	}
	return json.NewEncoder(os.Stdout).Encode(d.Version)
}

type dump struct{ describe.Version }

// structType adds a struct and all that it refers to, and returns its name.
func (d *dump) structType(t reflect.Type) (string, error) {
	name := t.PkgPath() + "." + t.Name()
	if _, done := d.Structs[name]; done {
		return name, nil
	}
	d.Structs[name] = nil // before its fields, for a type may contain itself
	var fields []describe.Field
	for i := range t.NumField() {
		field, ok, err := d.field(t.Field(i))
		if err != nil {
			return "", fmt.Errorf("%s.%s: %w", name, t.Field(i).Name, err)
		}
		if ok {
			fields = append(fields, field)
		}
	}
	d.Structs[name] = fields
	return name, nil
}

// field describes a field; false is one that is not in protobuf: TypeMeta, which the envelope has.
func (d *dump) field(f reflect.StructField) (describe.Field, bool, error) {
	protobuf, json := f.Tag.Get("protobuf"), f.Tag.Get("json")
	if protobuf == "" || protobuf == "-" {
		if f.Name == "TypeMeta" || json == "-" {
			return describe.Field{}, false, nil
		}
		return describe.Field{}, false, fmt.Errorf("no tag for protobuf")
	}
	wire := strings.Split(protobuf, ",")
	number, err := strconv.Atoi(wire[1])
	if err != nil {
		return describe.Field{}, false, fmt.Errorf("tag %q: %w", protobuf, err)
	}
	name, options, _ := strings.Cut(json, ",")
	if name == "-" {
		return describe.Field{}, false, fmt.Errorf("in protobuf and not in JSON")
	}
	field := describe.Field{Number: number, JSON: name}
	for option := range strings.SplitSeq(options, ",") {
		field.OmitEmpty = field.OmitEmpty || option == "omitempty"
		field.OmitZero = field.OmitZero || option == "omitzero"
	}
	if field.JSON == "" { // as encoding/json reads the tags
		if field.Inline = f.Anonymous; !f.Anonymous {
			field.JSON = f.Name
		}
	}
	field.Type, err = d.typeOf(f.Type)
	return field, true, err
}

// typeOf writes a type in the table's short form: a modifier for a pointer, list or map, a letter, and a struct's name where there is one.
func (d *dump) typeOf(t reflect.Type) (string, error) {
	modifier := ""
	if describe.Special(t) == "" {
		switch {
		case t.Kind() == reflect.Pointer:
			modifier, t = "*", t.Elem()
		case t.Kind() == reflect.Map:
			if t.Key().Kind() != reflect.String {
				return "", fmt.Errorf("map with keys of type %s", t.Key())
			}
			modifier, t = "{", t.Elem()
		case t.Kind() == reflect.Slice && t.Elem().Kind() != reflect.Uint8 && !isMessage(t):
			modifier, t = "[", t.Elem()
		}
	}
	letter, err := d.letter(t)
	return modifier + letter, err
}

func (d *dump) letter(t reflect.Type) (string, error) {
	if special := describe.Special(t); special != "" {
		if !strings.HasPrefix(t.Name(), "JSONSchemaPropsOr") {
			return special, nil
		}
		schema, _ := t.FieldByName("Schema")
		name, err := d.structType(schema.Type.Elem())
		return special + name, err
	}
	if describe.HasOwnJSON(t) {
		return "", fmt.Errorf("%s has a JSON of its own that nothing here knows", t)
	}
	switch t.Kind() {
	case reflect.String:
		return "s", nil
	case reflect.Bool:
		return "b", nil
	case reflect.Int32:
		return "i", nil // the tag's own name of the encoding is "bytes" for some, and what go-to-protobuf makes of them is a varint
	case reflect.Int64:
		return "l", nil
	case reflect.Float64:
		return "d", nil
	case reflect.Struct:
		name, err := d.structType(t)
		return "m" + name, err
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return "B", nil
		}
		if isMessage(t) && t.Elem().Kind() == reflect.String {
			return "V", nil
		}
	}
	return "", fmt.Errorf("unexpected type %s", t)
}

// isMessage reports a list that is a message of its own in protobuf, such as ExtraValue.
func isMessage(t reflect.Type) bool {
	_, ok := reflect.PointerTo(t).MethodByName("Unmarshal")
	return ok
}
