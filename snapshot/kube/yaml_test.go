package kube

import (
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"
)

func TestYAMLReadsBackAsTheSameObject(t *testing.T) {
	texts := []string{
		"", "a", "yes", "NO", "on", "y", "null", "~", "true", "1", "1.5", "0x10", "0o7", "010", "1e3", "1:30", "1_000", "2001-01-01", ".inf", "nan",
		"=", "<<", "- a", "a: b", "a:b", "a #b", "#a", "&a", "*a", "!a", "%a", "@a", "`a", "'a'", "\"a\"", "{a}", "[a]", ",", "?", "? a", "|", ">",
		" a", "a ", "\ta", "a\t", "a\nb", "a\nb\n", "a\n\n\nb\n\n", "\na", "\n", " \n a", "a\n  b\n c", "all:\n\tgo build\n", "\tall\n\tb\n", "a \nb",
		"a\r\nb", "a\x00b", "a\x1b[31mb", "\u2028", "\u0085", "\ufeff", "😀", "é\nü", "a\n#b\n", "---\na", "a\n...\n", "a\n---\n", strings.Repeat("x y ", 100),
		"a\n\u00a0b", "\ufffd", "key: |\n  a\n", "\u200b",
	}
	pieces := texts
	random := rand.New(rand.NewPCG(1, 2))
	for range 3000 {
		var text strings.Builder
		for range random.IntN(6) + 1 {
			text.WriteString(pieces[random.IntN(len(pieces))])
		}
		texts = append(texts, text.String())
	}
	for _, text := range texts {
		for _, fields := range []map[string]any{
			{"data": map[string]any{"text": text, "z": text}}, {"list": []any{text, map[string]any{text: text}}},
		} {
			document, err := MarshalYAML(fields)
			if err != nil {
				t.Fatalf("%q: %v\n%s", text, err, document)
			}
		}
	}
}

func TestYAMLKeepsNumbersNullsAndEmptyValues(t *testing.T) {
	const text = `{"big":123456789012345678901234567890,"empty":{},"float":1.50,"list":[],"max":9223372036854775807,"null":null,"text":"1"}`
	value, err := ParseJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	document, err := MarshalYAML(value.(map[string]any))
	if err != nil {
		t.Fatal(err)
	}
	const want = "big: 123456789012345678901234567890\nempty: {}\nfloat: 1.50\nlist: []\nmax: 9223372036854775807\nnull: null\ntext: \"1\"\n"
	if got := strings.Replace(string(document), `"null": null`, "null: null", 1); got != want {
		t.Errorf("got %s", document)
	}
}

func TestYAMLOfAnotherObjectIsAnError(t *testing.T) {
	for document, fields := range map[string]map[string]any{
		"a: 1\n":       {"a": "1"},
		"a: 2\n":       {"a": json.Number("1")},
		"a: b\nc: d\n": {"a": "b"},
		"a: [b]\n":     {"a": []any{"b", "b"}},
		"a: |\n \tb\n": {"a": "b\n"},
		"a: b\na: b\n": {"a": "b"},
	} {
		if err := readsBack([]byte(document), fields); err == nil {
			t.Errorf("%q: taken for %v", document, fields)
		}
	}
}
