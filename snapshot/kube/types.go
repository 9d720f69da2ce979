package kube

import (
	_ "embed" // the table
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/klauspost/compress/zstd"
	"google.golang.org/protobuf/encoding/protowire"
)

// The table, as tools/kubetypes writes it: text, in which each struct has the number of its place. `make kubetypes` writes it again.
//
//	struct
//	NUMBER JSON-NAME TYPE [FLAGS]     a field; the name of an inlined one is a dot
//	kind APIVERSION KIND STRUCT
//	resource GROUP PLURAL SINGULAR KIND SCOPE [SHORT-NAMES]
//
//go:embed types.zst
var compressedTypes []byte

// types is the table, unpacked when it is first needed.
type types struct {
	once      sync.Once
	structs   []structType
	kinds     map[[2]string]int // apiVersion and kind to struct
	resources []Resource
	err       error
}

type structType []field

// field is one field of a struct. The modifier is 0, '*' for a pointer, '[' for a list, '{' for a map with strings as keys.
type field struct {
	number                      protowire.Number
	name                        string
	inline, omitEmpty, omitZero bool
	modifier                    byte
	typ                         fieldType
}

// fieldType is a letter, and the number of a struct for those that have one.
type fieldType struct {
	letter byte
	ref    int
}

// The letters of types, as tools/kubetypes writes them.
const (
	typeString                = 's'
	typeBool                  = 'b'
	typeInt32                 = 'i'
	typeInt64                 = 'l'
	typeFloat                 = 'd'
	typeBytes                 = 'B'
	typeStruct                = 'm'
	typeStrings               = 'V' // a list that is a message of its own
	typeTime                  = 'T'
	typeMicroTime             = 'U'
	typeDuration              = 'D'
	typeQuantity              = 'Q'
	typeIntOrString           = 'I'
	typeRawExtension          = 'R'
	typeFieldsV1              = 'F'
	typeJSON                  = 'J'
	typeSchemaOrBool          = 'O'
	typeSchemaOrArray         = 'A'
	typeSchemaOrStrings       = 'N'
	lettersWithStruct         = "mOAN"
	modifiers                 = "*[{"
	flagOmitEmpty             = "e"
	flagOmitZero              = "z"
	nameOfInlined             = "."
	nameOfCoreGroup           = "-"
	wordsOfField, wordsOfKind = 3, 4
)

func (t *types) load() error {
	t.once.Do(func() { t.err = t.unpack() })
	return t.err
}

func (t *types) unpack() error {
	decoder, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1))
	if err != nil {
		return fmt.Errorf("unpack the table of Kubernetes' types: %w", err)
	}
	defer decoder.Close()
	text, err := decoder.DecodeAll(compressedTypes, nil)
	if err != nil {
		return fmt.Errorf("unpack the table of Kubernetes' types: %w", err)
	}
	t.kinds = map[[2]string]int{}
	for line := range strings.Lines(string(text)) {
		if err := t.line(strings.Fields(line)); err != nil {
			return fmt.Errorf("table of Kubernetes' types: line %q: %w", line, err)
		}
	}
	return nil
}

func (t *types) line(words []string) error {
	switch {
	case words[0] == "struct":
		t.structs = append(t.structs, nil)
		return nil
	case words[0] == "kind" && len(words) == wordsOfKind:
		ref, err := strconv.Atoi(words[3])
		t.kinds[[2]string{words[1], words[2]}] = ref
		return err
	case words[0] == "resource":
		r, err := newResource(words[1:])
		t.resources = append(t.resources, r)
		return err
	case len(t.structs) == 0 || len(words) < wordsOfField:
		return strconv.ErrSyntax
	}
	number, err := strconv.ParseInt(words[0], 10, 32)
	if err != nil {
		return err
	}
	f := field{number: protowire.Number(number), name: words[1], inline: words[1] == nameOfInlined}
	typ := words[2]
	if strings.Contains(modifiers, typ[:1]) {
		f.modifier, typ = typ[0], typ[1:]
	}
	f.typ.letter = typ[0]
	if strings.Contains(lettersWithStruct, typ[:1]) {
		if f.typ.ref, err = strconv.Atoi(typ[1:]); err != nil {
			return err
		}
	}
	if len(words) > wordsOfField {
		f.omitEmpty, f.omitZero = strings.Contains(words[3], flagOmitEmpty), strings.Contains(words[3], flagOmitZero)
	}
	last := &t.structs[len(t.structs)-1]
	*last = append(*last, f)
	return nil
}
