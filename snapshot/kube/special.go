package kube

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
)

// What metav1.Time and metav1.MicroTime write.
const (
	timeLayout      = "2006-01-02T15:04:05Z07:00"
	microTimeLayout = "2006-01-02T15:04:05.000000Z07:00"
)

// wiresOf has the encoding of each field, from number 1, of a type that writes its JSON itself: v is a number, b are bytes.
func wiresOf(letter byte) string {
	switch letter {
	case typeTime, typeMicroTime: // seconds, nanoseconds
		return "vv"
	case typeDuration: // nanoseconds
		return "v"
	case typeIntOrString: // which, number, text
		return "vvb"
	case typeSchemaOrBool: // allows, schema
		return "vb"
	case typeSchemaOrArray, typeSchemaOrStrings: // schema, the others
		return "bb"
	case typeQuantity, typeRawExtension, typeFieldsV1, typeJSON, typeStrings:
		return "b"
	}
	return ""
}

// special decodes a type that writes its JSON itself.
func (m *message) special(typ fieldType, all []occurrence, path string) (decoded, error) {
	if typ.letter == typeTime || typ.letter == typeMicroTime {
		all = all[max(len(all)-1, 0):] // each replaces the one before; the others merge
	}
	data := joined(all)
	wires := wiresOf(typ.letter)
	fields, err := splitFields(data, protowire.Number(len(wires))) //nolint:gosec // at most 3
	number := protowire.Number(0)
	for _, letter := range wires {
		wire := protowire.VarintType
		if letter == 'b' {
			wire = protowire.BytesType
		}
		number++
		err = errors.Join(err, demand(fields.byNumber[number], wire))
	}
	if err != nil {
		return decoded{}, &DamagedError{Field: path, Err: err}
	}
	m.note(path, fields.unknown)
	value := decoded{zero: len(data) == 0}
	switch typ.letter {
	case typeTime, typeMicroTime:
		if at := timeOf(typ.letter, fields); len(data) == 0 || at.IsZero() {
			value.zero = true
		} else {
			value.json = at.Format(map[byte]string{typeTime: timeLayout, typeMicroTime: microTimeLayout}[typ.letter])
		}
	case typeDuration:
		value.json = time.Duration(fields.integer(1)).String()
	case typeQuantity:
		value.json, err = quantity(fields)
	case typeIntOrString:
		value.json, err = intOrString(fields)
	case typeRawExtension, typeFieldsV1, typeJSON:
		value.json, err = embedded(fields)
	case typeStrings:
		for _, one := range fields.byNumber[1] {
			list, _ := value.json.([]any)
			value.json = append(list, jsonText(one.bytes))
		}
		value.empty = value.json == nil
	default:
		value.json, err = m.schemaOr(typ, fields, path)
	}
	if damaged := (*DamagedError)(nil); err != nil && !errors.As(err, &damaged) {
		err = &DamagedError{Field: path, Err: err}
	}
	return value, err
}

func (f wireFields) integer(number protowire.Number) int64 {
	one := f.last(number)
	return int64(one.number) //nolint:gosec // as protobuf has negative numbers
}

func timeOf(letter byte, fields wireFields) time.Time {
	var nanoseconds int64
	if letter == typeMicroTime {
		nanoseconds = int64(time.Duration(int32(fields.integer(2))).Truncate(time.Microsecond)) //nolint:gosec // as Kubernetes reads it
	}
	return time.Unix(fields.integer(1), nanoseconds).UTC()
}

func intOrString(fields wireFields) (any, error) {
	switch which := fields.integer(1); which {
	case 0:
		return json.Number(strconv.FormatInt(int64(int32(fields.integer(2))), 10)), nil //nolint:gosec // as Kubernetes reads it
	case 1:
		return jsonText([]byte(fields.text(3))), nil
	default:
		return nil, fmt.Errorf("neither a number nor a string, but type %d", which)
	}
}

// embedded reads JSON in protobuf.
func embedded(fields wireFields) (any, error) {
	one := fields.last(1)
	if len(one.bytes) == 0 {
		return nil, nil
	}
	if EncodingOf(one.bytes) == CBOR {
		return nil, ErrCBOR
	}
	return ParseJSON(one.bytes)
}

// schemaOr reads the places of a schema where something simpler may be: a bool, several schemas, or names.
func (m *message) schemaOr(typ fieldType, fields wireFields, path string) (any, error) {
	schemaNumber := protowire.Number(1)
	if typ.letter == typeSchemaOrBool {
		schemaNumber = 2
	}
	schema := func(all []occurrence, path string) (any, error) {
		object := map[string]any{}
		_, err := m.structInto(object, typ.ref, joined(all), path)
		return object, err
	}
	others := fields.byNumber[2]
	if typ.letter != typeSchemaOrBool && len(others) > 0 {
		list := make([]any, len(others))
		for i, one := range others {
			if typ.letter == typeSchemaOrStrings {
				list[i] = jsonText(one.bytes)
				continue
			}
			element, err := schema([]occurrence{one}, fmt.Sprintf("%s[%d]", path, i))
			if err != nil {
				return nil, err
			}
			list[i] = element
		}
		return list, nil
	}
	if all := fields.byNumber[schemaNumber]; len(all) > 0 {
		return schema(all, path)
	}
	if typ.letter == typeSchemaOrBool {
		return fields.integer(1) != 0, nil
	}
	return nil, nil
}

// jsonText is a string as JSON has it: bytes that are no UTF-8 become the replacement character, one each.
func jsonText(data []byte) string {
	if utf8.Valid(data) {
		return string(data)
	}
	return string([]rune(string(data)))
}

func base64Text(data []byte) string { return base64.StdEncoding.EncodeToString(data) }
