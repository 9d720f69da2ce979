package kube

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"

	"google.golang.org/protobuf/encoding/protowire"
)

// deepest is how deeply messages may contain each other. Schemas of custom resources are the only ones that contain themselves.
const deepest = 500

// message decodes protobuf as Kubernetes' own code does into Go types, and returns what encoding/json makes of these.
type message struct {
	types   *types
	unknown []string // fields that the table does not have
	depth   int
}

// decoded is a value with what the options in JSON tags ask of it.
type decoded struct {
	json        any
	empty, zero bool // as omitempty and omitzero mean it
}

// structInto adds a struct's fields to a JSON object, and reports whether all are zero.
func (m *message) structInto(object map[string]any, ref int, data []byte, path string) (zero bool, err error) {
	if m.depth++; m.depth > deepest {
		return false, &DamagedError{Field: path, Err: fmt.Errorf("more than %d messages in each other", deepest)}
	}
	defer func() { m.depth-- }()
	fields := m.types.structs[ref]
	wire, err := split(data, func(number protowire.Number) bool { return fields.has(number) })
	if err != nil {
		return false, &DamagedError{Field: path, Err: err}
	}
	m.note(path, wire.unknown)
	zero = true
	for i := range fields {
		f := &fields[i]
		all := wire.byNumber[f.number]
		if f.inline {
			inlinedZero, err := m.inlined(object, f, all, path)
			if err != nil {
				return false, err
			}
			zero = zero && inlinedZero
			continue
		}
		value, err := m.field(f, all, join(path, f.name))
		if err != nil {
			return false, err
		}
		zero = zero && value.zero
		if f.omitEmpty && value.empty || f.omitZero && value.zero {
			continue
		}
		object[f.name] = value.json
	}
	return zero, nil
}

// inlined adds the fields of an embedded struct. Those of an absent pointer are not there.
func (m *message) inlined(object map[string]any, f *field, all []occurrence, path string) (zero bool, err error) {
	if f.modifier == '*' && len(all) == 0 {
		return true, nil
	}
	if err := demand(all, protowire.BytesType); err != nil {
		return false, &DamagedError{Field: join(path, f.name), Err: err}
	}
	zero, err = m.structInto(object, f.typ.ref, joined(all), path)
	return zero && f.modifier == 0, err
}

func (m *message) field(f *field, all []occurrence, path string) (decoded, error) {
	switch f.modifier {
	case '[':
		return m.list(f.typ, all, path)
	case '{':
		return m.mapping(f.typ, all, path)
	case '*':
		if len(all) == 0 {
			return decoded{empty: true, zero: true}, nil
		}
		value, err := m.value(f.typ, all, path)
		return decoded{json: value.json}, err
	}
	return m.value(f.typ, all, path)
}

func (m *message) list(typ fieldType, all []occurrence, path string) (decoded, error) {
	var list []any
	for _, one := range all {
		elements, err := unpacked(typ, one)
		if err != nil {
			return decoded{}, &DamagedError{Field: path, Err: err}
		}
		for _, element := range elements {
			value, err := m.value(typ, []occurrence{element}, path+"["+strconv.Itoa(len(list))+"]")
			if err != nil {
				return decoded{}, err
			}
			list = append(list, value.json)
		}
	}
	if list == nil {
		return decoded{empty: true, zero: true}, nil
	}
	return decoded{json: list}, nil
}

// unpacked returns the elements of a list of numbers, which may be one after the other in one field.
func unpacked(typ fieldType, one occurrence) ([]occurrence, error) {
	wire := wireOf(typ)
	if wire == protowire.BytesType || one.wire != protowire.BytesType {
		return []occurrence{one}, nil
	}
	var elements []occurrence
	for data := one.bytes; len(data) > 0; {
		element, n := consume(data, wire)
		if n < 0 {
			return nil, protowire.ParseError(n)
		}
		elements, data = append(elements, element), data[n:]
	}
	return elements, nil
}

func (m *message) mapping(typ fieldType, all []occurrence, path string) (decoded, error) {
	if len(all) == 0 {
		return decoded{empty: true, zero: true}, nil
	}
	if err := demand(all, protowire.BytesType); err != nil {
		return decoded{}, &DamagedError{Field: path, Err: err}
	}
	object := map[string]any{}
	for _, one := range all {
		const key, value = 1, 2
		entry, err := splitFields(one.bytes, value)
		if err != nil {
			return decoded{}, &DamagedError{Field: path, Err: err}
		}
		name := jsonText([]byte(entry.text(key)))
		m.note(join(path, name), entry.unknown)
		last := entry.byNumber[value]
		if len(last) == 0 && wireOf(typ) == protowire.BytesType {
			last = []occurrence{{wire: protowire.BytesType, bytes: []byte{}}} // an empty list of bytes, and not none
		}
		decoded, err := m.value(typ, last[max(len(last)-1, 0):], join(path, name))
		if err != nil {
			return decoded, err
		}
		if typ.letter == typeStrings && decoded.json == nil {
			decoded.json = []any{} // in a map, an empty list and not none
		}
		object[name] = decoded.json
	}
	return decoded{json: object}, nil
}

// value decodes a value that is not in a list, map or pointer. Without an occurrence it is the zero value.
func (m *message) value(typ fieldType, all []occurrence, path string) (decoded, error) {
	if err := demand(all, wireOf(typ)); err != nil {
		return decoded{}, &DamagedError{Field: path, Err: err}
	}
	var last occurrence
	if len(all) > 0 {
		last = all[len(all)-1]
	}
	number := func(text string) (decoded, error) {
		return decoded{json: json.Number(text), empty: last.number == 0, zero: last.number == 0}, nil
	}
	switch typ.letter {
	case typeString:
		return decoded{json: jsonText(last.bytes), empty: len(last.bytes) == 0, zero: len(last.bytes) == 0}, nil
	case typeBool:
		return decoded{json: last.number != 0, empty: last.number == 0, zero: last.number == 0}, nil
	case typeInt32:
		return number(strconv.FormatInt(int64(int32(last.number)), 10)) //nolint:gosec // as Kubernetes reads it
	case typeInt64:
		return number(strconv.FormatInt(int64(last.number), 10)) //nolint:gosec // as Kubernetes reads it
	case typeFloat:
		text, err := json.Marshal(math.Float64frombits(last.number))
		if err != nil {
			return decoded{}, &DamagedError{Field: path, Err: err}
		}
		return number(string(text))
	case typeBytes:
		if len(all) == 0 {
			return decoded{empty: true, zero: true}, nil
		}
		return decoded{json: base64Text(last.bytes), empty: len(last.bytes) == 0}, nil
	case typeStruct:
		object := map[string]any{}
		zero, err := m.structInto(object, typ.ref, joined(all), path)
		return decoded{json: object, zero: zero}, err
	}
	return m.special(typ, all, path)
}

// note keeps the fields that the table does not have.
func (m *message) note(path string, numbers []protowire.Number) {
	for _, number := range numbers {
		m.unknown = append(m.unknown, join(path, fmt.Sprintf("<field %d>", number)))
	}
}

func (s structType) has(number protowire.Number) bool {
	for i := range s {
		if s[i].number == number {
			return true
		}
	}
	return false
}

func wireOf(typ fieldType) protowire.Type {
	switch typ.letter {
	case typeBool, typeInt32, typeInt64:
		return protowire.VarintType
	case typeFloat:
		return protowire.Fixed64Type
	default:
		return protowire.BytesType
	}
}

func demand(all []occurrence, wire protowire.Type) error {
	for _, one := range all {
		if one.wire != wire {
			return errors.New("encoded as another type than Kubernetes has for it")
		}
	}
	return nil
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}
