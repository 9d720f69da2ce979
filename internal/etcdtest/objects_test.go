package etcdtest

import (
	"encoding/json"
	"fmt"
	"path"
	"strings"
	"testing"
)

// What a reader of a cluster's database finds is what Kubernetes would find: each value decodes as the kind that its key
// promises, and names itself as its key does.
func TestEveryObjectDecodesAsItsKind(t *testing.T) {
	schema := readSchema(t)
	var e encoder
	for _, kind := range kinds() {
		for seed := range uint64(200) {
			for gen := range uint64(3) {
				key, value := object{kind: &kind, seed: seed, gen: gen}.content(&e)
				namespace, name, err := schema.identify([]byte(value))
				if err != nil {
					t.Fatalf("%s, seed %d, generation %d: %v", key, seed, gen, err)
				}
				if want := path.Join("/registry", kind.resource, namespace, name); key != want || name == "" {
					t.Fatalf("the object at %s is one of %s", key, want)
				}
				if (namespace == "") != (kind.scope == clustered) {
					t.Fatalf("%s is in namespace %q", key, namespace)
				}
			}
		}
	}
}

// identify decodes an object of either form and returns its namespace and name.
func (s schema) identify(value []byte) (namespace, name string, err error) {
	binary, ok := strings.CutPrefix(string(value), "k8s\x00")
	if !ok {
		var object struct {
			APIVersion, Kind string
			Metadata         struct{ Namespace, Name, UID string }
		}
		err = json.Unmarshal(value, &object)
		if err == nil && (object.APIVersion == "" || object.Kind == "" || object.Metadata.UID == "") {
			err = fmt.Errorf("no type or no UID: %+v", object)
		}
		return object.Metadata.Namespace, object.Metadata.Name, err
	}
	unknown, err := s.decode("Unknown", []byte(binary))
	if err != nil {
		return "", "", err
	}
	kind, err := s.decode("TypeMeta", unknown[1])
	if err != nil {
		return "", "", err
	}
	object, err := s.decode(string(kind[2]), unknown[2])
	if err != nil {
		return "", "", err
	}
	metadata, err := s.decode("ObjectMeta", object[1])
	return string(metadata[3]), string(metadata[1]), err
}
