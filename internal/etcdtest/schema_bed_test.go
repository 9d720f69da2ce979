package etcdtest

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"testing"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
)

// schema has the fields of each message by their numbers, as Kubernetes declares them.
type schema map[string]map[protowire.Number]fieldType

// fieldType is the type of a field: a scalar's name or a message's. For a map it is the type of its values; the keys are strings.
type fieldType struct {
	name             string
	repeated, mapped bool
}

func readSchema(t *testing.T) schema {
	t.Helper()
	text, err := os.ReadFile("testdata/kubernetes.proto")
	if err != nil {
		t.Fatal(err)
	}
	message := regexp.MustCompile(`(?ms)^message (\w+) \{\n(.*?)^\}`)
	field := regexp.MustCompile(`(?m)^  (?:(optional|repeated) (\w+)|map<string, (\w+)>) \w+ = (\d+);$`)
	s := schema{}
	for _, m := range message.FindAllStringSubmatch(string(text), -1) {
		s[m[1]] = map[protowire.Number]fieldType{}
		for _, f := range field.FindAllStringSubmatch(m[2], -1) {
			number, err := strconv.Atoi(f[4])
			if err != nil {
				t.Fatal(err)
			}
			s[m[1]][protowire.Number(number)] = fieldType{name: f[2] + f[3], repeated: f[1] == "repeated", mapped: f[3] != ""}
		}
	}
	return s
}

// decode takes a message apart down to its scalars. It refuses what a decoder of Kubernetes refuses, and also what such a decoder
// skips: an unknown field, and a second value of a field that has one. It returns the fields with their last values.
func (s schema) decode(message string, data []byte) (map[protowire.Number][]byte, error) {
	fields, known := s[message]
	if !known {
		return nil, fmt.Errorf("message %s is not in the schema", message)
	}
	return s.decodeFields(message, fields, data)
}

func (s schema) decodeFields(message string, fields map[protowire.Number]fieldType, data []byte) (map[protowire.Number][]byte, error) {
	values := map[protowire.Number][]byte{}
	for len(data) > 0 {
		number, wire, n := protowire.ConsumeTag(data)
		if n < 0 {
			return nil, fmt.Errorf("%s: %w", message, protowire.ParseError(n))
		}
		size := protowire.ConsumeFieldValue(number, wire, data[n:])
		if size < 0 {
			return nil, fmt.Errorf("%s field %d: %w", message, number, protowire.ParseError(size))
		}
		field, ok := fields[number]
		_, second := values[number]
		if !ok || second && !field.repeated && !field.mapped {
			return nil, fmt.Errorf("%s field %d: known %t, seen before %t", message, number, ok, second)
		}
		value, err := s.value(field, wire, data[n:n+size])
		if err != nil {
			return nil, fmt.Errorf("%s field %d: %w", message, number, err)
		}
		values[number], data = value, data[n+size:]
	}
	return values, nil
}

// value checks one value and returns its content, which is nothing for a number.
func (s schema) value(field fieldType, wire protowire.Type, data []byte) ([]byte, error) {
	want := protowire.BytesType
	switch field.name {
	case "int32", "int64", "bool":
		want = protowire.VarintType
	}
	if field.mapped {
		want = protowire.BytesType
	}
	if wire != want {
		return nil, fmt.Errorf("wire type %d for %s", wire, field.name)
	}
	if want == protowire.VarintType {
		return nil, nil
	}
	content, _ := protowire.ConsumeBytes(data) // its size is known to be right
	switch {
	case field.mapped:
		_, err := s.decodeFields("entry", map[protowire.Number]fieldType{1: {name: "string"}, 2: {name: field.name}}, content)
		return content, err
	case field.name == "string" && !utf8.Valid(content):
		return nil, fmt.Errorf("%q is not UTF-8", content)
	case field.name == "string" || field.name == "bytes":
		return content, nil
	}
	_, err := s.decode(field.name, content)
	return content, err
}
