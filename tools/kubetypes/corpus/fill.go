package main

import (
	"encoding/json"
	"fmt"
	"math/rand"
	"reflect"
	"strings"
	"time"

	"etcd-rolling-backup/tools/kubetypes/describe"
)

// fill sets every field of an object at random, or leaves it at its zero value.
func fill(object any, random *rand.Rand) error {
	f := filler{random: random}
	f.value(reflect.ValueOf(object).Elem(), 0)
	return f.err
}

type filler struct {
	random *rand.Rand
	err    error
}

func (f *filler) value(v reflect.Value, depth int) {
	if text := f.jsonOf(v.Type(), depth); text != "" {
		if err := json.Unmarshal([]byte(text), v.Addr().Interface()); err != nil && f.err == nil {
			f.err = fmt.Errorf("%s: %s: %w", v.Type(), text, err)
		}
		return
	}
	empty := f.random.Intn(3) == 0 || depth > 11 // schemas contain themselves
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if field := v.Type().Field(i); field.Name != "TypeMeta" && field.IsExported() {
				f.value(v.Field(i), depth+1)
			}
		}
	case reflect.Pointer:
		if !empty {
			v.Set(reflect.New(v.Type().Elem()))
			f.value(v.Elem(), depth+1)
		}
	case reflect.Slice:
		if !empty {
			v.Set(reflect.MakeSlice(v.Type(), f.random.Intn(3), 3))
			for i := range v.Len() {
				f.value(v.Index(i), depth+1)
			}
		}
	case reflect.Map:
		if !empty {
			v.Set(reflect.MakeMap(v.Type()))
			for range f.random.Intn(3) {
				element := reflect.New(v.Type().Elem()).Elem()
				f.value(element, depth+1)
				v.SetMapIndex(reflect.ValueOf(f.text()).Convert(v.Type().Key()), element)
			}
		}
	case reflect.String:
		if !empty {
			v.SetString(f.text())
		}
	case reflect.Bool:
		v.SetBool(!empty)
	case reflect.Int32, reflect.Int64:
		if !empty {
			v.SetInt(int64(f.random.Uint64()) >> f.random.Intn(64))
		}
	case reflect.Uint8:
		v.SetUint(uint64(f.random.Intn(256)))
	case reflect.Float64:
		if !empty {
			v.SetFloat(f.random.NormFloat64() * []float64{1, 1e-9, 1e30}[f.random.Intn(3)])
		}
	case reflect.Interface: // RawExtension's and others' decoded form, which nothing stores
	default:
		f.err = fmt.Errorf("can't fill a %s", v.Type())
	}
}

// jsonOf returns a random JSON value for types that write their JSON themselves; the empty text leaves them at zero.
func (f *filler) jsonOf(t reflect.Type, depth int) string {
	pick := func(texts ...string) string { return texts[f.random.Intn(len(texts))] }
	second := f.random.Int63n(250_000_000_000) - 62_135_596_800
	quantity := fmt.Sprint(f.random.Int63()>>f.random.Intn(63), pick("", "m", "k", "M", "Gi", "Ki", "Ti", "E", "e3", "u", "n", ".5", ".125Mi"))
	switch describe.Special(t) {
	case "T":
		return pick("null", quoted(timeText(second, 0)))
	case "U":
		return pick("null", quoted(timeText(second, f.random.Intn(1_000_000))))
	case "D":
		return pick("\"0s\"", fmt.Sprintf("%q", fmt.Sprint(f.random.Int31(), "ms")))
	case "Q":
		return pick("null", quoted(quantity), quoted("-"+quantity))
	case "I":
		return pick("0", fmt.Sprint(f.random.Int31()), quoted("50%"), `""`)
	case "J": // a server converts these, so that a number beyond 64 bits changes
		return pick("null", `{"null":null,"float":1.5,"list":[{},[],""]}`, "[1]", `"text"`, "true")
	case "R":
		return pick("null", `{"big":123456789012345678901234567890,"null":null,"float":1.50,"list":[{},[],""]}`, "[1]", `"text"`, "true")
	case "F":
		return pick("null", `{"f:metadata":{"f:labels":{".":{},"f:app":{}}}}`, "{}")
	case "O":
		return pick("true", "false", f.schema(depth))
	case "A":
		return pick(f.schema(depth), "["+f.schema(depth)+","+f.schema(depth)+"]")
	case "N":
		return pick(f.schema(depth), `["a","b"]`)
	}
	return ""
}

func (f *filler) schema(int) string {
	return []string{`{}`, `{"type":"object"}`, `{"type":"string","maxLength":3,"default":{"a":1}}`}[f.random.Intn(3)]
}

func (f *filler) text() string {
	var text strings.Builder
	for range f.random.Intn(8) + 1 {
		text.WriteString([]string{"a", "Z", "0", " ", "-", ".", "/", "\n", "\t", "\"", "<", "é", "世", "\u2028", "😀", "\x00", ":", "#"}[f.random.Intn(18)])
	}
	return text.String()
}

func quoted(text string) string { return `"` + text + `"` }

func timeText(second int64, micro int) string {
	return time.Unix(second, int64(micro)*1000).UTC().Format("2006-01-02T15:04:05.000000Z07:00")
}
