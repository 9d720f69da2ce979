package kube

import (
	"archive/tar"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// compareCorpus decodes each object of a file that tools/kubetypes/corpus wrote, and compares it with what client-go made of it.
func compareCorpus(t *testing.T, file string) (objects int) {
	t.Helper()
	archive, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer archive.Close()
	unpacked, err := zstd.NewReader(archive)
	if err != nil {
		t.Fatal(err)
	}
	defer unpacked.Close()
	decoder := NewDecoder(nil)
	files := tar.NewReader(unpacked)
	var stored []byte
	for {
		header, err := files.Next()
		if errors.Is(err, io.EOF) {
			return objects
		}
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(files)
		if err != nil {
			t.Fatal(err)
		}
		name, isJSON := strings.CutSuffix(header.Name, ".json")
		if !isJSON {
			stored = data
			continue
		}
		objects++
		compareObject(t, decoder, name, stored, data, strings.HasPrefix(filepath.Base(file), "old-"))
	}
}

func compareObject(t *testing.T, decoder *Decoder, name string, stored, want []byte, old bool) {
	t.Helper()
	expected, err := ParseJSON(want)
	if err != nil {
		t.Fatal(name, err)
	}
	object := Object{Value: stored}
	if strings.HasPrefix(name, "stored-crd") { // of which the corpus has what a server shows, and of the others what it stores
		object, err = decoder.Decode(name, stored)
	} else {
		err = decoder.decodeProtobuf(&object)
	}
	if err != nil {
		t.Errorf("%s: %v", name, err)
		return
	}
	if old { // newer versions show fewer empty values
		expected, _ = withoutEmpty(expected)
		rest, _ := withoutEmpty(object.Fields)
		object.Fields, _ = rest.(map[string]any)
	}
	if where, got, want := difference("", any(object.Fields), expected); where != "" {
		t.Errorf("%s: field %s is %v, and with client-go %v", name, where, got, want)
	}
}

// withoutEmpty removes null, zero and what is empty without them.
func withoutEmpty(value any) (rest any, empty bool) {
	switch value := value.(type) {
	case nil:
		return nil, true
	case string:
		return value, value == ""
	case bool:
		return value, !value
	case json.Number:
		return value, value == "0"
	case []any:
		list := []any{}
		for _, element := range value {
			element, _ := withoutEmpty(element)
			list = append(list, element)
		}
		return list, len(list) == 0
	case map[string]any:
		fields := map[string]any{}
		for name, field := range value {
			if field, empty := withoutEmpty(field); !empty {
				fields[name] = field
			}
		}
		return fields, len(fields) == 0
	}
	return value, false
}

// difference returns the first field in which two JSON values differ.
func difference(path string, got, want any) (where string, a, b any) {
	if reflect.DeepEqual(got, want) {
		return "", nil, nil
	}
	gotMap, wantMap := map[string]any{}, map[string]any{}
	switch got := got.(type) {
	case map[string]any:
		if want, ok := want.(map[string]any); ok {
			gotMap, wantMap = got, want
		}
	case []any:
		if want, ok := want.([]any); ok && len(got) == len(want) {
			for i := range got {
				gotMap[strconv.Itoa(i)], wantMap[strconv.Itoa(i)] = got[i], want[i]
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(gotMap)) {
		if _, ok := wantMap[name]; !ok {
			return path + "." + name, gotMap[name], "absent"
		}
	}
	for _, name := range slices.Sorted(maps.Keys(wantMap)) {
		if _, ok := gotMap[name]; !ok {
			return path + "." + name, "absent", wantMap[name]
		}
		if where, a, b := difference(path+"."+name, gotMap[name], wantMap[name]); where != "" {
			return where, a, b
		}
	}
	return path + ".", got, want
}

// The fixtures of k8s.io/api have every field of every type set, and with them are definitions of custom resources as they are stored.
func TestEveryTypeIsDecodedAsClientGoDoes(t *testing.T) {
	const least = 170
	if objects := compareCorpus(t, "testdata/fixtures.tar.zst"); objects < least {
		t.Errorf("only %d objects", objects)
	}
}
