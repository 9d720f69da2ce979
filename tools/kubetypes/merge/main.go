// Merge makes one table of the types of several versions of Kubernetes, newest first, and of the lists of resources that their API servers
// publish:
//
//	merge -o FILE TYPES... -- RESOURCES...
//
// The newest version says how a field is shown; older ones add what was removed since. A field whose number has another type in an older
// version is an error, for then no one table reads both.
package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/klauspost/compress/zstd"

	"etcd-rolling-backup/tools/kubetypes/describe"
)

func main() {
	output := flag.String("o", "", "file to write")
	flag.Parse()
	if err := run(*output, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "merge:", err)
		os.Exit(1)
	}
}

func run(output string, files []string) error {
	end := slices.Index(files, "--")
	if end < 1 || end == len(files)-1 {
		return fmt.Errorf("needs files with types, --, and files with resources")
	}
	all, err := mergeTypes(files[:end])
	if err != nil {
		return err
	}
	resources, err := mergeResources(files[end+1:])
	if err != nil {
		return err
	}
	var text bytes.Buffer
	writeTypes(&text, all)
	for _, line := range resources {
		fmt.Fprintln(&text, line)
	}
	encoder, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedBestCompression), zstd.WithEncoderConcurrency(1))
	if err != nil {
		return err
	}
	return os.WriteFile(output, encoder.EncodeAll(text.Bytes(), nil), 0o644)
}

func mergeTypes(files []string) (describe.Version, error) {
	all := describe.Version{Structs: map[string][]describe.Field{}}
	known := map[string]string{}
	for _, file := range files {
		var version describe.Version
		if err := readJSON(file, &version); err != nil {
			return all, err
		}
		for _, kind := range version.Kinds {
			id := kind.APIVersion + " " + kind.Kind
			if known[id] == "" {
				known[id] = kind.Struct
				all.Kinds = append(all.Kinds, kind)
			} else if known[id] != kind.Struct {
				return all, fmt.Errorf("%s: %s is %s, and %s in a newer version", file, id, kind.Struct, known[id])
			}
		}
		for name := range version.Structs {
			if err := mergeStruct(all.Structs, name, version.Structs, name); err != nil {
				return all, fmt.Errorf("%s: %w", file, err)
			}
		}
	}
	slices.SortFunc(all.Kinds, func(a, b describe.Kind) int {
		return strings.Compare(a.APIVersion+" "+a.Kind, b.APIVersion+" "+b.Kind)
	})
	return all, nil
}

// mergeStruct adds the fields of an older version's struct to the newest one's.
func mergeStruct(structs map[string][]describe.Field, name string, olds map[string][]describe.Field, old string) error {
	fields, known := structs[name]
	if !known {
		structs[name] = olds[old]
		return nil
	}
	for _, field := range olds[old] {
		i := slices.IndexFunc(fields, func(f describe.Field) bool { return f.Number == field.Number })
		if i < 0 {
			if slices.ContainsFunc(fields, func(f describe.Field) bool { return f.JSON == field.JSON && !f.Inline }) {
				return fmt.Errorf("%s: field %s has another number than in a newer version", name, field.JSON)
			}
			field.OmitEmpty, field.OmitZero = true, true // what the newest version does not know is shown only where it is set
			fields = append(fields, field)
			continue
		}
		if fields[i].JSON != field.JSON || fields[i].Inline != field.Inline {
			return fmt.Errorf("%s: field %d is named %q, and %q in a newer version", name, field.Number, field.JSON, fields[i].JSON)
		}
		newType, oldType := strings.TrimPrefix(fields[i].Type, "*"), strings.TrimPrefix(field.Type, "*")
		if newType == oldType {
			continue
		}
		newModifier, newStruct, newOK := strings.Cut(newType, "m")
		oldModifier, oldStruct, oldOK := strings.Cut(oldType, "m")
		if !newOK || !oldOK || newModifier != oldModifier || len(newModifier) > 1 {
			return fmt.Errorf("%s: field %d is of type %s, and %s in a newer version", name, field.Number, field.Type, fields[i].Type)
		}
		// The struct got another name. What only the old one had is read too.
		if err := mergeStruct(structs, newStruct, olds, oldStruct); err != nil {
			return fmt.Errorf("%s: field %d: %w", name, field.Number, err)
		}
	}
	structs[name] = fields
	return nil
}

// writeTypes writes a line for each struct, with its fields after it, and a line for each kind. Structs have the number of their place.
func writeTypes(text *bytes.Buffer, all describe.Version) {
	names := make([]string, 0, len(all.Structs))
	for name := range all.Structs {
		names = append(names, name)
	}
	slices.Sort(names)
	numbers := map[string]int{}
	for i, name := range names {
		numbers[name] = i
	}
	for _, name := range names {
		fmt.Fprintln(text, "struct")
		for _, field := range all.Structs[name] {
			flags := ""
			for flag, set := range map[string]bool{"e": field.OmitEmpty, "z": field.OmitZero} {
				if set {
					flags += flag
				}
			}
			if field.Inline {
				field.JSON = "."
			}
			fmt.Fprintln(text, strings.TrimSpace(fmt.Sprint(field.Number, " ", field.JSON, " ", numbered(field.Type, numbers), " ", sorted(flags))))
		}
	}
	for _, kind := range all.Kinds {
		fmt.Fprintln(text, "kind", kind.APIVersion, kind.Kind, numbers[kind.Struct])
	}
}

// numbered puts a struct's number in the place of its name.
func numbered(typ string, numbers map[string]int) string {
	for i, letter := range typ {
		if strings.ContainsRune("mOAN", letter) {
			return fmt.Sprint(typ[:i+1], numbers[typ[i+1:]])
		}
	}
	return typ
}

func sorted(letters string) string {
	bytes := []byte(letters)
	slices.Sort(bytes)
	return string(bytes)
}

func readJSON(file string, into any) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, into); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return nil
}
