package kube

import (
	"archive/tar"
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"google.golang.org/protobuf/encoding/protowire"
)

// stored is an object in protobuf as an API server stores it.
func stored(apiVersion, kind string, message []byte) []byte {
	var meta, envelope []byte
	meta = protowire.AppendString(protowire.AppendTag(meta, 1, protowire.BytesType), apiVersion)
	meta = protowire.AppendString(protowire.AppendTag(meta, 2, protowire.BytesType), kind)
	envelope = protowire.AppendBytes(protowire.AppendTag(envelope, 1, protowire.BytesType), meta)
	envelope = protowire.AppendBytes(protowire.AppendTag(envelope, 2, protowire.BytesType), message)
	return append([]byte(protobufMagic), envelope...)
}

func TestWhatCannotBeDecodedIsNamedAndKept(t *testing.T) {
	decoder := NewDecoder(nil)
	deep := []byte(strings.Repeat(`{"a":`, 20_000) + "1" + strings.Repeat("}", 20_000))
	var damaged *DamagedError
	var unknown *UnknownTypeError
	var fields *UnknownFieldsError
	var encrypted *EncryptedError
	for _, c := range []struct {
		name  string
		value []byte
		as    any
		is    error
	}{
		{"a plain value", []byte("hello"), nil, ErrNotObject},
		{"an empty value", nil, nil, ErrNotObject},
		{"JSON of something else", []byte(`{"leader":"a"}`), nil, ErrNotObject},
		{"JSON that is cut off", []byte(`{"apiVersion":"v1","kind":"Pod"`), &damaged, nil},
		{"JSON with more after it", []byte(`{"apiVersion":"v1","kind":"Pod"}{}`), &damaged, nil},
		{"JSON that is too deep", deep, &damaged, nil},
		{"CBOR", []byte(cborMagic + "\xa1"), nil, ErrCBOR},
		{"an encrypted value", []byte("k8s:enc:aescbc:v1:key1:abc"), &encrypted, nil},
		{"nothing after the magic bytes", []byte(protobufMagic), &damaged, nil},
		{"text after the magic bytes", []byte(protobufMagic + "hello, this is not protobuf"), &damaged, nil},
		{"an unknown kind", stored("apps/v9", "Deployment", nil), &unknown, nil},
		{"a pod whose metadata is a number", stored("v1", "Pod", []byte{1 << 3, 5}), &damaged, nil},
		{"a pod that is cut off", stored("v1", "Pod", []byte{1<<3 | 2, 100, 1}), &damaged, nil},
		{"a pod with a field of a newer version", stored("v1", "Pod", []byte{99<<3&0x7f | 0x80, 99 >> 4, 1}), &fields, nil},
	} {
		object, err := decoder.Decode("/registry/pods/web/a", c.value)
		if err == nil || c.is != nil && !errors.Is(err, c.is) || c.as != nil && !errors.As(err, c.as) {
			t.Errorf("%s: got %v, %T", c.name, err, err)
		}
		if string(object.Value) != string(c.value) {
			t.Errorf("%s: its value is not kept", c.name)
		}
		if partial := c.as == any(&fields); (object.Fields != nil) != partial {
			t.Errorf("%s: fields %v", c.name, object.Fields)
		}
	}
	if len(fields.Fields) != 1 || fields.Fields[0] != "<field 99>" {
		t.Errorf("unknown fields %q", fields.Fields)
	}
}

func TestCustomResourcesKeepNullsAndBigNumbers(t *testing.T) {
	const value = `{"apiVersion":"example.com/v1","big":123456789012345678901234567890,"float":1.50,"kind":"Widget","null":null}` + "\n"
	object, err := NewDecoder(nil).Decode("/registry/example.com/widgets/web/a", []byte(value))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := MarshalJSON(object.Fields, false); err != nil || string(got) != value {
		t.Errorf("got %s, %v", got, err)
	}
}

// fixtures are the stored values of the committed corpus.
func fixtures(tb testing.TB) (values [][]byte) {
	tb.Helper()
	archive, err := os.Open("testdata/fixtures.tar.zst")
	if err != nil {
		tb.Fatal(err)
	}
	defer archive.Close()
	unpacked, err := zstd.NewReader(archive)
	if err != nil {
		tb.Fatal(err)
	}
	defer unpacked.Close()
	files := tar.NewReader(unpacked)
	for {
		header, err := files.Next()
		if errors.Is(err, io.EOF) {
			return values
		}
		if err != nil {
			tb.Fatal(err)
		}
		data, err := io.ReadAll(files)
		if err != nil {
			tb.Fatal(err)
		}
		if strings.HasSuffix(header.Name, ".pb") {
			values = append(values, data)
		}
	}
}

func TestValueThatIsCutOffAnywhereIsNeverTakenForAnObject(t *testing.T) {
	decoder := NewDecoder(nil)
	for _, value := range fixtures(t)[:20] {
		for cut := range value {
			// The last two fields of the envelope, of two bytes each, are empty; without them the object is complete.
			if _, err := decoder.Decode("", value[:cut]); err == nil && cut < len(value)-4 {
				t.Fatalf("%d of %d bytes are taken for an object", cut, len(value))
			}
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, value := range fixtures(f) {
		f.Add(value)
	}
	f.Add([]byte(`{"apiVersion":"apiextensions.k8s.io/v1beta1","kind":"CustomResourceDefinition","spec":{"versions":[1,{}],"names":3}}`))
	decoder := NewDecoder(nil)
	f.Fuzz(func(t *testing.T, value []byte) {
		object, err := decoder.Decode("/registry/pods/web/a", value)
		if err != nil && err.Error() == "" || err == nil && object.Fields == nil {
			t.Fatalf("neither an object nor an error: %v", err)
		}
		if object.Fields == nil {
			return
		}
		if _, err := MarshalJSON(object.Fields, true); err != nil {
			t.Fatal(err)
		}
		document, err := MarshalYAML(object.Fields)
		if err == nil && len(document) == 0 {
			t.Fatal("an empty document")
		}
	})
}
