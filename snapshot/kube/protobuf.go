package kube

import (
	"bytes"
	"errors"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

// decodeProtobuf reads an object in protobuf: four bytes, and an envelope (runtime.Unknown) with the object's type and bytes.
func (d *Decoder) decodeProtobuf(object *Object) error {
	envelope, err := splitFields(bytes.TrimPrefix(object.Value, []byte(protobufMagic)), 4)
	if err != nil {
		return &DamagedError{Err: err}
	}
	const typeMeta, raw, contentEncoding, contentType = 1, 2, 3, 4
	names, err := splitFields(envelope.message(typeMeta), 2)
	if err != nil {
		return &DamagedError{Err: err}
	}
	object.APIVersion, object.Kind = names.text(1), names.text(2)
	if object.APIVersion == "" || object.Kind == "" || envelope.unknown != nil || names.unknown != nil {
		return &DamagedError{Err: errors.New("its envelope does not name a type")}
	}
	if len(envelope.byNumber[raw]) == 0 {
		return &DamagedError{Err: errors.New("cut off: its envelope is empty")}
	}
	if encoding := envelope.text(contentEncoding); encoding != "" {
		return &DamagedError{Err: fmt.Errorf("unknown content encoding %q", encoding)}
	}
	if content := envelope.text(contentType); content != "" && content != "application/vnd.kubernetes.protobuf" {
		return &DamagedError{Err: fmt.Errorf("unknown content type %q", content)}
	}
	if err := d.types.load(); err != nil {
		return err
	}
	ref, known := d.types.kinds[[2]string{object.APIVersion, object.Kind}]
	if !known {
		return &UnknownTypeError{APIVersion: object.APIVersion, Kind: object.Kind}
	}
	reader := message{types: &d.types}
	fields := map[string]any{"apiVersion": object.APIVersion, "kind": object.Kind}
	if _, err := reader.structInto(fields, ref, envelope.message(raw), ""); err != nil {
		return err
	}
	object.Fields = fields
	if len(reader.unknown) > 0 {
		return &UnknownFieldsError{Fields: reader.unknown}
	}
	return nil
}

// occurrence is one field on the wire: a number, or bytes.
type occurrence struct {
	wire   protowire.Type
	number uint64
	bytes  []byte
}

// wireFields is a message cut into its fields; those of the same number keep their order.
type wireFields struct {
	byNumber map[protowire.Number][]occurrence
	unknown  []protowire.Number
}

// splitFields cuts a message whose fields have the numbers 1 to last.
func splitFields(data []byte, last protowire.Number) (wireFields, error) {
	return split(data, func(number protowire.Number) bool { return number <= last })
}

func split(data []byte, known func(protowire.Number) bool) (wireFields, error) {
	fields := wireFields{byNumber: map[protowire.Number][]occurrence{}}
	for len(data) > 0 {
		number, wire, n := protowire.ConsumeTag(data)
		if n < 0 {
			return fields, protowire.ParseError(n)
		}
		data = data[n:]
		var one occurrence
		one.wire = wire
		if !known(number) {
			n = protowire.ConsumeFieldValue(number, wire, data)
			fields.unknown = append(fields.unknown, number)
		} else {
			one, n = consume(data, wire)
			fields.byNumber[number] = append(fields.byNumber[number], one)
		}
		if n < 0 {
			return fields, protowire.ParseError(n)
		}
		data = data[n:]
	}
	return fields, nil
}

// consume reads one value. Groups and 32-bit values are in no type of Kubernetes.
func consume(data []byte, wire protowire.Type) (occurrence, int) {
	one := occurrence{wire: wire}
	var n int
	switch wire {
	case protowire.VarintType:
		one.number, n = protowire.ConsumeVarint(data)
	case protowire.Fixed64Type:
		one.number, n = protowire.ConsumeFixed64(data)
	case protowire.BytesType:
		one.bytes, n = protowire.ConsumeBytes(data)
	default:
		n = -1
	}
	return one, n
}

// last returns the last occurrence of a field, which counts; without one, that of a zero value.
func (f wireFields) last(number protowire.Number) occurrence {
	all := f.byNumber[number]
	if len(all) == 0 {
		return occurrence{}
	}
	return all[len(all)-1]
}

func (f wireFields) text(number protowire.Number) string { return string(f.last(number).bytes) }

// message returns all occurrences of a message one after the other, which is their merge.
func (f wireFields) message(number protowire.Number) []byte {
	return joined(f.byNumber[number])
}

func joined(all []occurrence) []byte {
	if len(all) == 1 {
		return all[0].bytes
	}
	var whole []byte
	for _, one := range all {
		whole = append(whole, one.bytes...)
	}
	return whole
}
