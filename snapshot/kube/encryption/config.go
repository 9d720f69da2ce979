package encryption

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// ConfigError is a file that is not an EncryptionConfiguration. Nothing of its content is in the text but names of fields.
type ConfigError struct {
	Line int // 0 if unknown
	Err  error
}

func (e *ConfigError) Error() string {
	if e.Line == 0 {
		return fmt.Sprintf("encryption configuration: %v", e.Err)
	}
	return fmt.Sprintf("encryption configuration: line %d: %v", e.Line, e.Err)
}

func (e *ConfigError) Unwrap() error { return e.Err }

func fault(node *yaml.Node, format string, args ...any) error {
	return &ConfigError{Line: node.Line, Err: fmt.Errorf(format, args...)}
}

// Read reads the file that an API server has as --encryption-provider-config, YAML or JSON. What is unknown in it is an error, as it is
// for the API server.
func Read(file io.Reader) (*Keys, error) {
	decoder := yaml.NewDecoder(file)
	var document yaml.Node
	if err := decoder.Decode(&document); errors.Is(err, io.EOF) {
		return nil, &ConfigError{Err: errors.New("the file is empty")}
	} else if err != nil {
		return nil, notYAML(err)
	}
	if err := decoder.Decode(&yaml.Node{}); !errors.Is(err, io.EOF) {
		return nil, &ConfigError{Err: errors.New("more than one document")}
	}
	fields, err := mapping(document.Content[0], "the file", "apiVersion", "kind", "resources")
	if err != nil {
		return nil, err
	}
	version, kind := fields.text("apiVersion"), fields.text("kind")
	current := version == "apiserver.config.k8s.io/v1" && kind == "EncryptionConfiguration"
	if old := version == "v1" && kind == "EncryptionConfig"; !current && !old {
		return nil, fault(document.Content[0], "not an EncryptionConfiguration of apiserver.config.k8s.io/v1")
	}
	keys := &Keys{}
	err = each(fields["resources"], "resources", func(node *yaml.Node) error {
		fields, err := mapping(node, "resources", "resources", "providers")
		if err != nil {
			return err
		}
		return each(fields["providers"], "providers", keys.readProvider)
	})
	if err != nil {
		return nil, err
	}
	if fields["resources"] == nil {
		return nil, fault(document.Content[0], "no resources")
	}
	return keys, nil
}

// notYAML keeps the line of the reader's error, and nothing else of it: it may show what is a key.
func notYAML(err error) error {
	invalid := &ConfigError{Err: errors.New("not valid YAML or JSON")}
	if found := regexp.MustCompile(`line ([0-9]+)`).FindStringSubmatch(err.Error()); found != nil {
		invalid.Line, _ = strconv.Atoi(found[1])
	}
	return invalid
}

func (k *Keys) readProvider(node *yaml.Node) error {
	providers, err := mapping(node, "providers", aescbc, aesgcm, secretBox, KMS, identity)
	if err != nil {
		return err
	}
	if len(providers) != 1 {
		return fault(node, "a provider must be one of %s, %s, %s, %s, %s", aescbc, aesgcm, secretBox, KMS, identity)
	}
	for _, provider := range []string{aescbc, aesgcm, secretBox} {
		settings := providers[provider]
		if settings == nil {
			continue
		}
		fields, err := mapping(settings, provider, "keys")
		if err != nil {
			return err
		}
		if fields["keys"] == nil {
			return fault(settings, "%s has no keys", provider)
		}
		return each(fields["keys"], "keys", func(node *yaml.Node) error { return k.readKey(node, provider) })
	}
	return nil
}

func (k *Keys) readKey(node *yaml.Node, provider string) error {
	fields, err := mapping(node, "keys", "name", "secret")
	if err != nil {
		return err
	}
	name := fields.text("name")
	if name == "" {
		return fault(node, "key without a name")
	}
	secret, err := base64.StdEncoding.DecodeString(fields.text("secret"))
	if err != nil {
		return fault(node, "the secret of key %q is not base64", name)
	}
	sizes := []int{16, 24, 32}
	if provider == secretBox {
		sizes = []int{secretboxKey}
	}
	if !slices.Contains(sizes, len(secret)) {
		return fault(node, "the secret of key %q has %d bytes, and %s takes %s", name, len(secret), provider,
			strings.Trim(strings.ReplaceAll(fmt.Sprint(sizes), " ", ", "), "[]"))
	}
	k.keys = append(k.keys, key{provider: provider, name: name, secret: secret})
	return nil
}

type fields map[string]*yaml.Node

func (f fields) text(name string) string {
	if node := f[name]; node != nil && node.Kind == yaml.ScalarNode {
		return node.Value
	}
	return ""
}

// mapping returns the fields of a node, each of which must be known and be there once.
func mapping(node *yaml.Node, where string, known ...string) (fields, error) {
	if node.Kind != yaml.MappingNode {
		return nil, fault(node, "%s must have fields: %s", where, strings.Join(known, ", "))
	}
	found := fields{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		name := node.Content[i]
		if !slices.Contains(known, name.Value) {
			return nil, fault(name, "unknown field %q in %s: known are %s", name.Value, where, strings.Join(known, ", "))
		}
		if found[name.Value] != nil {
			return nil, fault(name, "field %q twice", name.Value)
		}
		found[name.Value] = node.Content[i+1]
	}
	return found, nil
}

// each calls a function for the elements of a list; no node is an empty list.
func each(node *yaml.Node, where string, do func(*yaml.Node) error) error {
	if node == nil {
		return nil
	}
	if node.Kind != yaml.SequenceNode {
		return fault(node, "%s must be a list", where)
	}
	for _, element := range node.Content {
		if err := do(element); err != nil {
			return err
		}
	}
	return nil
}
