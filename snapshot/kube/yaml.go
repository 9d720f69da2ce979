package kube

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v3"
	sigsyaml "sigs.k8s.io/yaml"
)

// MarshalYAML returns an object's fields as a YAML document that kubectl takes, with sorted fields and without a line that separates it from
// others. The document is read back before it is returned: what differs is an error.
func MarshalYAML(fields map[string]any) ([]byte, error) {
	root, err := yamlNode(fields)
	if err != nil {
		return nil, fmt.Errorf("write YAML: %w", err)
	}
	var out bytes.Buffer
	encoder := yaml.NewEncoder(&out)
	encoder.SetIndent(2)
	if err := errors.Join(encoder.Encode(root), encoder.Close()); err != nil {
		return nil, fmt.Errorf("write YAML: %w", err)
	}
	if err := readsBack(out.Bytes(), fields); err != nil {
		return nil, fmt.Errorf("write YAML: %w", err)
	}
	return out.Bytes(), nil
}

// readsBack reads a document as kubectl does, and compares it with the fields that it was made of.
func readsBack(document []byte, fields map[string]any) error {
	text, err := sigsyaml.YAMLToJSONStrict(document)
	if err != nil {
		return fmt.Errorf("kubectl could not read it: %w", err)
	}
	got, err := ParseJSON(text)
	if err != nil {
		return fmt.Errorf("kubectl could not read it: %w", err)
	}
	if !sameJSON(got, fields) {
		return errors.New("kubectl would read another object")
	}
	return nil
}

// sameJSON compares two values. Numbers may be written in other ways, and kubectl reads those beyond 64 bits as floating point.
func sameJSON(a, b any) bool {
	switch a := a.(type) {
	case json.Number:
		b, ok := b.(json.Number)
		if !ok || a == b {
			return ok
		}
		x, errX := a.Float64()
		y, errY := b.Float64()
		return errX == nil && errY == nil && x == y
	case []any:
		b, ok := b.([]any)
		return ok && slices.EqualFunc(a, b, sameJSON)
	case map[string]any:
		b, ok := b.(map[string]any)
		return ok && maps.EqualFunc(a, b, sameJSON)
	}
	return a == b
}

func yamlNode(value any) (*yaml.Node, error) {
	scalar := func(tag, text string, style yaml.Style) (*yaml.Node, error) {
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: tag, Value: text, Style: style}, nil
	}
	switch value := value.(type) {
	case nil:
		return scalar("!!null", "null", 0)
	case bool:
		return scalar("!!bool", strconv.FormatBool(value), 0)
	case json.Number:
		_, signed := strconv.ParseInt(value.String(), 10, 64)
		_, unsigned := strconv.ParseUint(value.String(), 10, 64)
		if signed != nil && unsigned != nil {
			return scalar("!!float", value.String(), 0)
		}
		return scalar("!!int", value.String(), 0)
	case string:
		return scalar("!!str", value, styleOf(value))
	case []any:
		node := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"}
		if len(value) == 0 {
			node.Style = yaml.FlowStyle
		}
		for _, element := range value {
			child, err := yamlNode(element)
			if err != nil {
				return nil, err
			}
			node.Content = append(node.Content, child)
		}
		return node, nil
	case map[string]any:
		node := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
		if len(value) == 0 {
			node.Style = yaml.FlowStyle
		}
		for _, name := range slices.Sorted(maps.Keys(value)) {
			key, err := yamlNode(name)
			if err != nil {
				return nil, err
			}
			if key.Style == yaml.LiteralStyle {
				key.Style = yaml.DoubleQuotedStyle
			}
			child, err := yamlNode(value[name])
			if err != nil {
				return nil, err
			}
			node.Content = append(node.Content, key, child)
		}
		return node, nil
	}
	return nil, fmt.Errorf("unexpected %T", value)
}

// styleOf returns how a text is written: without quotes only if no reader of YAML 1.1 or 1.2 takes it for something else, in lines if it
// has some and nothing in them is in doubt, else in double quotes. kubectl refuses a whole file because of a line that begins with a tab.
func styleOf(text string) yaml.Style {
	if isPlain(text) {
		return 0
	}
	if !strings.Contains(text, "\n") || text[0] == ' ' || text[0] == '\n' {
		return yaml.DoubleQuotedStyle
	}
	for line := range strings.Lines(text) {
		if line[0] == '\t' || strings.HasSuffix(strings.TrimSuffix(line, "\n"), " ") || strings.Contains(line, "\n\n") {
			return yaml.DoubleQuotedStyle
		}
	}
	for _, letter := range text {
		if letter != '\n' && letter != '\t' && !unicode.IsPrint(letter) {
			return yaml.DoubleQuotedStyle
		}
	}
	return yaml.LiteralStyle
}

var plainText = regexp.MustCompile(`^[A-Za-z/][A-Za-z0-9_./-]*(:[A-Za-z0-9_./-]+)*( [A-Za-z0-9_./-]+)*$`)

// isPlain reports whether a text can't be a number, a date, a bool, null or anything but itself.
func isPlain(text string) bool {
	switch strings.ToLower(text) {
	case "y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf":
		return false
	}
	return plainText.MatchString(text)
}
