// Package kube reads what Kubernetes keeps in etcd: a key and its value become an object as kubectl shows it.
//
// Everything here is a function of the bytes given; nothing is read from a disk, a server or the clock. A value that can't be decoded, or
// not all of it, always comes with an error that says so and with its bytes: nothing is silently missing. Bytes from a stranger cause an
// error and no panic.
//
// Built-in types are decoded with a table of their fields (types.zst), which tools/kubetypes makes from the Go types of several versions
// of Kubernetes. The types themselves would add 10 MB to the program.
package kube

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// Object is what one key holds.
type Object struct {
	Encoding Encoding
	// APIVersion and Kind are those of Fields. StoredAPIVersion is the one in etcd, which for a CustomResourceDefinition may be older.
	APIVersion, Kind, StoredAPIVersion string
	// Fields is the object as in JSON. Its values are nil, bool, string, json.Number, []any and map[string]any. It is nil if the value
	// could not be decoded.
	Fields map[string]any
	// Value is the value in etcd, decrypted where possible.
	Value []byte
}

// Encoding is the form of a value in etcd.
type Encoding string

// What values of a Kubernetes cluster look like.
const (
	Protobuf  Encoding = "protobuf"
	JSON      Encoding = "json"
	CBOR      Encoding = "cbor"
	Encrypted Encoding = "encrypted"
	Plain     Encoding = "plain" // not an object of Kubernetes
)

// What a value begins with.
const (
	protobufMagic  = "k8s\x00"
	cborMagic      = "\xd9\xd9\xf7"
	encryptedMagic = "k8s:enc:"
)

// EncodingOf looks at the first bytes of a value. What it finds may still be damaged.
func EncodingOf(value []byte) Encoding {
	for _, form := range []struct {
		magic    string
		encoding Encoding
	}{{protobufMagic, Protobuf}, {"{", JSON}, {cborMagic, CBOR}, {encryptedMagic, Encrypted}} {
		if bytes.HasPrefix(value, []byte(form.magic)) {
			return form.encoding
		}
	}
	return Plain
}

// Decrypter opens values that an API server encrypted. The key of a value in etcd is part of what some ciphers authenticate.
type Decrypter interface {
	Decrypt(key string, value []byte) ([]byte, error)
}

// Decoder makes objects of values. It is safe for use by several goroutines.
type Decoder struct {
	types     types
	decrypter Decrypter
}

// NewDecoder returns a decoder. Without a decrypter, encrypted values are reported as such.
func NewDecoder(decrypter Decrypter) *Decoder { return &Decoder{decrypter: decrypter} }

// Decode returns the object that a key holds. With an error, the object has what is known of it: always its value, and with an
// UnknownFieldsError all fields but the unknown ones.
func (d *Decoder) Decode(key string, value []byte) (Object, error) {
	object := Object{Encoding: EncodingOf(value), Value: value}
	if object.Encoding == Encrypted {
		if d.decrypter == nil {
			return object, NewEncryptedError(value)
		}
		decrypted, err := d.decrypter.Decrypt(key, value)
		if err != nil {
			return object, err
		}
		object.Value, object.Encoding = decrypted, EncodingOf(decrypted)
	}
	var err error
	switch object.Encoding {
	case Protobuf:
		err = d.decodeProtobuf(&object)
	case JSON:
		err = decodeJSON(&object)
	case CBOR:
		return object, ErrCBOR
	case Encrypted, Plain:
		return object, ErrNotObject
	}
	object.StoredAPIVersion = object.APIVersion
	if object.Fields != nil && object.Kind == crdKind && object.APIVersion == crdGroup+"/v1beta1" {
		convertCRD(object.Fields)
		object.APIVersion = crdGroup + "/v1"
	}
	return object, err
}

// decodeJSON reads an object that is stored as JSON: custom resources, their definitions, and everything of clusters that were told so.
func decodeJSON(object *Object) error {
	value, err := ParseJSON(object.Value)
	if err != nil {
		return &DamagedError{Err: err}
	}
	fields, ok := value.(map[string]any)
	if !ok {
		return ErrNotObject
	}
	object.APIVersion, _ = fields["apiVersion"].(string)
	object.Kind, _ = fields["kind"].(string)
	if object.APIVersion == "" || object.Kind == "" {
		return ErrNotObject
	}
	object.Fields = fields
	return nil
}

// ParseJSON reads exactly one value; numbers stay as they are written.
func ParseJSON(data []byte) (any, error) {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		return nil, fmt.Errorf("JSON: %w", err)
	}
	if rest := bytes.TrimSpace(data[decoder.InputOffset():]); len(rest) > 0 {
		return nil, fmt.Errorf("JSON: %d bytes after its end", len(rest))
	}
	return value, nil
}

// MarshalJSON returns an object's fields as JSON: one line, or indented as kubectl does.
func MarshalJSON(fields map[string]any, indent bool) ([]byte, error) {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if indent {
		encoder.SetIndent("", strings.Repeat(" ", 4))
	}
	if err := encoder.Encode(fields); err != nil {
		return nil, fmt.Errorf("write JSON: %w", err)
	}
	return out.Bytes(), nil
}
