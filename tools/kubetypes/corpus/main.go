// Corpus writes objects as an API server stores them, each with the JSON that client-go's own serializers make of it: a tar with the files
// NAME.pb and NAME.json. What the program decodes is compared with it.
//
// The objects are the fixtures of k8s.io/api (-fixtures DIR), objects with random content (-random N of each type, from -seed), and stored
// CustomResourceDefinitions (-crds N).
package main

import (
	"archive/tar"
	"bytes"
	"flag"
	"fmt"
	"math/rand"
	"os"
	"path/filepath"
	"strings"

	"github.com/klauspost/compress/zstd"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer/json"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"

	"etcd-rolling-backup/tools/kubetypes/kinds"
)

func main() {
	output := flag.String("o", "", "file to write")
	fixtures := flag.String("fixtures", "", "directory with .pb files")
	random := flag.Int("random", 0, "number of random objects of each type")
	definitions := flag.Int("crds", 0, "number of random CustomResourceDefinitions")
	seed := flag.Int64("seed", 1, "seed of the random objects")
	flag.Parse()
	if err := run(*output, *fixtures, *random, *definitions, *seed); err != nil {
		fmt.Fprintln(os.Stderr, "corpus:", err)
		os.Exit(1)
	}
}

func run(output, fixtures string, random, definitions int, seed int64) error {
	scheme, err := kinds.Scheme()
	if err != nil {
		return err
	}
	file, err := os.Create(output)
	if err != nil {
		return err
	}
	compressed, err := zstd.NewWriter(file, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedBestCompression))
	if err != nil {
		return err
	}
	c := corpus{
		kinds:    map[string]bool{},
		tar:      tar.NewWriter(compressed),
		protobuf: protobuf.NewSerializer(scheme, scheme),
		json:     json.NewSerializerWithOptions(json.DefaultMetaFactory, scheme, scheme, json.SerializerOptions{}),
	}
	for _, kind := range kinds.All(scheme) {
		c.kinds[kind.APIVersion+" "+kind.Name] = true
	}
	if fixtures != "" {
		err = c.addFixtures(fixtures)
	}
	if err == nil {
		err = c.addRandom(scheme, random, rand.New(rand.NewSource(seed)))
	}
	if err == nil {
		err = c.addCRDs(definitions, rand.New(rand.NewSource(seed)))
	}
	if err != nil {
		return err
	}
	for _, closer := range []interface{ Close() error }{c.tar, compressed, file} {
		if err := closer.Close(); err != nil {
			return err
		}
	}
	fmt.Fprintln(os.Stderr, c.objects, "objects")
	return nil
}

type corpus struct {
	tar            *tar.Writer
	protobuf, json runtime.Serializer
	kinds          map[string]bool // apiVersion and kind
	objects        int
}

func (c *corpus) addFixtures(dir string) error {
	files, err := filepath.Glob(filepath.Join(dir, "*.pb"))
	if err != nil || len(files) == 0 {
		return fmt.Errorf("no fixtures in %s: %v", dir, err)
	}
	for _, file := range files {
		stored, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if err := c.add(strings.TrimSuffix(filepath.Base(file), ".pb"), stored); err != nil {
			return err
		}
	}
	return nil
}

func (c *corpus) addRandom(scheme *runtime.Scheme, count int, random *rand.Rand) error {
	for _, kind := range kinds.All(scheme) {
		for i := range count {
			object, err := scheme.New(schema.FromAPIVersionAndKind(kind.APIVersion, kind.Name))
			if err != nil {
				return err
			}
			if err := fill(object, random); err != nil {
				return err
			}
			object.GetObjectKind().SetGroupVersionKind(schema.FromAPIVersionAndKind(kind.APIVersion, kind.Name))
			var stored bytes.Buffer
			if err := c.protobuf.Encode(object, &stored); err != nil {
				return fmt.Errorf("%s %s: %w", kind.APIVersion, kind.Name, err)
			}
			name := fmt.Sprintf("%s.%s.%d", strings.ReplaceAll(kind.APIVersion, "/", "."), kind.Name, i)
			if err := c.add(name, stored.Bytes()); err != nil {
				return err
			}
		}
	}
	return nil
}

// add writes one object, and what client-go makes of it.
func (c *corpus) add(name string, stored []byte) error {
	object, kind, err := c.protobuf.Decode(stored, nil, nil)
	if runtime.IsNotRegisteredError(err) || runtime.IsMissingKind(err) {
		return nil // nothing that an API server stores: admission's types, watch events, options
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if !c.kinds[kind.GroupVersion().String()+" "+kind.Kind] {
		return nil
	}
	object.GetObjectKind().SetGroupVersionKind(*kind)
	var text bytes.Buffer
	if err := c.json.Encode(object, &text); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return c.write(name, stored, text.Bytes())
}

func (c *corpus) write(name string, stored, json []byte) error {
	c.objects++
	for _, file := range []struct {
		name string
		data []byte
	}{{name + ".pb", stored}, {name + ".json", json}} {
		header := &tar.Header{Name: file.name, Mode: 0o644, Size: int64(len(file.data))}
		if err := c.tar.WriteHeader(header); err != nil {
			return err
		}
		if _, err := c.tar.Write(file.data); err != nil {
			return err
		}
	}
	return nil
}
